"""Plain questions and names of patches: what they say, against scenes worked out by hand."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import calipers  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.evals.score import score  # noqa: E402
from calipers.io.masks import decode_mask, encode_mask  # noqa: E402
from calipers.model.grounding import IGNORED  # noqa: E402
from calipers.model.nano import Named, Nano, NanoConfig, tiny_language  # noqa: E402
from calipers.model.tokens import Writer, train_tokenizer  # noqa: E402
from calipers.samples.blocks import write_blocks  # noqa: E402
from calipers.train.data import Sample  # noqa: E402
from calipers.train.naming import (  # noqa: E402
    Thing,
    called,
    covering,
    patch_words,
    shares,
    shorten,
    things,
)
from calipers.train.plain import Plain, draw, plain_case, plain_questions, tell  # noqa: E402
from calipers.train.recipe import RunData  # noqa: E402
from calipers.train.sources import samples  # noqa: E402
from calipers.types import Scene, SceneObject  # noqa: E402


def named(item: SceneObject, caption: str) -> SceneObject:
    """An object called by its caption."""
    return replace(item, caption=caption, reference=f"the {caption.removeprefix('a ')}")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("blocks")
    write_blocks(home / "frames", 3)
    calipers.scenes(home / "frames", home / "run", workers=1)
    return home / "run"


@pytest.fixture(scope="module")
def scenes(run: Path) -> list[Scene]:
    return list(calipers.read_scenes(run))


def test_comparisons_of_depth_go_by_the_depths_of_the_things(scenes: list[Scene]) -> None:
    for scene in scenes:
        asked = plain_questions(scene, ["farther", "nearer"])
        assert asked
        for one in asked:
            first, second = one.depths_mm
            assert (one.truth == "yes") == ((first > second) == (one.type == "farther"))
            assert max(first, second) > 1.05 * min(first, second)


def test_turned_round_a_comparison_has_the_other_answer(scenes: list[Scene]) -> None:
    for kind in ("left_predicate", "farther", "tall_predicate"):
        asked = plain_questions(scenes[0], [kind])
        said = {one.points: one.truth for one in asked}
        assert len(said) == len(asked) >= 2
        for (first, second), truth in said.items():
            assert {truth, said[second, first]} == {"yes", "no"}


def test_measures_are_those_of_the_registry(scenes: list[Scene]) -> None:
    scene = scenes[0]
    place = {item.reference: k for k, item in enumerate(scene.objects)}
    for one in plain_questions(scene, ["distance"])[:4]:
        first, second = one.question.removeprefix("How far is ").removesuffix("?").split(" from ")
        wanted = calipers.measure(scene, "distance", place[first], place[second]).value
        assert one.truth == pytest.approx(wanted)
        said = [float(tell(one, noise).removesuffix(" m")) for noise in (1.0, 2.0)]
        assert said == pytest.approx([wanted, 2 * wanted], rel=0.05)


def test_a_point_lies_on_its_thing(scenes: list[Scene]) -> None:
    for scene in scenes:
        masks = {item.reference: decode_mask(item.segmentation) for item in scene.objects}
        for one in plain_questions(scene, ["point"]):
            x, y = one.points[0]
            name = one.question.removeprefix("Where is ").removesuffix("?")
            assert masks[name][int(y * scene.height), int(x * scene.width)]
            assert tell(one) == f"({x:.2f}, {y:.2f})"


@pytest.mark.parametrize("kind", ["nearer", "farther"])
def test_the_tool_is_asked_at_both_things(scenes: list[Scene], kind: str) -> None:
    asked = plain_questions(scenes[0], [kind])
    assert {one.truth for one in asked} == {"yes", "no"}
    for one in asked:
        (x, y), (u, v), (first, second) = *one.points, one.depths_mm
        word = "nearer" if first < second else "farther"
        assert one.truth == ("yes" if word == kind else "no")
        assert tell(one) == one.truth
        calls, digits = (
            f"Depth({x:.2f},{y:.2f})={first} Depth({u:.2f},{v:.2f})={second}",
            r"\d[=<>]\d",
        )
        said = tell(one, tool=True)
        assert re.fullmatch(rf"{re.escape(calls)}( {digits})+ {word} {one.truth}", said)


@pytest.mark.parametrize(
    ("depths_mm", "said"),
    [
        ((1523, 1587), "1=1 5=5 2<8 nearer no"),
        ((1601, 1523), "1=1 6>5 farther yes"),
        ((980, 1210), "0<1 nearer no"),
        ((10_040, 9_900), "1>0 farther yes"),
        ((1200, 1201), "1=1 2=2 0=0 0<1 nearer no"),
    ],
)
def test_depths_are_compared_up_to_the_first_digits_that_differ(
    depths_mm: tuple[int, int], said: str
) -> None:
    """Thousands stand beside thousands, whatever the number of digits."""
    points = ((0.25, 0.5), (0.75, 0.5))
    truth = "yes" if depths_mm[0] > depths_mm[1] else "no"
    first, second = depths_mm
    one = Plain("farther", "Is A farther than B?", truth, points, depths_mm)
    assert tell(one, tool=True) == f"Depth(0.25,0.50)={first} Depth(0.75,0.50)={second} {said}"


@pytest.mark.parametrize("kind", ["nearer", "farther"])
def test_what_the_tool_says_is_an_exercise_too(scenes: list[Scene], kind: str) -> None:
    """The same answers, about the same pairs, without looking."""
    seen, told = (plain_questions(scenes[0], [name]) for name in (kind, f"{kind}_told"))
    for one, other in zip(seen, told, strict=True):
        first, second, *answer = tell(one, tool=True).split()
        assert other.question == f"Is {first} {kind} than {second}?"
        assert tell(other) == tell(other, tool=True) == " ".join(answer)
    assert not any("Depth(" in one.question for one in plain_questions(scenes[0]))


def test_types_are_drawn_evenly(scenes: list[Scene]) -> None:
    drawn = draw(scenes[0], 9, np.random.default_rng(0), ["depth", "distance", "nearer"])
    assert Counter(one.type for one in drawn) == {"depth": 3, "distance": 3, "nearer": 3}
    assert len({one.question for one in drawn}) == 9
    with pytest.raises(UsageError, match="got size"):
        draw(scenes[0], 1, np.random.default_rng(0), ["size"])


def test_true_answers_score_in_full(scenes: list[Scene]) -> None:
    asked = [one for one in plain_questions(scenes[0]) if one.type != "point"]
    cases = [plain_case(one, scenes[0], k) for k, one in enumerate(asked)]
    for tool in (False, True):
        said = {case.id: tell(one, tool=tool) for case, one in zip(cases, asked)}
        points = score(cases, said).points
        for rule in ("exact@1", "within-90-110@1", "gives-number@1"):
            judged = points[rule][~np.isnan(points[rule])]
            assert len(judged) > 5
            assert (judged == 1).all()


def test_a_patch_is_of_what_covers_it_most() -> None:
    left, low = np.zeros((4, 4)), np.zeros((4, 4))
    left[:, 0] = 1  # half of each patch at the left
    low[2:] = 1  # all of the lower patches
    found = [Thing(("red", "can"), encode_mask(left)), Thing(("box",), encode_mask(low))]
    covers = covering(shares(found, (2, 2)))
    assert covers.tolist() == [0, -1, 1, 1]
    assert covering(shares([], (2, 2))).tolist() == [-1] * 4
    tokenizer = train_tokenizer([" red can box"] * 9, 300)
    words = patch_words(found, covers, Writer(tokenizer, 4))
    read = [tokenizer.decode(row[row != IGNORED]) for row in words]
    assert read == [" red can", "<pad>", " box", " box"]


def test_articles_are_no_names(scenes: list[Scene]) -> None:
    for thing, item in zip(things(scenes[0]), scenes[0].objects):
        assert " ".join(thing.words) == item.caption


@pytest.mark.parametrize(
    ("name", "shown", "learnt"),
    [
        ("ball", (), ["ball"]),
        ("red ball", ("red",), ["red"]),
        ("small red ball", ("small", "red"), ["small", "red"]),
        ("photo frame", ("photo",), ["photo"]),
        ("large dark red photo frame", ("large", "dark", "red", "photo"), None),
        ("pair of socks", (), ["pair", "of", "socks"]),
        ("man with the hat", (), ["man", "with", "hat"]),
        ("box behind the chair", (), ["box", "behind", "chair"]),
        ("wooden picture on the left", (), ["wooden", "picture", "on", "left"]),
        ("second red can from the left", (), ["red", "can", "from", "left"]),
    ],
)
def test_a_patch_shows_what_describes_its_thing(
    scenes: list[Scene], name: str, shown: tuple[str, ...], learnt: list[str] | None
) -> None:
    """All words, where those before the last do not describe it."""
    item = named(scenes[0].objects[0], name)
    scene = replace(scenes[0], objects=[item])
    whole, described = (things(scene, described=wanted) for wanted in (False, True))
    assert whole[0].name == described[0].name == name
    assert (whole[0].shown, described[0].shown) == ((), shown)
    tokenizer = train_tokenizer([f" {name}"] * 9, 400)
    row = patch_words(described, np.array([0]), Writer(tokenizer, 4))[0]
    read = [tokenizer.decode(token).strip() for token in row if token != IGNORED]
    assert read == (learnt or list(shown))


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("red can", "red thing"),
        ("large dark red photo frame", "large dark red photo thing"),
        ("man with the hat", ""),
        ("box behind the chair", ""),
        ("wooden picture on the left", ""),
        ("second red can from the left", ""),
    ],
)
def test_a_name_is_found_as_it_stands_in_a_question(
    scenes: list[Scene], name: str, short: str
) -> None:
    items = [named(scenes[0].objects[0], one) for one in (name, "ball")]
    found = things(replace(scenes[0], objects=items))
    assert (found[0].name, found[0].short) == (name, short)
    asked = f"How far is the {name} from the ball?"
    tokenizer = train_tokenizer([asked] * 9, 400)
    row = Writer(tokenizer, 0).row([(asked, "1 m")], names=called(found))
    spoken = {
        thing: tokenizer.decode([t for t, k in zip(row.tokens, row.named) if k == thing]).strip()
        for thing in (0, 1)
    }
    assert spoken == {0: name, 1: "ball"}
    said = shorten(asked, found, 1.0, np.random.default_rng(0))
    assert said == asked.replace(name, short or name)


def test_what_tells_a_thing_from_others_does_not_describe_it(scenes: list[Scene]) -> None:
    told = replace(named(scenes[0].objects[0], "a red can"), reference="the leftmost red can")
    (thing,) = things(replace(scenes[0], objects=[told]), described=True)
    assert thing == Thing(("leftmost", "red", "can"), thing.mask)
    (thing,) = things(replace(scenes[0], objects=[named(told, "a red can")]), described=True)
    assert thing == Thing(("red", "can"), thing.mask, "red thing", ("red",))


def test_a_thing_without_a_mask_is_a_thing_too(scenes: list[Scene]) -> None:
    """Of two red things neither is the red thing, though only one is known to lie where."""
    first = scenes[0].objects[0]
    items = [
        named(first, "red can"),
        named(first, "blue can"),
        replace(named(first, "red box"), segmentation=None),
    ]
    found = things(replace(scenes[0], objects=items))
    assert [(thing.name, thing.short) for thing in found] == [
        ("red can", ""), ("blue can", "blue thing"),
    ]  # fmt: skip


def test_a_short_name_is_of_one_thing_alone(scenes: list[Scene]) -> None:
    scene = scenes[0]
    numbers = {"red can": 0, "red box": 1, "dark blue can": 2, "blue ball": 3, "pair of socks": 4}
    items = [named(scene.objects[0], name) for name in numbers]
    found = things(replace(scene, objects=items))
    assert [thing.short for thing in found] == ["", "", "dark blue thing", "", ""]
    assert called(found) == numbers | {"dark blue thing": 2}
    rng = np.random.default_rng(0)
    asked = "Is the dark blue can left of the red can?"
    assert shorten(asked, found, 1.0, rng) == "Is the dark blue thing left of the red can?"
    assert shorten(asked, found, 0.0, rng) == asked
    said = [shorten(asked, found, 0.3, rng) for _ in range(400)]
    assert 0.22 < np.mean([one != asked for one in said]) < 0.38


def test_short_names_and_described_patches_reach_what_is_learnt(run: Path) -> None:
    def drawn(**options: object) -> list[Sample]:
        data = [RunData(run=run, ask="plain", types=["point"], **options)]
        made = samples(data, seed=0, turns=9, spatial_share=1.0, measure=lambda sample: 1)
        return list(islice(made, 3))

    for short, long in zip(drawn(short=1.0, patches="description"), drawn()):
        for (asked, answer), (whole, same) in zip(short.turns, long.turns, strict=True):
            assert re.sub(r" (block|ball|can)\?", " thing?", whole) == asked != whole
            assert answer == same
        assert all(thing.shown == thing.words[:1] for thing in short.things)
        tokenizer = train_tokenizer([text for turn in short.turns for text in turn] * 9, 400)
        row = Writer(tokenizer, 0).row(short.turns, names=called(short.things))
        assert set(row.named) == {-1, *range(len(short.things))}
        learnt = patch_words(short.things, np.arange(len(short.things)), Writer(tokenizer, 0))
        assert ((learnt != IGNORED) == [True, False, False, False]).all()


def test_things_and_space_count_half_each() -> None:
    tokenizer = train_tokenizer([" red can"] * 9, 300)
    config = NanoConfig((64, 16), "log8", 16, 1, 2, tiny_language(len(tokenizer), 32, 1))
    model = Nano(config, tokenizer).eval()
    seen = torch.randint(0, 255, (1, 2, 3, 16, 64), dtype=torch.uint8)
    red, can = tokenizer.encode(" red can", add_special_tokens=False)
    pad = tokenizer.pad_token_id
    words = torch.tensor([[[red, can], [pad, IGNORED], [pad, IGNORED], [pad, IGNORED]]])
    said = -model.language.lm_head(model.show(seen)[0]).log_softmax(-1)
    wanted = (said[0, [red, can]].mean() + said[1:, pad].mean()) / 2
    assert model(Named(seen, words)).item() == pytest.approx(wanted.item(), rel=1e-5)
