"""Score a SpatialBench-like set: the published rules, and exact ones.

=====================  ================================  ========================================
column                 published rule                    exact rule
=====================  ================================  ========================================
positional             the answer stands somewhere in    the option that is said, by letter or
                       the response                      words, and no other one
existence              both of a pair, by the same       both of a pair; yes or no is the first
                                                         word, or the only one of both
counting               100 − mean of |said − true| /     the number said is the true one
                       true in %, response a number
reach, size            a pair gives one point for each   both of a pair, as above
                       and one for both, of three
depth                  none is published; here: within   within 2 %
                       10 %
multistep              none                              see `calipers.evals.multistep_score`
=====================  ================================  ========================================

Under the published rule of counting an error has no limit (9 instead of 4 is 125 % off, so a score
can be below zero), and a response that is no number ends the program; here that counts as 100 %
off, and so does any number where the true one is 0. Under the exact rules what counts is the final
part of a response, and wrong, no answer (the file lacks it, or it ends within its thoughts) and
unread (nothing could be taken from it) are counted apart; neither of the last two is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from calipers.errors import DataError
from calipers.evals.extract import read_count, read_depth, read_yes_no
from calipers.evals.intervals import Share
from calipers.evals.multistep_score import is_right
from calipers.evals.options import options, read_option
from calipers.evals.responses import final
from calipers.evals.spatialbench import COLUMNS, PAIRED, Item

DEPTH_LOOSE, DEPTH_EXACT = 0.10, 0.02
Verdict = Literal["right", "wrong", "unread", "no answer"]


@dataclass(frozen=True, slots=True)
class ColumnScore:
    """One column's scores.

    Attributes:
        published: by the published rule, 0 to 100; None where there is none.
        exact: questions or pairs that are right by the exact rule.
        single: single questions that are right; the same as `exact` where there are no pairs.
        verdicts: how many questions were right, wrong, unread or without an answer.
    """

    column: str
    questions: int
    published: float | None
    exact: Share
    single: Share
    verdicts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        shares = {"exact": self.exact._asdict(), "single": self.single._asdict()}
        own = {"column": self.column, "questions": self.questions, "published": self.published}
        return {**own, **shares, "verdicts": self.verdicts}


def score(items: Sequence[Item], answers: Mapping[str, str]) -> list[ColumnScore]:
    """Score a set column by column; an item without an answer is wrong.

    Raises:
        DataError: an answer belongs to no item.
    """
    unknown = sorted(answers.keys() - {item.key for item in items})
    if unknown:
        raise DataError(f"{len(unknown)} answers belong to no question, the first to {unknown[0]}")
    columns = [[item for item in items if item.column == column] for column in COLUMNS]
    return [_column(found, answers) for found in columns if found]


def _column(items: Sequence[Item], answers: Mapping[str, str]) -> ColumnScore:
    column = items[0].column
    verdicts = [verdict(item, answers.get(item.key)) for item in items]
    right = [v == "right" for v in verdicts]
    both = [a and b for a, b in zip(right[::2], right[1::2])]
    single = Share.of(sum(right), len(right))
    published = _PUBLISHED.get(column, _no_rule)
    return ColumnScore(
        column=column,
        questions=len(items),
        published=published([(item, answers.get(item.key, "")) for item in items]),
        exact=Share.of(sum(both), len(both)) if column in PAIRED else single,
        single=single,
        verdicts=dict(Counter(verdicts)),
    )


Said = Sequence[tuple[Item, str]]


def _substring(said: Said) -> float:
    return 100 * sum(item.answer in response for item, response in said) / len(said)


def _both(said: Said) -> float:
    found = [item.answer in response for item, response in said]
    return 100 * sum(a and b for a, b in zip(found[::2], found[1::2])) / (len(found) // 2)


def _thirds(said: Said) -> float:
    found = [item.answer in response for item, response in said]
    points = sum(a + b + (a and b) for a, b in zip(found[::2], found[1::2]))
    return 100 * points / (3 * (len(found) // 2))


def _counts(said: Said) -> float:
    return 100 - sum(_count_error(item, response) for item, response in said) / len(said)


def _count_error(item: Item, response: str) -> float:
    """Percent, without a limit; of a true count of zero all or nothing."""
    try:
        told, true = int(response), int(item.answer)
    except ValueError:
        return 100.0
    if true == 0:
        return 0.0 if told == 0 else 100.0
    return 100 * abs(told - true) / true


def _depths(said: Said) -> float:
    right = [_depth_within(i, final(r), DEPTH_LOOSE) == "right" for i, r in said]
    return 100 * sum(right) / len(said)


def _no_rule(said: Said) -> None:
    """Nothing is published for questions of several steps."""


_PUBLISHED: Mapping[str, Callable[[Said], float]] = {
    "positional": _substring,
    "existence": _both,
    "counting": _counts,
    "reach": _thirds,
    "size": _thirds,
    "depth": _depths,
}


def verdict(item: Item, response: str | None) -> Verdict:
    """Judge one response by the exact rule of its column."""
    response = final(response or "")
    if not response:
        return "no answer"
    if item.column == "depth":
        return _depth_within(item, response, DEPTH_EXACT)
    if item.column == "multistep":
        right = is_right(item.extra, response)
        return "unread" if right is None else "right" if right else "wrong"
    if item.column == "counting":
        said: Any = read_count(response)
        true: Any = read_count(item.answer)
    elif item.column == "positional":
        choices = options(item.question)
        said, true = read_option(response, choices), read_option(item.answer, choices)
    else:
        said, true = read_yes_no(response), read_yes_no(item.answer)
        if true is None:  # a size question whose answer is a name
            return "right" if _same_text(item.answer, response) else "wrong"
    return "unread" if said is None else "right" if said == true else "wrong"


def _same_text(a: str, b: str) -> bool:
    return a.casefold().strip(" .") == b.casefold().strip(" .")


def _depth_within(item: Item, response: str, tolerance: float) -> Verdict:
    true, said = read_depth(item.answer), read_depth(response)
    if said is None or true is None:
        return "unread"
    return "right" if abs(said - true) <= tolerance * true else "wrong"


def as_text(scores: Sequence[ColumnScore]) -> str:
    """The scores as a table of text."""
    lines = [f"{'column':<11}{'questions':>9}  {'published':>9}  exact, with its 95 % interval"]
    for one in scores:
        published = "-" if one.published is None else f"{one.published:.1f}"
        left_out = [f"{one.verdicts[v]} {v}" for v in ("unread", "no answer") if v in one.verdicts]
        pairs = " pairs" if one.column in PAIRED else ""
        told = f"{one.exact}{pairs}" + (f"; {', '.join(left_out)}" if left_out else "")
        lines.append(f"{one.column:<11}{one.questions:>9}  {published:>9}  {told}")
    return "\n".join(lines)
