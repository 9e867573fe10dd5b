"""Captions as noun phrases: the definite form, the words that matter, and the head noun.

Captions come from people, annotations and captioning models, so anything may stand in them.
Control characters become spaces; quotes, HTML and emoji are kept as plain text (whoever shows them
escapes them). No grammar library: the rules are the word lists below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_CHARACTERS = 120
"""A longer caption is a description, not a phrase for one object."""

_READ = 2 * MAX_CHARACTERS  # of a longer caption only the start counts for its likeness to others

NO_CAPTION = "no_caption"
TOO_LONG = "caption_too_long"
BACKGROUND = "background"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Compared with the head noun only, so "wall clock", "floor lamp" and "skylight" are subjects.
BACKGROUND_HEADS = _words(
    "sky cloud sun sunlight sunset sunrise horizon wall floor flooring ceiling ground grass lawn "
    "field meadow background backdrop scenery landscape carpet road street pavement sidewalk "
    "driveway asphalt sea ocean sand dirt soil snow fog mist air shadow"
)
_DROPPED = _words(
    "a an the some another any this that these those all both each every several many multiple "
    "various few one"
)
_EMPTY = _DROPPED | _words(", ; ( : of is are")
_DROPPED_BEFORE_OF = _words("couple lot lots number all some most both each one few several many")
_POSSESSIVES = _words(
    "my your his her its our their someone's somebody's everyone's nobody's one's whose"
)
_COMMON_OWNERS = _words(
    "man's men's woman's women's child's children's kid's baby's boy's girl's "
    "lady's person's people's dog's cat's bird's doll's rubik's player's driver's worker's"
)
# Known names that carry no second capital to give them away.
_NAMES = _words(
    "lego pepsi nutella oreo kleenex rubik's barbie toyota samsung nike adidas sony dell heineken "
    "pringles cheerios nintendo playstation christmas chinese japanese english french american"
)
# Words that start a caption with a capital and are not part of a name that follows.
_DESCRIBING = _words(
    "black white red green blue yellow orange purple pink brown grey gray beige tan golden silver "
    "dark light clear big large small little tiny tall short wide narrow old new round square long "
    "wooden metal plastic glass paper empty full open closed two three four five six seven eight"
)
# Words after which the head noun has passed.
_CUTS = _words(
    "of on in inside into with within without from near under underneath beneath behind beside "
    "besides between below above over atop at by to for against along among around across through "
    "toward towards onto via like that which who whose where while is are was were has have "
    "containing wearing holding carrying showing featuring depicting reading saying riding"
)
# Words that end the head only before a cut, a determiner or the end ("standing desk" is a desk).
_POSTMODIFIERS = _words(
    "left right next close closer nearer nearest far farther higher lower full open made held hung "
    "seen filled covered placed attached mounted stacked decorated wrapped parked seated used "
    "labeled labelled marked topped surrounded shaped folded tied connected plugged leaning "
    "standing sitting lying laying hanging resting facing walking running playing eating drinking "
    "sleeping talking waiting looking floating growing protruding sticking visible"
)
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot",
    "teeth": "tooth", "mice": "mouse", "knives": "knife", "shelves": "shelf", "leaves": "leaf",
    "loaves": "loaf", "scarves": "scarf", "buses": "bus", "grey": "gray", "colour": "color",
    "coloured": "colored",
}  # fmt: skip
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_LEAD_IN = re.compile(
    r"^(?:there (?:is|are)|this is|these are|it is|it's"
    r"|an? (?:photo|picture|image|close-?up) of)\s+(?=\S)",
    re.IGNORECASE,
)
_NEXT_SENTENCE = re.compile(r"[.!?]\s+(?:It|The|This|These|There|They|A|An)\b.*")
_VERB = re.compile(r"\s(?:is|are|was|were|has|have)\s")
_RELATIVE = re.compile(
    r"\b(?:that|which|who|whose|where|while|sa(?:ys|ying)|read(?:s|ing)|show(?:s|ing))\b"
)
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[,;(:]")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_SPACE_BEFORE = re.compile(r"\s+(?=[,;:.])")
_ENDS = " \t.,;:!?…-–—•*"


_PIECES = re.compile(
    r"[,;:.!?()]|\b(?:" + "|".join(sorted(_CUTS | _POSTMODIFIERS | {"and", "or"})) + r")\b"
)
_PHRASE_WORDS = 4
_NOT_THINGS = _words("it he she they them him her something someone front back left right top side")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A caption, read as a noun phrase.

    Attributes:
        determiner: "the" or a possessive ("my", "Tom's").
        noun: what follows it, lower-case where a sentence wants it: "green soap box".
        words: normalised words that carry meaning, without order.
        head: the normalised head noun: "wheel" of "front wheel of the motorcycle".
        problem: why it cannot be a subject (`NO_CAPTION`, `TOO_LONG`, `BACKGROUND`), or None.
    """

    determiner: str
    noun: str
    words: frozenset[str]
    head: str
    problem: str | None

    def definite(self, before: str = "", after: str = "") -> str:
        """The definite phrase, with words before the noun and after all of it.

        >>> read_caption("A green box").definite("third", "from the left")
        'the third green box from the left'
        """
        return " ".join(part for part in (self.determiner, before, self.noun, after) if part)


