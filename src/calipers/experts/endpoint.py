"""A vision-language model at any OpenAI-compatible endpoint, as captioner and as tagger.

For region captions the model gets the whole picture with a red box and a close-up of the box, and a
limit of words (SpatialVLM draws 1 to 6 for its FlexCap, arXiv 2401.12168). Weights, device and
precision are the server's affair.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Self

from PIL import Image as PilImage
from PIL import ImageDraw

from calipers.chat import (
    CLIENT_OPTIONS,
    ChatClient,
    Message,
    Reply,
    UnusableError,
    Usage,
    in_parallel,
    picture,
    user,
)
from calipers.errors import DataError, UsageError
from calipers.experts.base import Image
from calipers.thoughts import parted
from calipers.types import Floats

Box = tuple[float, float, float, float]

CAPTION = (
    "The first picture shows a scene in which one thing is marked with a red box. The second is a "
    "close-up of the marked thing. Name it {limit}, with what tells it from others of its kind "
    "(colour, material, shape) where the words allow. Write the phrase only: lower case, no "
    "article, no full stop. Do not mention the red box or the picture."
)
TAGS = (
    "List the things that can be seen in this picture, {most} at most: furniture, objects, "
    "animals, people, vehicles; no walls, floors or sky. Write one short phrase of at most "
    "{words} words a line, lower case, no articles, no numbers, each kind of thing once."
)

_TAG_WORDS = 3
_MOST_TAGS = 30
_LONGEST = 120
_RED = (255, 0, 0)
_MARGIN = 0.15
_SLIMMEST = 1 / 3
_SMALLEST_SIDE = 56

_LEAD = re.compile(
    r"(?:it is|it's|this is|that is|there is|the (?:marked )?(?:object|thing) is|"
    r"(?:answer|phrase|caption|label|name):)\s+",
    re.I,
)
_ARTICLE = re.compile(r"^(?:an?|the)\s+(?=\S)", re.I)
_BULLET = re.compile(r"(?:[-*•]|\d+[.)])\s+")
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|can ?not|can't|unable to|not able to|(?:as|i am|i'm) an ai)\b",
    re.I,
)
_NOTHING = re.compile(
    r"(?:unknown|unclear|unidentified|unrecognizable|indistinct|none|nothing|n/?a|no|yes|"
    r"object|thing|item)(?: (?:object|thing|item))?",
    re.I,
)
_MARKS = re.compile(r"[<>{}\[\]|\\#=_]|\*\*|`|bounding box|close-?up|\bred box\b(?= (?:around|in))")


class _Endpoint:
    """What captioner and tagger share: a client, and how pictures are sent.

    Attributes:
        revision: the address; an endpoint does not tell which weights it serves.
    """

    max_tokens = 64

    def __init__(self, client: ChatClient, *, concurrency: int = 8, side: int = 1024) -> None:
        if concurrency < 1:
            raise UsageError(f"concurrency: wanted 1 or more, got {concurrency}")
        if side < _SMALLEST_SIDE:
            raise UsageError(f"side: wanted {_SMALLEST_SIDE} pixels or more, got {side}")
        self._client, self._concurrency, self._side = client, concurrency, side
        self.revision = client.address

    @classmethod
    def load(
        cls,
        source: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        concurrency: int = 8,
        side: int = 1024,
        **options: Any,
    ) -> Self:
        """Prepare to ask; nothing is sent yet.

        Args:
            source: the model's name at the endpoint.
            revision: must be None.
            device, dtype: not used; the server has its own.
            concurrency: requests under way at once.
            side: longest side of a whole picture that is sent, pixels; close-ups have half of it.
            **options: of `ChatClient`: base_url, api_key_env, timeout_s, attempts, first_wait_s,
                price_in, price_out, max_tokens, seed, extra.

        Raises:
            UsageError: no address, a key that is not set, an unknown option, a revision.
        """
        if revision is not None:
            raise UsageError(f"an endpoint serves one revision; cannot take {revision!r}")
        if unknown := sorted(options.keys() - CLIENT_OPTIONS):
            known = ", ".join(sorted({"concurrency", "side", *CLIENT_OPTIONS}))
            raise UsageError(f"an endpoint has no option {', '.join(unknown)}; it has {known}")
        client = ChatClient(model=source, **{"max_tokens": cls.max_tokens, **options})
        return cls(client, concurrency=concurrency, side=side)

    @property
    def usage(self) -> Usage:
        """Answers, tokens and cost so far."""
        return self._client.usage


class EndpointCaptioner(_Endpoint):
    """Names what is in a box in at most so many words; a `Captioner`."""

    def __init__(self, client: ChatClient, **options: Any) -> None:
        super().__init__(client, **options)
        self._known: dict[bytes, str | None] = {}

    def describe(
        self,
        images: Sequence[Image],
        boxes_xyxy: Sequence[Floats],
        words: Sequence[Sequence[int]],
    ) -> list[list[str | None]]:
        """Describe each box of each picture in at most so many words.

        None for a box for which two answers were no phrase of so many words.

        All boxes of the batch are asked about side by side. What was answered is remembered, so
        that asking again picture by picture after an error costs only what failed.

        Raises:
            ChatError: the endpoint failed for one of them.
            EndpointError: it would fail for every picture.
        """
        if len(self._known) > 10_000:
            self._known.clear()
        jobs, counts = [], []
        for image, boxes, limits in zip(images, boxes_xyxy, words, strict=True):
            whole = PilImage.fromarray(image)
            small = shrunk(whole, self._side)
            pairs = list(zip(boxes.tolist(), limits, strict=True))
            jobs += [partial(self._describe, whole, small, tuple(box), most) for box, most in pairs]
            counts.append(len(pairs))
        said = iter(in_parallel(lambda job: job(), jobs, self._concurrency))
        return [[next(said) for _ in range(count)] for count in counts]

    def _describe(
        self, whole: PilImage.Image, small: PilImage.Image, box: Box, most: int
    ) -> str | None:
        if most < 1:
            raise DataError(f"words: wanted 1 or more, got {most}")
        seen = (jpeg(marked(small, box, small.width / whole.width)),
                jpeg(close_up(whole, box, self._side // 2)))  # fmt: skip
        key = blake2b(b"".join(seen) + most.to_bytes(4, "big")).digest()
        if key not in self._known:
            limit = "in one word" if most == 1 else f"in at most {most} words"
            message = user(CAPTION.format(limit=limit), *map(picture, seen))
            self._known[key] = self._phrase(message, most)
        return self._known[key]

    def _phrase(self, message: Message, most: int) -> str | None:
        try:
            return self._client.ask([message], lambda reply: phrase(reply, most))
        except UnusableError:
            return None


class EndpointTagger(_Endpoint):
    """Names what can be seen in a picture; a `Tagger`."""

    max_tokens = 256

    def tag(self, images: Sequence[Image]) -> list[list[str]]:
        """Name the things in each picture: lower case, no articles, all different, at most 30.

        Raises:
            UnusableError: two answers for a picture named nothing.
            ChatError: the endpoint failed for one of them.
            EndpointError: it would fail for every picture.
        """
        return in_parallel(self._tag, images, self._concurrency)

    def _tag(self, image: Image) -> list[str]:
        text = TAGS.format(most=_MOST_TAGS, words=_TAG_WORDS)
        small = shrunk(PilImage.fromarray(image), self._side)
        message: Message = user(text, picture(jpeg(small)))
        return self._client.ask([message], tags)


def phrase(reply: Reply, most_words: int) -> str:
    """Take a phrase from an answer.

    Quotes, markdown, a leading article, "It is" and the full stop are taken off; thoughts between
    tags are left out.

    Raises:
        UnusableError: it is empty, cut off, a refusal, too long, several lines, or no name.
    """
    lines = _lines(reply)
    if len(lines) != 1:
        raise UnusableError(f"it has {len(lines)} lines; write one line")
    return _checked(_bare(lines[0]), most_words)


def tags(reply: Reply) -> list[str]:
    """Take phrases from an answer: one a line, or parted by commas; what is no phrase is left out.

    Raises:
        UnusableError: there is none, or it is a refusal.
    """
    lines = _lines(reply, cut_off=True)
    parts = lines[0].split(",") if len(lines) == 1 else lines
    if reply.finish_reason == "length":
        parts.pop()
    found: dict[str, None] = {}
    for part in parts:
        try:
            found[_checked(_bare(part), _TAG_WORDS).lower()] = None
        except UnusableError:
            continue
    if not found:
        raise UnusableError("it names nothing; write one short phrase a line")
    return list(found)[:_MOST_TAGS]


def _lines(reply: Reply, cut_off: bool = False) -> list[str]:
    """The lines of an answer that are no thoughts; it may be cut off where that is said."""
    if reply.refusal or reply.finish_reason == "content_filter":
        raise UnusableError("it is a refusal; name what is seen")
    text, unended = parted(reply.text.replace("’", "'"))
    if (reply.finish_reason == "length" and not cut_off) or unended:
        raise UnusableError("it was cut off at the limit of tokens; be brief")
    lines = [line.strip() for line in text.splitlines() if line.strip(" \t`")]
    if not lines:
        raise UnusableError("it is empty; write the phrase")
    if _REFUSAL.search(text):
        raise UnusableError("it is a refusal; name what is seen")
    return lines


def _bare(line: str) -> str:
    """A line without bullet, quotes, emphasis, article and full stop; first letter small.

    >>> _bare('- **"A red Coke can."**'), _bare("It is a TV"), _bare("Wooden chair")
    ('red Coke can', 'TV', 'wooden chair')
    """
    marks = " \t\"'`*“”‘.,;:!"
    text = _BULLET.sub("", line.strip(), count=1).strip(marks)
    lead = _LEAD.match(text)
    text = text[lead.end() :].strip(marks) if lead else text
    text = " ".join(
        _ARTICLE.sub("", text, count=1).split() if _ARTICLE.match(text) else text.split()
    )
    first, _, rest = text.partition(" ")
    return text[:1].lower() + text[1:] if first[1:].islower() and rest == rest.lower() else text


def _checked(text: str, most_words: int) -> str:
    count = len(text.split())
    if not any(sign.isalpha() for sign in text) or not text.isprintable():
        raise UnusableError("it is no phrase; write words")
    if _NOTHING.fullmatch(text):
        raise UnusableError("it names nothing; say what it most likely is")
    if _MARKS.search(text):
        raise UnusableError("it is not a plain phrase; write words only")
    if count > most_words or len(text) > _LONGEST:
        limit = "one word" if most_words == 1 else f"at most {most_words} words"
        raise UnusableError(f"it has {count} words; write {limit}")
    return text


def shrunk(image: PilImage.Image, side: int) -> PilImage.Image:
    """The picture with its longest side at most `side` pixels."""
    return _scaled(image, min(1.0, side / max(image.size)))


def marked(image: PilImage.Image, box: Box, scale: float = 1.0) -> PilImage.Image:
    """A copy with a red frame just outside the box (pixels of the picture before scaling)."""
    copy, line = image.copy(), max(2, round(max(image.size) / 250))
    x1, y1, x2, y2 = (round(edge * scale) for edge in box)
    left, top = max(0, x1 - line), max(0, y1 - line)
    right, bottom = min(image.width, x2 + line) - 1, min(image.height, y2 + line) - 1
    corners = (left, top, max(left, right), max(top, bottom))
    ImageDraw.Draw(copy).rectangle(corners, outline=_RED, width=line)
    return copy


def close_up(image: PilImage.Image, box: Box, side: int) -> PilImage.Image:
    """The box with a margin, its sides made at least 56 pixels and at most `side` long.

    Very slim boxes are widened: several models refuse pictures that are too small or too slim.
    """
    x1, y1, x2, y2 = box
    wide, high = (x2 - x1) * (1 + 2 * _MARGIN), (y2 - y1) * (1 + 2 * _MARGIN)
    wide, high = max(wide, high * _SLIMMEST, 1.0), max(high, wide * _SLIMMEST, 1.0)
    left, top = max(0, int((x1 + x2 - wide) / 2)), max(0, int((y1 + y2 - high) / 2))
    right = min(image.width, max(left + 1, round((x1 + x2 + wide) / 2)))
    bottom = min(image.height, max(top + 1, round((y1 + y2 + high) / 2)))
    part = image.crop((min(left, right - 1), min(top, bottom - 1), right, bottom))
    share = max(1.0, _SMALLEST_SIDE / min(part.size))
    return _scaled(part, min(share, max(side, _SMALLEST_SIDE) / max(part.size)))


def _scaled(image: PilImage.Image, share: float) -> PilImage.Image:
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return image if size == image.size else image.resize(size, reducing_gap=2.0)


def jpeg(image: PilImage.Image) -> bytes:
    """The picture as JPEG of quality 90."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=90)
    return sink.getvalue()
