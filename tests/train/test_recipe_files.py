"""The files that docs/train.md names: every recipe is valid, every accelerate setting is known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from calipers.train.recipe import GeneralData, read_recipe

HOME = Path(__file__).parents[2]
RECIPES = sorted((HOME / "recipes" / "train").glob("*.yaml"))
CONFIGS = sorted((HOME / "recipes" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipes_are_valid_and_their_paths_begin_beside_them(path: Path) -> None:
    found = read_recipe(path)
    assert found.out.parent == path.parent
    for source in found.data:
        place = source.general if isinstance(source, GeneralData) else source.run
        assert place.is_relative_to(path.parent)
        if found.evaluate is not None and not isinstance(source, GeneralData):
            assert source.split not in (None, found.evaluate.split)  # not learnt from


def test_the_recipe_of_qwen_is_what_its_head_says() -> None:
    """SpatialBot's: the projector alone, then LoRA of rank 128 and it at a tenth of the rate."""
    found = read_recipe(HOME / "recipes" / "train" / "qwen3_vl_4b.yaml")
    first, second = found.stages
    assert (first.learn, first.lora) == (["projector"], None)
    assert second.lora is not None
    assert (second.lora.r, second.lora.alpha) == (128, 256)
    assert second.rates["projector"] == pytest.approx(second.lr / 10)
    assert found.spatial_share == 0.05


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_accelerate_knows_every_setting(path: Path) -> None:
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(path))  # refuses keys of the outermost level
    assert isinstance(config, ClusterConfig)
    known = {action.dest for action in launch_command_parser()._actions}
    assert set(config.fsdp_config) <= known
    written = yaml.safe_load(path.read_text("utf-8"))
    machines, processes = written["num_machines"], written["num_processes"]
    sizes = {"one_gpu": (1, 1), "eight_gpus_fsdp": (1, 8), "two_nodes_fsdp": (2, 16)}
    assert (machines, processes) == sizes[path.stem]


def test_every_command_of_the_docs_can_be_parsed() -> None:
    """accelerate's own parser takes them, and the files that they name are there."""
    pytest.importorskip("accelerate")
    from accelerate.commands.launch import launch_command_parser

    text = (HOME / "docs" / "train.md").read_text("utf-8")
    commands = re.findall(r"^accelerate launch (.+)$", text, re.MULTILINE)
    given = [launch_command_parser().parse_args(command.split()) for command in commands]
    assert [Path(one.config_file).name for one in given] == [
        "one_gpu.yaml", "eight_gpus_fsdp.yaml", "two_nodes_fsdp.yaml",
    ]  # fmt: skip
    for one in given:
        assert (HOME / one.config_file).is_file()
        assert (one.module, one.training_script) == (True, "calipers")
        verb, recipe = one.training_script_args
        assert verb == "train"
        assert f"cp recipes/train/{recipe} ." in text
        assert (HOME / "recipes" / "train" / recipe).is_file()
