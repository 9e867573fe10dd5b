"""Several processes: what each loads to, and two of them that split a model by FSDP, on a CPU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiny_frames import write_frames

torch = pytest.importorskip("torch")
for package in ("transformers", "trl", "peft", "accelerate"):
    pytest.importorskip(package)

import calipers  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.model.hugging import load_model  # noqa: E402
from calipers.train.processes import offline, own_device  # noqa: E402

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "recipes" / "accelerate" / "eight_gpus_fsdp.yaml"


def test_each_process_has_the_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert own_device() == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "5")
    assert [own_device(name) for name in (None, "cuda", "cuda:2", "cpu")] == [
        "cuda:5", "cuda:5", "cuda:2", "cpu",
    ]  # fmt: skip


def test_weights_in_one_process_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = yaml.safe_load(CONFIG.read_text("utf-8"))["fsdp_config"]
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    with pytest.raises(UsageError, match="fsdp_cpu_ram_efficient_loading: false"):
        own_device("cpu")
    wanted = str(settings["fsdp_cpu_ram_efficient_loading"]).lower()
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", wanted)
    assert own_device("cpu") == "cpu"


def test_offline_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with offline():
        assert (os.environ["HF_HUB_OFFLINE"], constants.is_offline_mode()) == ("1", True)
    assert "HF_HUB_OFFLINE" not in os.environ
    assert not constants.is_offline_mode()


def settings() -> dict[str, str]:
    """What accelerate's launcher says to its processes of the config for eight GPUs."""
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    said = {name.upper(): str(value) for name, value in config["fsdp_config"].items()}
    said |= {"ACCELERATE_MIXED_PRECISION": config["mixed_precision"]}
    return said | {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_USE_CPU": "true"}


def trained(tmp_path: Path, *more: str) -> Path:
    """What two processes have made."""
    write_frames(tmp_path / "frames", 4)
    run, out = tmp_path / "run", tmp_path / "out"
    calipers.build(str(tmp_path / "frames"), str(run), workers=1, questions_per_scene=8)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(HERE / "two_processes.py"), str(run), str(out), *more]
    environment = {**os.environ, **settings(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads((out / "told.json").read_text("utf-8"))
    steps = [(r["stage"], r["step"]) for r in told if "loss" in r]
    assert steps == [(name, k) for name in ("projector", "instruction") for k in (1, 2)]
    assert all(math.isfinite(r["loss"]) for r in told if "loss" in r)
    assert sum("evaluation" in r for r in told) == 2
    return out


def test_a_process_may_have_text_alone(tmp_path: Path) -> None:
    """One conversation a process and step: some have pictures, others have none."""
    turns = [{"from": "human", "value": "Say a word."}, {"from": "gpt", "value": "Word."}]
    (tmp_path / "talk.json").write_text(json.dumps([{"conversations": turns}] * 4))
    out = trained(tmp_path, str(tmp_path / "talk.json"))
    for name in ("0-projector", "1-instruction"):
        assert json.loads((out / name / "stage.json").read_text("utf-8"))["finished"]


def test_two_processes_split_a_model_in_both_stages(tmp_path: Path) -> None:
    out = trained(tmp_path)
    first, last = (load_model(str(out / n), "cpu") for n in ("0-projector", "1-instruction"))
    assert {w.dtype for model in (first, last) for w in model.parameters()} == {torch.bfloat16}
    before, after = first.state_dict(), last.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("multi_modal_projector" in name for name in changed)
    assert any("q_proj" in name for name in changed)
    assert not any("vision_tower" in name for name in changed)
