"""The template files: how many, how different, and whether a person would say them."""

import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from calipers.questions.grammar import Template, compile_template, is_plural, slot_values

FOLDER = resources.files("calipers.questions") / "templates"
GOLDEN = Path(__file__).parent / "golden" / "templates.txt"
TYPES: dict[str, Any] = {}
for _file in sorted(FOLDER.iterdir(), key=lambda f: f.name):
    if _file.name.endswith(".yaml"):
        TYPES |= yaml.safe_load(_file.read_text("utf-8"))

WORDS = ["left", "right", "above", "below", "behind", "front"]
SIZES = ["tall", "short", "wide", "thin", "big", "small"]
KEYS: dict[str, set[str]] = {
    **{f"{word}_predicate": {"yes", "no", "same"} for word in WORDS + SIZES},
    **{f"{word}_choice": {"winner", "same"} for word in WORDS + SIZES},
    **{f"{word}_difference": {"value"} for word in WORDS},
    "left_right_classify": {"left", "right", "same"},
    "above_below_classify": {"above", "below", "same"},
    "behind_front_classify": {"behind", "front", "same"},
    "tall_short_classify": {"tall", "short", "same"},
    "wide_thin_classify": {"wide", "thin", "same"},
    "big_small_classify": {"big", "small", "same"},
    "distance": {"value"},
    "gap": {"value", "touching"},
    "height": {"value"},
    "width": {"value"},
    "elevation": {"value", "resting"},
    "vertical_distance": {"value"},
    "horizontal_distance": {"value"},
}
ONE_OBJECT = {"height", "width", "elevation"}
REFERENCES = [
    "the green soap box",
    "the scissors",
    "the ball on the left",
    "the measuring spoons with red handles",
    "the man in the black and white shirt",
    "the box that is open",
    "the box and the lid",
]
VALUES = ["1.2 m", "8 m", "3 feet", "5 feet 3 inches", "3 mm", "1 meter", "11 inches"]


def lines() -> Iterator[tuple[str, str, str]]:
    """Every template with its type and place: "questions", "yes.short", ..."""
    for name, entry in TYPES.items():
        for text in entry["questions"]:
            yield name, "questions", text
        for key, answers in entry["answers"].items():
            for length, texts in answers.items():
                for text in texts:
                    yield name, f"{key}.{length}", text


def names_of(type_name: str, place: str) -> tuple[str, ...]:
    """The references that a template of this place may speak of."""
    if type_name in ONE_OBJECT:
        return ("A",)
    return ("winner", "loser") if place.startswith("winner.") else ("A", "B")


def fill(template: Template, names: tuple[str, ...], references: list[str], value: str) -> str:
    slots = [form for reference in references[: len(names)] for form in slot_values(reference)]
    return template.render([*slots, value])


def rendered() -> Iterator[tuple[str, str, str]]:
    """Every template filled with a battery of references and values."""
    for n, (name, place, text) in enumerate(lines()):
        names = names_of(name, place)
        template = compile_template(text, names)
        for k, reference in enumerate(REFERENCES):
            other = REFERENCES[(k + 1 + n % 6) % len(REFERENCES)]
            value = VALUES[(k + n) % len(VALUES)]
            yield name, text, fill(template, names, [reference, other], value)


def test_all_43_types_with_their_answers() -> None:
    assert len(KEYS) == 43
    assert {name: set(entry["answers"]) for name, entry in TYPES.items()} == KEYS


@pytest.mark.parametrize("name", KEYS)
def test_counts(name: str) -> None:
    entry = TYPES[name]
    assert len(entry["questions"]) >= 20
    for key, answers in entry["answers"].items():
        assert set(answers) == {"short", "long"}
        assert len(answers["short"]) >= 3, key
        wanted = 8 if key == "same" else 10
        assert len(answers["short"]) + len(answers["long"]) >= wanted, key


def test_no_question_template_comes_twice() -> None:
    questions = [text for _, place, text in lines() if place == "questions"]
    plain = Counter(re.sub(r"[^a-z{} ]", "", text.lower()) for text in questions)
    assert [text for text, count in plain.items() if count > 1] == []
    assert len(plain) >= 43 * 20