def read_caption(caption: str) -> Phrase:
    """Read a caption as a noun phrase; anything is accepted, `Phrase.problem` says what is wrong.

    >>> read_caption("Green soap box.").definite(), read_caption("some apples").definite()
    ('the green soap box', 'the apples')
    >>> read_caption("front wheel of the motorcycle").head, read_caption("white wall").problem
    ('wheel', 'background')
    """
    return _read(caption if len(caption) <= _READ else _clean(caption)[:_READ])


@lru_cache(maxsize=2048)
def _read(caption: str) -> Phrase:
    text = _clean(caption)
    determiner, noun = _split_determiner(_as_phrase(text))
    tokens = _TOKEN.findall(_TAG.sub(" ", noun.lower()))
    words = frozenset(_singular(t) for t in tokens if t not in _EMPTY)
    if not words:
        return Phrase("the", "", frozenset(), "", NO_CAPTION)
    head = _singular(_head(tokens))
    problem = BACKGROUND if head in BACKGROUND_HEADS else None
    if len(text) > MAX_CHARACTERS:
        problem = TOO_LONG
    return Phrase(determiner, noun, words, head, problem)


def noun_phrases(text: str) -> list[str]:
    """The things that a caption of a picture names, in its order, each once, lower case.

    The text is cut at punctuation, prepositions, verbs and "and"; what is background, or longer
    than four words, is left out.

    >>> noun_phrases("A black cat on the wooden table, with two cups and a wall behind it.")
    ['black cat', 'wooden table', 'two cups']
    """
    found = []
    for piece in _PIECES.split(_clean(text).lower()):
        words = [word for word in piece.split() if word not in _DROPPED]
        phrase = read_caption(" ".join(words))
        short = 1 <= len(words) <= _PHRASE_WORDS
        if short and phrase.problem is None and phrase.head not in _NOT_THINGS | _DESCRIBING:
            found.append(" ".join(words))
    return list(dict.fromkeys(found))


def _clean(caption: str) -> str:
    """One line without control characters and without punctuation at its ends."""
    return _SPACE_BEFORE.sub("", " ".join(_INVISIBLE.sub(" ", caption).split())).strip(_ENDS)


def _as_phrase(text: str) -> str:
    """A sentence about one thing as a phrase: "A dog is asleep" becomes "A dog that is asleep"."""
    text = _NEXT_SENTENCE.sub("", _LEAD_IN.sub("", text))
    verb = _VERB.search(text)
    if verb and not _RELATIVE.search(text, 0, verb.start()):
        text = f"{text[: verb.start()]} that{text[verb.start() :]}"
    return text


def _split_determiner(text: str) -> tuple[str, str]:
    words = text.split()
    if _shouted(words):
        words = [word.lower() for word in words]
    first = True  # whether words[0] may owe its capital to its place alone
    while len(words) > 1:
        word = words[0].lower().replace("’", "'")
        if word in _POSSESSIVES or _is_owner(words[0], word):
            determiner = word if word in _POSSESSIVES else words[0]
            return determiner, " ".join(words[1:])
        if word in _DROPPED_BEFORE_OF and words[1].lower() == "of" and len(words) > 2:
            words = words[2:]
        elif word in _DROPPED:
            words = words[1:]
        else:
            break
        first = False
    if words and (first or words[0].lower() in _DESCRIBING):
        words = _uncapitalised(words)
    return "the", " ".join(words)


def _shouted(words: list[str]) -> bool:
    return len(words) > 1 and all(len(w) > 2 and w.isupper() for w in words)


def _is_owner(word: str, lower: str) -> bool:
    """Whether it is somebody by name: "Tom's", not "men's"."""
    return lower.endswith("'s") and word[:1].isupper() and lower not in _COMMON_OWNERS


def _uncapitalised(words: list[str]) -> list[str]:
    """Lower the first word's capital, unless it is an acronym or (part of) a name."""
    first = words[0]
    inner = first[1:]
    if inner.startswith("-") and len(first) > 2:  # T-shirt, X-ray
        return words
    if inner != inner.lower() or (len(first) > 1 and first.isupper()) or first.lower() in _NAMES:
        return words
    if first.lower() in _DESCRIBING:
        titled = all(word[:1].isupper() and word[1:].islower() for word in words)
        return [w.lower() for w in words] if titled else [first.lower(), *words[1:]]
    if len(words) > 1 and words[1][:1].isupper():
        return words
    return [first.lower(), *words[1:]]


def _head(tokens: list[str]) -> str:
    """The last word before the phrase goes on with a preposition, a clause or a comma."""
    for place, token in enumerate(tokens):
        if place == 0:
            continue
        following = tokens[place + 1] if place + 1 < len(tokens) else "of"
        ends = following in _CUTS or following in _DROPPED or following in ",;(:"
        if token in _CUTS or token in ",;(:" or (token in _POSTMODIFIERS and ends):
            return tokens[place - 1]
    return tokens[-1]


def _singular(word: str) -> str:
    """Fold plurals and spellings roughly; it only has to fold both of two captions alike."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes", "toes")):
        return word[:-2]
    return word[:-1]
