"""The import rules: who may know whom, and how little `import calipers` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "calipers"
STANDARD = set(sys.stdlib_module_names)

# Room → what its files may import at their top, beside the standard library and themselves.
MAY_IMPORT = {
    "errors": set(),
    "units": {"errors", "numpy"},
    "types": {"errors", "units", "numpy"},
    "depth_codec": {"errors", "numpy"},
    "actions": {"errors", "numpy"},
    "chat_wire": set(),
    "thoughts": set(),
    "chat": {"chat_wire", "errors", "httpx2", "tenacity"},
    "geometry": {"errors", "types", "numpy", "scipy"},
    "io": {
        *("types", "errors", "depth_codec"),
        *("numpy", "pyarrow", "PIL", "pycocotools", "pydantic", "pydantic_core", "annotated_types"),
    },
    "experts": {"types", "errors", "geometry", "chat", "thoughts", "numpy", "pyarrow", "PIL"},
    "stages": {"types", "geometry", "errors", "experts", "numpy", "scipy"},
    "questions": {"types", "units", "geometry", "errors", "numpy", "scipy", "yaml", "pyarrow"},
    "view": {
        *("types", "io", "tools", "geometry", "questions", "stats", "errors"),
        *("numpy", "pyarrow", "PIL"),
    },
    "tools": {
        *("types", "errors", "geometry", "io", "depth_codec", "questions", "stages", "chat"),
        *("numpy", "pydantic", "pydantic_core", "annotated_types", "cyclopts"),
        *("anyio", "starlette", "uvicorn", "mcp"),
    },
    "reason": {
        *("tools", "types", "errors", "units", "evals", "chat", "chat_wire", "io", "view"),
        *("thoughts", "numpy", "pydantic", "cyclopts"),
    },
    "act": {"reward", "samples", "stages", "geometry", "io", "types", "errors", "numpy", "scipy"},
    "reward": {
        *("types", "errors", "geometry", "questions", "stages", "io"),
        *("numpy", "scipy", "pyarrow", "cyclopts"),
    },
    "samples": {"types", "io", "errors", "numpy", "scipy", "PIL"},
    "fill": {"stages", "experts", "io", "types", "errors"},
    "flow": set(),
    "handover": {"io", "types"},
    "work": {"fill", "flow", "handover", "stages", "experts", "questions", "io", "types", "errors"},
    "spatialqa": {
        *("types", "units", "errors", "geometry", "questions", "stages", "experts", "io"),
        *("tools", "chat", "work", "view", "numpy", "yaml", "pyarrow"),
    },
    "evals": {"types", "units", "thoughts", "io", "errors", "numpy", "inspect_ai"},
    "bench": {"spatialqa", "evals", "questions", "types", "errors", "numpy", "cyclopts"},
    "stream": {"questions", "io", "types", "errors", "numpy", "pyarrow"},
    "blind": {"questions", "stages", "io", "types", "errors", "numpy", "pyarrow"},
    "stats": {"blind", "questions", "io", "errors", "numpy", "pyarrow"},
    "splits": {"view", "io", "flow", "errors", "numpy", "scipy", "pyarrow", "PIL"},
    "engine": {"work", "experts", "io", "errors"},
    "model": {
        *("types", "io", "errors", "depth_codec", "experts", "evals", "tools", "chat"),
        *("numpy", "PIL", "torch", "transformers", "tokenizers", "safetensors"),
    },
    "train": {
        *("model", "types", "io", "errors", "depth_codec", "experts", "evals"),
        *("blind", "questions", "stream", "samples"),
        "tools",  # evaluations answer a model that asks the DepthAPI
        *("numpy", "torch", "pydantic", "pydantic_core", "yaml", "safetensors", "cyclopts"),
    },
    "serve": {
        *("model", "train", "tools", "evals", "chat", "io", "types", "units", "errors"),
        *("anyio", "starlette", "pydantic", "pydantic_core", "cyclopts"),
    },
    "pipeline": {"work", "engine", "experts", "questions", "io", "types", "errors"},
}
HEAVY = {
    *("torch", "scipy", "pyarrow", "PIL", "pycocotools", "pydantic", "cyclopts", "rich", "yaml"),
    *("httpx2", "tenacity"),
}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


LATER = {"reason": {"model"}, "reward": {"model", "evals"}}
"""What of ours is imported inside functions only, where somebody asks for it."""


def imported(node: ast.stmt) -> list[str]:
    """The modules of an import statement, as "calipers.io.run" or "numpy.typing"."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        if node.module == "calipers":
            return [f"calipers.{alias.name}" for alias in node.names]
        return [node.module or ""]
    return []


def short(module: str) -> str:
    """The room of one of ours, the package of anything else."""
    parts = module.split(".")
    return parts[1] if parts[0] == "calipers" and len(parts) > 1 else parts[0]


def files(*rooms: str) -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if not rooms or room(path) in rooms]


@pytest.mark.parametrize("path", files(*MAY_IMPORT), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    found = {short(name) for node in tree.body for name in imported(node)}
    allowed = MAY_IMPORT[room(path)] | STANDARD | {room(path)}
    assert found - allowed == set()


@pytest.mark.parametrize("path", files(*MAY_IMPORT), ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_function_reaches_into_a_room_that_its_own_may_not_know(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    names = {name for node in nodes for name in imported(node)}
    ours = {short(name) for name in names if name.startswith("calipers.")}
    allowed = MAY_IMPORT[room(path)] | LATER.get(room(path), set()) | {room(path)}
    assert ours - allowed == set()


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_file_of_ours_is_known_from_below(path: Path) -> None:
    """Even inside functions, nothing reaches up to the command line or the verbs."""
    if room(path) in ("cli", "__main__", "__init__", "verbs", "demo"):
        return
    tree = ast.parse(path.read_text("utf-8"))
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    found = {short(name) for node in nodes for name in imported(node)}
    heavy = set() if room(path) in ("experts", "model", "train") else {"torch"}
    assert found & {"cli", "verbs", "demo", *heavy} == set()


@pytest.mark.parametrize("path", files("stages"), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_stage_knows_what_an_expert_is_and_none_of_them(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    found = {name for node in tree.body for name in imported(node) if "experts" in name}
    assert found <= {"calipers.experts.base"}


def test_only_columns_of_questions_know_parquet() -> None:
    for path in files("questions"):
        text = path.read_text("utf-8")
        assert "pyarrow" not in text or path.name in ("asking.py", "columns.py")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in found.stdout.split()}


def test_import_calipers_loads_nothing_heavy() -> None:
    assert loaded_by("import calipers") & (HEAVY | {"numpy"}) == set()


def test_the_command_line_starts_light() -> None:
    assert loaded_by("import calipers.cli") & {"numpy", "scipy", "pyarrow", "PIL"} == set()


def test_nothing_loads_torch() -> None:
    verbs = "import calipers, calipers.verbs; calipers.ask, calipers.measure, calipers.read_scenes"
    verbs += ", calipers.QuestionStream"
    assert loaded_by(verbs) & {"torch", "transformers", "huggingface_hub", "httpx2"} == set()


def test_import_calipers_is_quick() -> None:
    code = "import time; s = time.perf_counter(); import calipers; print(time.perf_counter() - s)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(runs) < 0.3
