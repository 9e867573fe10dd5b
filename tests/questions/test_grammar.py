"""Agreement of references, and the compiled form of templates."""

import pytest

from calipers.errors import DataError
from calipers.questions.grammar import FORMS, compile_template, is_plural, slot_values

SINGULAR = """
the green soap box|the ball on the left|the third box from the left|the pair of scissors|the bus|
the gas stove|the glass of water|the camera lens|the canvas|the chess board|the mattress|
the cactus|the TV series|the box of tissues|the bowl of apples|the man holding flowers|
the woman wearing glasses|the basket full of toys|the box that contains shoes|
the black and white cat|the dress|the compass|the salt and pepper shaker|the group of people|
the octopus|the tennis racket|the thermos|the iris|the man in the black and white shirt|
the box closer to the chairs|the bread|the water|the toy chassis|the bookcase with shelves|
the leftmost box|the cup next to the plates|the lamp behind the scissors|
the sign reading "no cars"|the oil painting on the wall|the man washing dishes|the child's bed|
the red box (with spoons)|the box, near the shoes|the kids bed|McDonald's|the 7|the|
the cabbage patch doll|Rolodex jumbo pencil cup|the one|1 sheep|the specimen|the atlas|the news|
the ladies' room|the sports car|the kids bed on the left|the police car|the apple the boys hold|
the sports building on the hill|the stack of books next to chairs|the one with handles|
the red and white box|the mac and cheese|the wooden and metal chair by the shoes
"""
PLURAL = """
the scissors|the glasses|the pants|the blue jeans|the trousers|the people|the children|the men|
the women in red|the feet of the table|the mice|the shelves|the measuring spoons|
two wooden chairs|the scissors with pink handles|the box and the lid|the box and lid|the knives|
both|two sheep|the three fish in the bowl|these fish|the policemen|the grandchildren|
the boxes of cereal|the skis|the people standing|the people standing by the door|
the doors left of the window|the cacti|the pliers|the headphones on the desk|
the shoes closest to the camera|the closest shoes|the pairs of socks|the boxes full of toys|
the curtains that are open|the salt and pepper shakers|the stairs|the TVs|
the children playing with a dog|the taxis|the two dogs|5 eggs|the snow-covered mountains|
the teeth|the snowmen|dice|the police|the cattle|
the bikes chained to a rack|the dishes drying in a rack|the lights turned on|the doors closed|
the ski pants worn by a man|the shoes the boy wears|a couple of chairs|two of the boxes|
the last few|the pink scissors closer to the camera|the second scissors from the left|
the bed and the dresser|the orange and apple|the box and glass lid|the red and white boxes
"""


def listed(text: str) -> list[str]:
    return text.strip().replace("\n", "").split("|")


@pytest.mark.parametrize("reference", listed(SINGULAR))
def test_singular_references(reference: str) -> None:
    assert not is_plural(reference)


@pytest.mark.parametrize("reference", listed(PLURAL))
def test_plural_references(reference: str) -> None:
    assert is_plural(reference)


def test_nothing_is_singular() -> None:
    assert not is_plural("")
    assert not is_plural(" , ")


def test_slots_have_the_order_of_forms() -> None:
    assert dict(zip(FORMS, slot_values("the box"), strict=True)) == {
        "ref": "the box",
        "is": "is",
        "does": "does",
        "has": "has",
        "s": "s",
        "es": "es",
        "its": "its",
        "it": "it",
    }


def render(text: str, a: str, b: str, value: str = "") -> str:
    template = compile_template(text, ("A", "B"))
    return template.render((*slot_values(a), *slot_values(b), value))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{is A} {A} left of {B}?", "Are the scissors left of the cup?"),
        ("{is B} {B} left of {A}?", "Is the cup left of the scissors?"),
        ("{A} touch{es A} {B}.", "The scissors touch the cup."),
        ("{B} touch{es B} {A}.", "The cup touches the scissors."),
        ("{B} stand{s B} {value} off; {it A} {has A} {its A} place.",
         "The cup stands 3 mm off; they have their place."),
        ("{value} apart.", "3 mm apart."),
        ("yes, 100 %.", "Yes, 100 %."),
        ("{A} {does A}, 5 % of {B}.", "The scissors do, 5 % of the cup."),
    ],
)  # fmt: skip
def test_rendering(text: str, wanted: str) -> None:
    assert render(text, "the scissors", "the cup", "3 mm") == wanted


def test_captions_pass_through_untouched() -> None:
    odd = 'the "50 %s off" {A} sign <b>🪧</b>'
    assert render("{A} near {B}.", odd, odd) == f"T{odd[1:]} near {odd}."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{C} is here.", "got 'C'"),
        ("{was A} {A}?", "got 'was A'"),
        ("{is value}.", "got 'is value'"),
        ("{ref A}.", "got 'ref A'"),
        ("{}.", "got ''"),
        ("{A.", "balanced braces"),
        ("A}.", "balanced braces"),
        ("", "balanced braces"),
        ("{s A} the end of {A}.", "something before the ending 's A'"),
    ],
)
def test_malformed_templates_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compile_template(text, ("A", "B"))
