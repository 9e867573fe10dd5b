"""Where names stand in texts."""

from __future__ import annotations

import pytest

from calipers.io.exports.mentions import Mention, Text, harmless, place

BOX = Mention("the box", None, 1)
LEFT = Mention("the box on the left", None, 2)


def marked(text: Text) -> str:
    if isinstance(text, str):
        return text
    return "".join(p if isinstance(p, str) else f"{p.name}[{p.number}]" for p in text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("No object.", "No object."),
        ("the box", "the box[1]"),
        ("The box is wide, the box is high.", "The box[1] is wide, the box is high."),
        ("Is the box by the box on the left?", "Is the box[1] by the box on the left[2]?"),
        ("The box on the left!", "The box on the left[2]!"),
        ("the boxes, in the box.", "the boxes, in the box[1]."),
        ("The Box", "The Box"),
    ],
)
def test_the_first_place_of_each_name(text: str, found: str) -> None:
    assert marked(place(text, [BOX, LEFT])) == found


@pytest.mark.parametrize("name", ["the (old) box*", "ein Würfel", "ß", "the l'Oréal box"])
def test_any_name_is_found_as_it_is(name: str) -> None:
    assert marked(place(f"See {name}.", [Mention(name, None, 7)])) == f"See {name}[7]."


def test_no_name_is_no_mention() -> None:
    assert place("the box", [Mention("", None, 1)]) == "the box"


@pytest.mark.parametrize("token", ["<image>", "<|im_end|>", "</s>", "<loc_1>", "<bbox>", "<_x>"])
def test_tokens_of_trainers_are_broken(token: str) -> None:
    assert harmless(f"a {token} b") == f"a < {token[1:]} b"


@pytest.mark.parametrize("text", ["1 < 2", "a<3", "<- here", "x"])
def test_other_angles_stay(text: str) -> None:
    assert harmless(text) == text