@pytest.mark.parametrize("name", KEYS)
def test_no_answer_template_comes_twice_in_a_type(name: str) -> None:
    answers = Counter(
        text for type_, place, text in lines() if type_ == name and place != "questions"
    )
    assert max(answers.values()) == 1


def test_placeholders_are_known_and_fit_the_place() -> None:
    for name, place, text in lines():
        compile_template(text, names_of(name, place))
        measured = place.startswith("value.")
        assert ("{value}" in text) == measured, text


def test_long_answers_are_whole_sentences_about_an_object() -> None:
    for _, place, text in lines():
        if place.endswith(".long"):
            assert re.search(r"\{(A|B|winner|loser)\}", text), text


# Words that a question of the type must have, and words that would make another type of it.
VOCABULARY = {
    "left": (r"\bleft\b", r"\bright\b"),
    "right": (r"\bright\b", r"\bleft\b"),
    "above": (r"\b(above|high\w*|up)\b", r"\b(below|low\w*|down)\b"),
    "below": (r"\b(below|low\w*|down)\b", r"\b(above|high\w*|up)\b"),
    "behind": (r"\b(behind|back|deeper|farther away|after|last)\b", r"\b(front|fore\w*|nearer)\b"),
    "front": (r"\b(front|for\w*|nearer|before|first)\b", r"\b(behind|back|deeper|farther|after)\b"),
    "tall": (r"\b(taller|greater|more)\b", r"\b(short\w*|smaller|less|wid\w+|bigger)\b"),
    "short": (r"\b(shorter|smaller|less)\b", r"\b(tall\w*|greater|more|wid\w+|thin\w*)\b"),
    "wide": (r"\b(wider|broader|greater|more)\b", r"\b(narrow\w*|thin\w*|smaller|less|height)\b"),
    "thin": (r"\b(narrower|thinner|smaller|less)\b", r"\b(wider|broader|greater|more|height)\b"),
    "big": (r"\b(bigger|larger|bulkier|greater|more)\b", r"\b(smaller|less|taller|wider)\b"),
    "small": (r"\b(smaller|less)\b", r"\b(bigger|larger|bulkier|greater|more|taller|wider)\b"),
    "distance": (r"far|distan|long|read", r"gap|clear|clos|surface|vertical|horizontal|ground"),
    "gap": (r"gap|space|room|clos|surface|clearance|opening|touch", r"center|middle|vertical"),
    "height": (r"height|tall|bottom to top|vertical extent", r"wid|left|surface|above|high\b"),
    "width": (r"wid|from left|side to side", r"tall|height|bottom|gap|\{B\}"),
    "elevation": (r"surface (that the scene rests on|under the whole scene)", r"\{B\}|center|tall"),
    "vertical_distance": (r"vertical|up (and|or) down|in height|elevation", r"horiz|ground|bottom"),
    "horizontal_distance": (r"horizontal|ground|height|floor plan|above", r"vertical|gap|bottom"),
}
SAYINGS = re.compile(
    r"Am I right|(?<=from left) to right|(?<=from right) to left|lowest points|I think|you think"
    r"|^Leaving aside how far away",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", [name for name in KEYS if not name.endswith("_classify")])
def test_questions_use_the_words_of_their_type_only(name: str) -> None:
    key = name if name in VOCABULARY else name.split("_")[0]
    wanted, foreign = VOCABULARY[key]
    for text in TYPES[name]["questions"]:
        said = SAYINGS.sub("", text)
        assert re.search(wanted, said, re.IGNORECASE), text
        assert not re.search(foreign, said, re.IGNORECASE), text


@pytest.mark.parametrize("name", [name for name in KEYS if name.endswith("_classify")])
def test_classifications_offer_both_words(name: str) -> None:
    forms = {
        "left": "left", "right": "right", "above": "above|higher", "below": "below|lower",
        "behind": "behind|back", "front": "front|forward", "tall": "taller", "short": "shorter",
        "wide": "wider", "thin": "thinner|narrower", "big": "bigger", "small": "smaller",
    }  # fmt: skip
    for text in TYPES[name]["questions"]:
        for word in name.split("_")[:2]:
            assert re.search(rf"\b({forms[word]})\b", text, re.IGNORECASE), text


def test_differences_ask_how_far_and_predicates_do_not() -> None:
    amount = re.compile(r"[Hh]ow (far|much)|[Bb]y how much|what distance|is the distance", re.I)
    for name, place, text in lines():
        if place == "questions" and name.split("_")[0] in WORDS:
            asked = amount.search(text) is not None
            assert asked == name.endswith("_difference"), text


def test_most_distances_say_between_what() -> None:
    """Both words for the two kinds of distance are plain in most templates, never the other's."""
    centers = [t for t in TYPES["distance"]["questions"] if re.search("center|middle", t)]
    surfaces = [t for t in TYPES["gap"]["questions"] if re.search("gap|clos|surf|space|room", t)]
    assert len(centers) > len(TYPES["distance"]["questions"]) / 2
    assert len(surfaces) > len(TYPES["gap"]["questions"]) * 3 / 4
    below = [t for t in TYPES["vertical_distance"]["questions"] if re.search("center|middle", t)]
    assert len(below) > len(TYPES["vertical_distance"]["questions"]) / 2


def test_verbs_next_to_a_reference_agree_with_it() -> None:
    """A written-out verb beside a reference would be wrong for some number."""
    name = r"\{(?:A|B|winner|loser)\}"
    before = re.compile(
        rf"\b([Ii]s|[Aa]re|[Hh]as|[Hh]ave|[Dd]oes|[Dd]o|[Ww]as) {name}(?! and {name})"
    )
    after = re.compile(rf"(\w+ )?{name} (is|are|has|have|does|do|was|were|\w+(?<!s)s)\b")
    for _, _, text in lines():
        assert not before.search(text.removeprefix("It is")), text
        match = after.search(re.sub(r"\{does \w+\} \{\w+\} have", "", text))
        # "the width of {A} is", "{A} and {B} are", "Would {A} have" do not depend on the number.
        assert match is None or match[1] in ("of ", "and ", "would "), text
        assert not re.search(name + "['’]", text), text
        assert not re.search(rf"\b(a|an|the) {name}", text), text


def test_every_line_is_a_written_sentence() -> None:
    count = 0
    for _, text, line in rendered():
        count += 1
        assert line[0].isupper() or line[0].isdigit(), line
        assert re.search(r"[^.?][.?]$", line), line
        assert not re.search(r"  | [,.;:?]|[{}]|\b[Aa]n? \d|\bthe the\b", line), line
        assert not re.search(r"exact|precise", line), line
        assert text.endswith("?") == line.endswith("?")
    assert count == 7 * len(list(lines())) > 10_000


def test_agreement_in_every_line() -> None:
    """Beside the subject of a sentence stands the verb of its number."""
    verbs = {True: "are|do|have", False: "is|does|has"}
    for _, _, line in rendered():
        for reference in REFERENCES:
            wrong = verbs[not is_plural(reference)]
            opening = rf"^({wrong}) {reference}\b(?! and)"
            closing = rf"(^|, |that |whether |because ){reference} ({wrong})\b"
            other = rf"{reference} and the"
            if other not in line:
                assert not re.search(f"{opening}|{closing}", line, re.IGNORECASE), line


def golden_text() -> str:
    """The first, a middle and the last template of every list of a few types."""
    out = []
    pairs = [("the scissors", "the box that is open"), ("the box that is open", "the scissors")]
    for name in ("left_predicate", "tall_choice", "behind_front_classify", "gap", "elevation"):
        for place in dict.fromkeys(place for type_, place, _ in lines() if type_ == name):
            texts = [text for type_, at, text in lines() if (type_, at) == (name, place)]
            names = names_of(name, place)
            for n, text in enumerate((texts[0], texts[len(texts) // 2], texts[-1])):
                line = fill(compile_template(text, names), names, list(pairs[n % 2]), "1.2 m")
                out.append(f"{name} {place}: {line}")
    return "\n".join(out) + "\n"


def test_a_place_in_a_reference_is_not_followed_by_the_same_word() -> None:
    """Not "the ball on the left left of the box"."""
    for name, place, line in rendered():
        assert not re.search(r"\b(\w+) \1\b", line), (name, place, line)


def test_golden_lines() -> None:
    """To renew after reading the difference: write golden_text() to the file."""
    assert golden_text() == GOLDEN.read_text("utf-8")
