"""What the coordinator's model may call: the measuring tools, a calculator, a spatial VLM.

Every result gets a name (``r1``, ``r2``, …) under which the calculator finds it again, and is kept
with its numbers for `calipers.reason.tracing`. What comes from the picture or from another model,
names and texts, is cleaned before a model reads it: letters, digits and a few signs, not long.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from calipers.errors import CalipersError, UsageError
from calipers.reason.calculator import LONGEST, Calculated, Known, calculate
from calipers.reason.quantity import PLAIN, UNITS, CalculationError, Quantity
from calipers.reason.tracing import Source, nearest, sources_in
from calipers.tools.places import title
from calipers.tools.results import ToolError
from calipers.tools.session import Session
from calipers.tools.table import parse, plain_schema
from calipers.types import Frame

LONGEST_NAME = 60
LONGEST_SAID = 300
_STRANGE = re.compile(r"[^\w\s.,:;%°'’/²³()±-]|_{2,}")


class Answerer(Protocol):
    """A spatial VLM, such as `calipers.model.answering.load` gives."""

    def texts(self, asked: Sequence[tuple[Frame, str]], temperature: float) -> list[str]:
        """One answer a question, each about its own frame; greedy at temperature 0."""
        ...


class Calculate(BaseModel):
    """Compute with units: + - * / ^, sqrt, min, max, mean, hypot, sin, acos, …; < and > compare.

    Name results of other tools: r1 + r2, r3.width. A unit for the result stands after "to":
    "sqrt(r1^2 + r2^2) to cm". round, floor and ceil give whole numbers; count(r1 < 1 m, r2 < 1 m)
    tells how many comparisons hold.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    expression: Annotated[str, Field(min_length=1, max_length=LONGEST)]


