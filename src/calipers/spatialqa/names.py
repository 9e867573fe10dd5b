"""Names of kinds of things: how many there are, and which are surely not there.

A *kind* is a head noun ("mug" of "the red mug by the window"). Scenes hold what was annotated, in
the annotator's words, so a kind is counted only when no other word in the scene might mean the
same, and something is said to be absent only when nothing in the scene is like it: no caption
shares a word with it, none is of a related kind (`RELATED`), and the picture's caption does not
name it. A colour is said to be absent ("a green mug") when every mug has another one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from calipers.experts.base import TextSimilarity
from calipers.questions.grammar import is_plural
from calipers.stages.captions import Phrase, noun_phrases, read_caption
from calipers.types import Scene


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COLOURS = _words(
    "black white red green blue yellow orange purple pink brown gray beige turquoise golden silver"
)
_UNSEEN_IN_DEPTH = COLOURS | _words(
    "grey dark light bright wooden metal plastic glass ceramic cardboard steel striped shiny gold "
    "tan violet navy teal clear transparent colorful taped painted printed"
)
_MASS = _words("water food bread grass hair paper clothing furniture stuff fruit sand wood text")
_PARTS = _words(
    "leg wheel handle arm lid wing button knob seat tail tire ear eye foot side edge corner top "
    "bottom"
)
"""Of parts as a rule only some are annotated."""
_NOT_REAL = _words("toy stuffed fake hot teddy printed picture photo drawing statue figurine model")
"""Words before a noun that make it another thing: a toy car is no car, a photo of a cup no cup."""

RELATED: tuple[frozenset[str], ...] = tuple(
    _words(line)
    for line in (
        "cup mug glass tumbler goblet teacup",
        "sofa couch settee loveseat armchair recliner",
        "chair armchair stool seat bench recliner ottoman",
        "table desk counter countertop workbench nightstand",
        "tv television monitor screen display",
        "bin can trashcan wastebasket dustbin bucket basket pail",
        "can tin",
        "picture painting photo photograph frame poster print artwork portrait",
        "bag backpack purse handbag suitcase luggage sack tote briefcase",
        "box carton package crate packet container case cube block parcel",
        "person man woman boy girl child kid baby lady guy player people worker",
        "plant flower tree bush vase pot flowerpot planter bouquet",
        "shoe sneaker boot sandal slipper",
        "bike bicycle motorcycle motorbike scooter",
        "car vehicle truck van taxi suv automobile bus",
        "lamp light lantern bulb chandelier",
        "shelf bookshelf bookcase cabinet cupboard drawer dresser wardrobe rack closet",
        "rug carpet mat",
        "laptop computer notebook tablet keyboard",
        "pen pencil marker crayon stick",
        "bottle jar flask thermos jug pitcher",
        "bowl dish plate tray saucer pan",
        "toy doll bear animal figurine teddy",
        "phone cellphone smartphone telephone mobile remote",
        "stove oven microwave cooker",
        "sink basin tub bathtub",
        "book magazine notebook booklet newspaper binder",
        "towel cloth napkin blanket sheet tissue",
        "pillow cushion",
        "knife fork spoon cutlery utensil spatula",
        "dog cat animal pet horse cow sheep",
        "hat cap helmet",
        "jacket coat shirt sweater",
        "ball sphere globe balloon",
        "board plank panel",
        "clock watch",
        "door gate window",
        "gripper hand robot arm",
    )
)
VOCABULARY: tuple[str, ...] = (
    "umbrella", "bicycle", "guitar", "piano", "refrigerator", "microwave", "toaster", "teapot",
    "kettle", "hammer", "screwdriver", "camera", "helmet", "skateboard", "surfboard", "kite",
    "horse", "dog", "cat", "bird", "elephant", "ladder", "broom", "fan", "mirror", "clock",
    "candle", "pillow", "towel", "bathtub", "toilet", "sink", "printer", "telephone", "keyboard",
    "backpack", "hat", "scarf", "shoe", "apple", "pineapple", "watermelon", "carrot", "cake",
    "pizza", "traffic light", "fire extinguisher", "wheelchair", "violin", "drum",
    "tennis racket", "basketball",
)  # fmt: skip
"""Things to ask for when no other scene's names are at hand."""

_PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "foot": "feet",
    "tooth": "teeth", "mouse": "mice", "knife": "knives", "shelf": "shelves", "leaf": "leaves",
    "loaf": "loaves", "scarf": "scarves", "bookshelf": "bookshelves", "sheep": "sheep",
    "fish": "fish", "goose": "geese", "wolf": "wolves", "half": "halves", "potato": "potatoes",
    "tomato": "tomatoes",
}  # fmt: skip
_VOWEL_SOUND = re.compile(r"[aeiou]|hour|honest|honou?r|heir")
_CONSONANT_SOUND = re.compile(r"uni(?!n|m|de|ro)|us[aeu]|ute|util|uto|uk|ura|uri|eu|ewe|one\b|once")
_SPELT = _words("lcd led mp hdmi suv usb")
"""Words of letters that are said one by one, also where they are written small."""
_VOWEL_LETTERS = frozenset("aefhilmnorsx")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def a_or_an(name: str) -> str:
    """The name with its indefinite article.

    >>> a_or_an("open box"), a_or_an("uniform"), a_or_an("hourglass"), a_or_an("L-shaped desk")
    ('an open box', 'a uniform', 'an hourglass', 'an L-shaped desk')
    """
    return f"{'an' if _opens_with_vowel(name) else 'a'} {name}"


def _opens_with_vowel(name: str) -> bool:
    """Whether a name begins with the sound of a vowel: "8-ball", "hour", "MP3", not "unit"."""
    digits, letters = re.findall(r"^(\d*)([A-Za-z]*)", name)[0]
    if digits:  # eight, eighty, eleven thousand
        return digits[0] == "8" or (digits[:2] in ("11", "18") and len(digits) % 3 == 2)
    lower = letters.lower()
    capitals = letters.isupper() and (len(letters) < 4 or not re.search("[AEIOU].", letters))
    if len(letters) == 1 or capitals or lower in _SPELT:
        return lower[0] in _VOWEL_LETTERS
    return bool(_VOWEL_SOUND.match(lower)) and not _CONSONANT_SOUND.match(lower)


