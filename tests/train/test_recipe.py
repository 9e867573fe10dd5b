"""What a recipe may say: every field that means nothing is refused, by its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calipers.errors import UsageError
from calipers.train.recipe import Evaluation, Recipe, make_recipe, read_recipe

NAMES = {"run": "run", "ask": "names"}
PLAIN = {"run": "run", "ask": "plain"}
STAGE = {"name": "all", "learn": ["projector"], "steps": 1}


def recipe(*data: Any, **more: Any) -> Recipe:
    fields = {"out": "out", "data": data or [{"run": "run"}], "stages": [STAGE]}
    return make_recipe(fields | more)


def refused(*data: Any, **more: Any) -> str:
    with pytest.raises(UsageError) as found:
        recipe(*data, **more)
    return str(found.value)


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"run": "r", "wieght": 2}, "wieght: Extra inputs"),
        ({"run": "r", "ask": "plane"}, "ask: Input should be 'questions'"),
        ({"run": "r", "weight": 0}, "weight: Input should be greater than 0"),
        ({"general": "g", "wieght": 2}, "wieght: Extra inputs"),
        ({"general": "g", "image": "x"}, "image: Extra inputs"),
        ({"general": "g", "weight": 0}, "weight: Input should be greater than 0"),
        ({"general": "g", "run": "r"}, "run: Extra inputs"),
    ],
)
def test_the_field_that_is_wrong_is_named(source: dict[str, Any], field: str) -> None:
    assert refused(source).startswith(f"recipe: data.0.{field}")
    stages = [STAGE, STAGE | {"data": [PLAIN, source]}]
    assert refused(stages=stages).startswith(f"recipe: stages.1.data.1.{field}")


@pytest.mark.parametrize("source", [{}, {"rum": "r"}, {"ask": "plain"}, "run", 1, None])
def test_what_is_neither_a_run_nor_general_data_is_told_so(source: Any) -> None:
    assert refused(source) == "recipe: data.0: wanted run: FOLDER or general: FILE"


TAKEN = {
    "questions_per_scene": (8, {"questions"}),
    "mix": (0.5, {"questions"}),
    "boxes": (0.2, {"questions"}),
    "balance": ("balance.json", {"questions"}),
    "types": (["left_predicate"], {"questions", "plain"}),
    "noise": (0.1, {"plain"}),
    "tool": (True, {"plain"}),
    "short": (0.3, {"plain"}),
    "patches": ("description", {"places", "plain", "names"}),
    "frames": ("frames", {"questions", "places", "plain", "names"}),
    "split": ("train", {"questions", "places", "plain", "names"}),
    "weight": (2.0, {"questions", "places", "plain", "names"}),
}


@pytest.mark.parametrize("ask", ["questions", "places", "plain", "names"])
@pytest.mark.parametrize("option", TAKEN)
def test_an_option_is_of_what_takes_it(option: str, ask: str) -> None:
    value, asks = TAKEN[option]
    source = {"run": "run", option: value, "ask": ask}
    if ask in asks:
        recipe(source)
    else:
        assert refused(source).startswith(f"recipe: data.0.{option}: not an option of ask: {ask}")


@pytest.mark.parametrize("ask", ["questions", "places", "plain", "names"])
def test_a_recipe_that_is_written_down_whole_is_read_again(ask: str) -> None:
    """Options that are as they would be anyway say nothing wrong."""
    wanted = recipe({"run": "run", "ask": ask})
    assert make_recipe(wanted.model_dump()) == wanted


INFINITE = float("inf")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PLAIN | {"types": []}, "types: List should have at least 1 item"),
        ({"run": "run", "types": []}, "types: List should have at least 1 item"),
        (PLAIN | {"weight": INFINITE}, "weight: Input should be a finite number"),
        (PLAIN | {"noise": float("nan")}, "noise: Input should be a finite number"),
        ({"general": "g", "weight": INFINITE}, "weight: Input should be a finite number"),
    ],
)
def test_values_that_mean_nothing_are_refused(source: dict[str, Any], said: str) -> None:
    assert refused(source).startswith(f"recipe: data.0.{said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rates": {"projector": -0.5}}, "rates.projector: Input should be greater than 0"),
        ({"rates": {"projector": 0}}, "rates.projector: Input should be greater than 0"),
        ({"rates": {"projector": INFINITE}}, "rates.projector: Input should be a finite number"),
        ({"lr": INFINITE}, "lr: Input should be a finite number"),
        ({"data": []}, "data: List should have at least 1 item"),
    ],
)
def test_a_stage_that_cannot_be_meant_is_refused(change: dict[str, Any], said: str) -> None:
    assert refused(stages=[STAGE | change]).startswith(f"recipe: stages.0.{said}")


@pytest.mark.parametrize("other", [PLAIN, {"run": "run"}, {"general": "talk.json"}])
def test_names_stand_alone(other: dict[str, Any]) -> None:
    """They have no tokens, so that they would have all of the time beside other data."""
    assert refused(other, NAMES).startswith("recipe: data: ask: names")
    stages = [STAGE | {"data": [NAMES, other]}]
    assert refused(stages=stages).startswith("recipe: stages.0.data: ask: names")
    recipe(other, stages=[STAGE | {"data": [NAMES, NAMES | {"run": "other"}]}])


def test_an_evaluation_of_no_types_is_refused() -> None:
    said = refused(evaluate={"run": Path("run"), "ask": "plain", "types": []})
    assert said.startswith("recipe: evaluate.types: List should have at least 1 item")


TOOL = PLAIN | {"tool": True}
ASKED = {"run": "run", "ask": "plain"}


@pytest.mark.parametrize(
    ("data", "stages", "with_tool"),
    [
        ([PLAIN], [STAGE], False),
        ([TOOL], [STAGE], True),
        ([PLAIN, TOOL], [STAGE], True),
        ([{"general": "g"}], [STAGE | {"data": [NAMES]}, STAGE | {"data": [TOOL]}], True),
        ([TOOL], [STAGE | {"data": [PLAIN]}], False),  # nothing is learnt from the recipe's own
    ],
)
def test_an_evaluation_asks_the_depth_api_where_that_is_learnt(
    data: list[Any], stages: list[Any], with_tool: bool
) -> None:
    found = recipe(*data, stages=stages, evaluate=ASKED)
    assert found.tool is with_tool
    assert found.evaluate is not None
    assert found.evaluate.tool is with_tool


@pytest.mark.parametrize("wanted", [True, False])
def test_an_evaluation_may_say_itself_whether_to_ask_the_depth_api(wanted: bool) -> None:
    found = recipe(TOOL, PLAIN, evaluate=ASKED | {"tool": wanted}).evaluate
    assert found == Evaluation(run=Path("run"), ask="plain", tool=wanted)


def written(home: Path, model: str) -> Recipe:
    """The recipe of a file in a folder."""
    fields = {"model": model, "out": "out", "data": [PLAIN], "stages": [STAGE]}
    (home / "recipe.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    return read_recipe(home / "recipe.yaml")


def test_a_model_that_is_a_folder_beside_the_recipe_is_that_one(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    (tmp_path / "deep" / "down").mkdir(parents=True)
    assert written(tmp_path, "start").model == str(tmp_path / "start")
    assert written(tmp_path / "deep" / "down", "../../start").model == str(
        tmp_path / "deep" / "down" / ".." / ".." / "start"
    )
    assert written(tmp_path, str(tmp_path / "start")).model == str(tmp_path / "start")


@pytest.mark.parametrize("name", ["nano", "nano-smollm2", "Qwen/Qwen3-VL-4B-Instruct", "elsewhere"])
def test_a_name_stays_a_name(name: str, tmp_path: Path) -> None:
    assert written(tmp_path, name).model == name


@pytest.mark.parametrize("name", ["nano", "nano-smollm2"])
def test_a_nano_is_new_though_one_was_trained_beside_the_recipe(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert written(tmp_path, name).model == name


def test_a_recipe_of_fields_takes_its_model_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "start").mkdir()
    monkeypatch.chdir(tmp_path)
    assert recipe(model="start").model == "start"