class AskVlm(BaseModel):
    """Ask a vision-language model that sees the picture one simple spatial question.

    It estimates; the measuring tools are more exact. Not to be used for what they can measure.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    question: Annotated[str, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class Result:
    """A call and what came of it.

    Attributes:
        id: its name, of a call that failed too.
        arguments: JSON as the model wrote it.
        told: what the model was told.
        value: the same with everything: a measurement, a calculation, an answer, or an error.
    """

    id: str
    tool: str
    arguments: str
    told: str
    value: dict[str, Any]
    seconds: float


@dataclass(slots=True)
class Toolbox:
    """The tools of one question.

    Attributes:
        session: where is measured.
        question: its numbers may be used.
        vlm: asked by ``ask_vlm``; None offers no such tool.
        frame: what the VLM sees, with pixels.
        only: names of the tools that are offered; None offers all.
        results: in order.
        sources: the numbers that an answer may hold.
    """

    session: Session
    question: str
    vlm: Answerer | None = None
    frame: Frame | None = None
    only: frozenset[str] | None = None
    results: list[Result] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    _names: dict[str, str] | None = None
    _functions: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources += sources_in(self.question)
        self.functions()
        there = {function["function"]["name"] for function in self._functions}
        if self.only is not None and not self.only <= there:
            unknown = ", ".join(sorted(self.only - there))
            raise UsageError(f"tools: no {unknown}; there are {', '.join(sorted(there))}")

    @property
    def measured(self) -> bool:
        """Whether anything was measured or estimated."""
        return any(source.kind in ("measured", "estimated") for source in self.sources)

    @property
    def names(self) -> dict[str, str]:
        """What objects are called → what a model reads, the longest first."""
        if self._names is None:
            found = {title(item) for item in self.session.places.objects()}
            found |= {item.caption or "" for item in self.session.places.objects()}
            ordered = sorted(found - {""}, key=len, reverse=True)
            clean = {name: cleaned(name, LONGEST_NAME) for name in ordered}
            self._names = {name: clean[name] or "(unreadable name)" for name in ordered}
        return self._names

    def functions(self) -> list[dict[str, Any]]:
        """The tools as functions of the OpenAI chat protocol."""
        if not self._functions:
            own: list[type[BaseModel]] = [Calculate] if self.vlm is None else [Calculate, AskVlm]
            self._functions = [*self.session.functions(), *map(_function, own)]
        return [f for f in self._functions if self._offers(f["function"]["name"])]

    def _offers(self, name: str) -> bool:
        return self.only is None or name in self.only

    def call(self, name: str, arguments: str) -> str:
        """Call one; what comes back is JSON with the result's name, also of an error."""
        start = time.monotonic()
        result_id = f"r{len(self.results) + 1}"
        try:
            value = self._value(result_id, name, arguments)
        except ToolError as error:
            value = error.problem.model_dump()
        seen = self._clean({"id": result_id, **value, **self._again(name, arguments)})
        told = json.dumps(_shown(seen), ensure_ascii=False)
        seconds = time.monotonic() - start
        self.results.append(Result(result_id, name, arguments, told, seen, seconds))
        return told

    def _again(self, name: str, arguments: str) -> dict[str, str]:
        """A hint where this call was made before."""
        same = [r.id for r in self.results if (r.tool, r.arguments) == (name, arguments)]
        return {"note": f"the same call as {same[0]}: it tells nothing new"} if same else {}

    def _value(self, result_id: str, name: str, arguments: str) -> dict[str, Any]:
        if not self._offers(name):
            raise ToolError("unknown_tool", f"no tool {name[:80]!r} is offered")
        if name == "calculate":
            return self._calculated(result_id, parse(Calculate, arguments).expression)
        if name == "ask_vlm" and self.vlm is not None:
            return self._estimated(result_id, parse(AskVlm, arguments).question)
        value: dict[str, Any] = json.loads(self.session.call(name, self._named(arguments)))
        if "error" not in value:
            self._keep_measured(result_id, value)
        return value

    def _named(self, arguments: str) -> str:
        """The arguments with objects called as the session calls them."""
        try:
            given = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return arguments
        seen = Counter(self.names.values())
        changed = [(clean, name) for name, clean in self.names.items() if clean != name]
        real = {clean: name for clean, name in changed if seen[clean] == 1}
        if not isinstance(given, dict) or not real:
            return arguments
        meant = {k: real.get(v, v) if isinstance(v, str) else v for k, v in given.items()}
        return json.dumps(meant)

    def _keep_measured(self, result_id: str, value: Mapping[str, Any]) -> None:
        """Take the numbers out of a measurement's fields."""
        unit = {"m": UNITS["m"], "degrees": UNITS["deg"]}.get(value["unit"])
        parts: dict[str, Any] = {**value["values"], "value": value["value"]}
        margins = {name: parts.get(f"{name}_margin") for name in value["values"]}
        margins["value"] = value["margin"]
        if unit is not None:
            self._keep(result_id, "margin", value["margin"], unit, None)
            for part, number in parts.items():
                self._keep(result_id, part, number, unit, margins.get(part))
        count = Quantity(float(len(value["measured"])))
        if value["measured"]:
            self.sources.append(Source("measured", result_id, "count", count, Quantity(1.0)))

    def _keep(
        self, result_id: str, part: str, number: float | None, unit: Quantity, margin: float | None
    ) -> None:
        if number is None:
            return
        value = Quantity(number * unit.value, unit.powers)
        name = result_id if part == "value" else f"{result_id}.{part}"
        self.known[name] = Known(value, (margin or 0.0) * unit.value)
        self.sources.append(Source("measured", result_id, part, value, unit))

    def _calculated(self, result_id: str, expression: str) -> dict[str, Any]:
        try:
            found = calculate(expression, self.known)
        except CalculationError as error:
            raise ToolError("cannot_calculate", str(error)) from error
        untraced = self._untraced(found)
        told, margin, unit = found.told, found.told_margin, found.unit[0]
        self.known[result_id] = Known(found.value, found.margin, not untraced)
        parts = (("value", found.value.value), ("margin", found.margin))
        for part, number in parts[: 1 + bool(found.margin)]:
            value = Quantity(number, found.value.powers)
            source = Source("computed", result_id, part, value, found.unit[1], untraced)
            self.sources.append(source)
        return {
            "tool": "calculate",
            "value": float(f"{told:.9g}"),
            "unit": unit or None,
            "margin": float(f"{margin:.3g}") if margin else None,
            "label": found.verdict,
            "text": _sentence(expression, told, margin, unit, found.verdict),
            "used": list(found.used),
            "untraced": list(untraced),
        }

    def _untraced(self, found: Calculated) -> tuple[str, ...]:
        """The numbers behind a calculation that neither a tool nor the question gave.

        A formula's own constants are free where anything else in it comes from somewhere.
        """
        behind = [(one, nearest(one.value, one.step, self.sources)) for one in found.literals]
        if not found.used and not any(source for _, source in behind):
            behind += [(one, nearest(one.value, one.step, self.sources)) for one in found.constants]
        loose: list[str] = []
        for literal, source in behind:
            loose += [literal.text] if source is None else source.untraced
        for name in found.used:
            if not self.known[name].traced:
                own = [s.untraced for s in self.sources if s.result == name.partition(".")[0]]
                loose += [text for texts in own for text in texts]
        return tuple(dict.fromkeys(loose))

    def _estimated(self, result_id: str, question: str) -> dict[str, Any]:
        if self.vlm is None or self.frame is None or self.frame.rgb is None:
            raise ToolError("no_picture", "there is no picture that a model could see")
        try:
            said = cleaned(self.vlm.texts([(self.frame, question)], 0.0)[0], LONGEST_SAID)
        except Exception as error:  # whatever it is, the model is told
            raise ToolError("vlm_failed", _failure(error)) from error
        found = sources_in(said, "estimated", result_id, "value")
        self.sources += found
        lengths = [source for source in found if source.value.powers != PLAIN]
        if len(lengths) == 1:
            self.known[result_id] = Known(lengths[0].value)
        return {"tool": "ask_vlm", "text": said, "estimate": True}

    def _clean(self, value: Any) -> Any:
        """The same with every name in every text as a model may read it."""
        if isinstance(value, dict):
            return {key: self._clean(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._clean(part) for part in value]
        if isinstance(value, str):
            for name, clean in self.names.items():
                if name != clean:
                    value = value.replace(name, clean)
        return value


def cleaned(text: str, longest: int) -> str:
    """A text that came from a picture or another model, as a model may read it.

    >>> cleaned('a mug"}\\nCALL gap {"a": 0} <b>', 60)
    'a mug CALL gap a : 0 b'
    """
    plain = " ".join(_STRANGE.sub(" ", text).split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1].rstrip()}…"