def plural(noun: str) -> str:
    """The plural of a noun or of a phrase that ends in one.

    >>> plural("shelf"), plural("box"), plural("battery"), plural("red mug"), plural("toy")
    ('shelves', 'boxes', 'batteries', 'red mugs', 'toys')
    """
    before, _, last = noun.rpartition(" ")
    if last in _PLURALS:
        made = _PLURALS[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        made = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in ("", *"aeiou"):
        made = f"{last[:-1]}ies"
    else:
        made = f"{last}s"
    return f"{before} {made}".strip()


def colourless(caption: str) -> str:
    """A caption's noun without what a depth map does not show; "" where nothing is left.

    >>> colourless("A small red wooden box"), colourless("dark wooden chair near the door")
    ('small box', 'chair')
    """
    phrase = read_caption(caption)
    if phrase.problem or is_plural(phrase.definite()):
        return ""
    words: list[str] = []
    for word in phrase.noun.split():
        words += [] if word.lower() in _UNSEEN_IN_DEPTH else [word]
        if phrase.head in word.lower():
            return " ".join(words)
    return ""


def is_part(part: str, whole: str) -> bool:
    """Whether a caption says that it is a part of what another one names.

    >>> is_part("rear wheel of the motorcycle", "red motorcycle"), is_part("wheel", "motorcycle")
    (True, False)
    """
    _, of, owner = part.partition(" of ")
    return bool(of) and read_caption(owner).head == read_caption(whole).head


def are_apart(a: str, b: str) -> bool:
    """Whether neither of two captions says that it is a part of the other's thing."""
    return not (is_part(a, b) or is_part(b, a))


def related(a: str, b: str) -> bool:
    """Whether two nouns might be used for one thing.

    >>> related("mug", "cup"), related("mug", "lamp"), related("mug", "mug")
    (True, False, True)
    """
    return a == b or any(a in group and b in group for group in RELATED)


class Names:
    """The kinds of things in a scene.

    Args:
        scene: every object counts, also those that have no place in space.
        similarity: a further judge of which captions are alike.
    """

    def __init__(self, scene: Scene, similarity: TextSimilarity | None = None) -> None:
        self.phrases: list[Phrase] = [read_caption(item.caption) for item in scene.objects]
        self.captions = [item.caption for item in scene.objects]
        self.similarity = similarity
        self.complete = all(phrase.words for phrase in self.phrases)
        said = scene.caption or ""
        self.mentioned = {word for text in noun_phrases(said) for word in read_caption(text).words}
        self.kinds: dict[str, list[int]] = defaultdict(list)
        for k, phrase in enumerate(self.phrases):
            if phrase.head:
                self.kinds[phrase.head].append(k)

    def counted(self) -> dict[str, tuple[int, ...]]:
        """Kinds whose number is sure, and the positions of their things."""
        if not self.complete:
            return {}
        sure = {kind: tuple(places) for kind, places in self.kinds.items() if self._sure(kind)}
        return {kind: places for kind, places in sure.items() if not self._unlike(kind, places)}

    def title(self, kind: str) -> str:
        """What a kind is called: "desk lamp" where every lamp is one, else "lamp"."""
        titles = {colourless(self.captions[k]) for k in self.kinds.get(kind, ())}
        return titles.pop() if len(titles) == 1 and "" not in titles else kind

    def _sure(self, kind: str) -> bool:
        """Whether every thing of the kind is one thing, and no other word might mean the kind."""
        if kind in _MASS | _PARTS or not kind.isalpha() or len(kind) < 3:
            return False
        for phrase in self.phrases:
            own = phrase.head == kind
            single = not is_plural(phrase.definite()) and "of" not in phrase.noun.split()
            if own and (not single or phrase.words & _NOT_REAL):
                return False
            if not own and (kind in phrase.words or related(kind, phrase.head)):
                return False
        return True

    def _unlike(self, kind: str, places: tuple[int, ...]) -> bool:
        """Whether the further judge finds something else alike."""
        if self.similarity is None:
            return False
        alike = self.similarity.alike([kind, *self.captions])
        return any(alike[0][k + 1] for k in range(len(self.captions)) if k not in places)

    def absent(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are surely not in the scene, in their order, each once."""
        return [name for name in dict.fromkeys(names) if self.is_absent(name)]

    def is_absent(self, name: str) -> bool:
        """Whether nothing in the scene is like that."""
        if not self.complete:
            return False
        phrase = read_caption(name)
        if phrase.problem or is_plural(phrase.definite()) or phrase.head in _MASS:
            return False
        nouns = phrase.words - COLOURS
        if nouns & self.mentioned or any(related(phrase.head, word) for word in self.mentioned):
            return False
        for other in self.phrases:
            likely = any(related(phrase.head, word) for word in other.words)
            if likely or nouns & other.words:
                return False
        if self.similarity is None:
            return True
        return not self.similarity.alike([name, *self.captions])[0][1:].any()

    def miscoloured(self) -> list[str]:
        """Kinds that are there, with a colour that none of them has: "green mug"."""
        found = []
        for kind, places in self.counted().items():
            seen = [self.phrases[k].words & COLOURS for k in places]
            if all(len(colours) == 1 for colours in seen):
                other = COLOURS - frozenset().union(*seen)
                title = self.title(kind)
                found += [f"{colour} {title}" for colour in sorted(other & _DISTINCT)]
        return found


_DISTINCT = _words("black white red green blue yellow orange purple pink")


def kinds_of(scenes: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Kinds that the captions of many scenes name, without their colours; sorted.

    >>> kinds_of([["red mug", "a mug"], ["toy car", "white wall", "desk lamp"]])
    ('desk lamp', 'mug')
    """
    found = set()
    for caption in (caption for captions in scenes for caption in captions):
        phrase = read_caption(caption)
        odd = phrase.words & _NOT_REAL or phrase.head in _MASS | _PARTS
        title = "" if odd else colourless(caption)
        if len(title) > 2 and title.replace(" ", "").replace("-", "").isalpha():
            found.add(title)
    return tuple(sorted(found))