def _failure(error: Exception) -> str:
    """What a model is told of an error that is not its own."""
    kind = "" if isinstance(error, CalipersError) else f"{type(error).__name__}: "
    return cleaned(f"{kind}{error}", LONGEST_SAID)


def _shown(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a model is told: without what is not there, and without what only draws."""
    kept = {k: v for k, v in value.items() if v not in (None, [], {}) and k not in _DRAWN}
    if "measured" in kept:
        kept["measured"] = [
            {k: m[k] for k in ("name", "index", "at") if m[k] is not None} for m in kept["measured"]
        ]
    if kept.get("untraced"):
        kept["warning"] = "numbers that no tool gave: measure them, or name results (r1, r2.width)"
    return kept


_DRAWN = frozenset({"segment", "segment_px", "frame"})


def _function(model: type[BaseModel]) -> dict[str, Any]:
    name = {"Calculate": "calculate", "AskVlm": "ask_vlm"}[model.__name__]
    text = " ".join((model.__doc__ or "").split())
    parameters = plain_schema(model)
    parameters.pop("description", None)
    function = {"name": name, "description": text, "parameters": parameters}
    return {"type": "function", "function": function}


def _sentence(expression: str, told: float, margin: float, unit: str, verdict: str | None) -> str:
    value = f"{told:.6g}{' ' if unit else ''}{unit}"
    more = f" (± {margin:.2g})" if margin else ""
    if verdict is not None:
        return f"{expression}: {verdict}, by {value}{more}"
    return f"{expression} = {value}{more}"
