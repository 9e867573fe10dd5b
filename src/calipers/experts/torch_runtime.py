"""What all adapters of PyTorch models share: device, precision, loading, and errors worth reading.

Weights stay float32; on CUDA the work is done in half precision by autocast, which keeps in
float32 what needs it. Loading never asks the network: a hub id is taken from the hub's cache on
disk, in the revision that ``calipers experts pull`` fetched.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from calipers.errors import MissingExtraError, MissingWeightsError, UsageError
from calipers.experts.choice import digest
from calipers.experts.table import name_of

Loaded = TypeVar("Loaded")

_DTYPES = ("float32", "float16", "bfloat16")


def require(module: str, what: str, extra: str = "models") -> ModuleType:
    """Import a package of an optional dependency.

    Args:
        module: for example "transformers" or "moge.model.v2".
        what: what needs it, for the message.
        extra: the extra of Calipers that brings it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{what} ({module.split('.')[0]})", extra) from error


def choose_device(device: str | None = None) -> str:
    """Take `device` when it is given and there, else the first of cuda, mps, cpu that is there.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: the device is unknown to torch, or not there.
    """
    torch = require("torch", "an expert model")
    there = {"cpu"}
    if torch.cuda.is_available():
        there.add("cuda")
    if torch.backends.mps.is_available():
        there.add("mps")
    if device is None:
        return next(name for name in ("cuda", "mps", "cpu") if name in there)
    if device.split(":")[0] not in there:
        raise UsageError(f"device: wanted one of {', '.join(sorted(there))}, got {device!r}")
    return device


def choose_dtype(device: str, dtype: str | None = None) -> Any:
    """Choose the `torch.dtype` to compute in: bfloat16 or float16 on CUDA, float32 elsewhere.

    Raises:
        UsageError: `dtype` is none of float32, float16, bfloat16.
    """
    torch = require("torch", "an expert model")
    if dtype is None:
        if not device.startswith("cuda"):
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if dtype not in _DTYPES:
        raise UsageError(f"dtype: wanted one of {', '.join(_DTYPES)}, got {dtype!r}")
    return getattr(torch, dtype)


@contextmanager
def inference(device: str, dtype: Any) -> Iterator[None]:
    """Compute without gradients, in `dtype` by autocast where it is not float32."""
    torch = require("torch", "an expert model")
    half = dtype != torch.float32
    with torch.inference_mode(), torch.autocast(device.split(":")[0], dtype, enabled=half):
        yield


def load_pretrained(
    load: Callable[..., Loaded], source: str, revision: str | None = None, **options: Any
) -> Loaded:
    """Call a ``from_pretrained`` for a local folder or a hub id that is on disk.

    Args:
        load: for example ``SiglipModel.from_pretrained``; must know `local_files_only`.
        source: a folder, or a hub id.
        revision: commit, tag or branch of a hub id.
        **options: passed on.

    Raises:
        MissingWeightsError: not on disk, or the folder holds something else.
        MissingExtraError: the class needs a package that is not installed.
    """
    if revision is not None:
        options["revision"] = revision
    with _explained(source):
        return load(source, local_files_only=True, **options)


def hub_file(source: str, file_name: str, revision: str | None = None) -> Path:
    """Find one file of a model that ships as a file; from disk when it is there.

    Args:
        source: a folder that holds `file_name`, the file itself, or a hub id.
        file_name: for example "model.pt".
        revision: commit, tag or branch of a hub id.

    Raises:
        MissingWeightsError: not on disk.
        MissingExtraError: huggingface_hub is not installed.
    """
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        if (path / file_name).is_file():
            return path / file_name
        raise _missing(source, f"it has no {file_name}")
    hub = require("huggingface_hub", "the model hub")
    with _explained(source):
        found = hub.hf_hub_download(source, file_name, revision=revision, local_files_only=True)
    return Path(found)


def commit_of(model: Any, source: str | Path) -> str | None:
    """Tell what was really loaded: the hub's commit, else a digest of the local files.

    Args:
        model: a transformers model (its config knows the commit), or None.
        source: what it was loaded from: a hub id, a folder, or a file that `hub_file` found.
    """
    commit: str | None = getattr(getattr(model, "config", None), "_commit_hash", None)
    if commit:
        return commit
    path = Path(source)
    if not path.exists():
        return None
    parts = path.absolute().parts
    if "snapshots" in parts[:-1]:  # the hub's cache: models--owner--name/snapshots/commit/file
        return parts[parts.index("snapshots") + 1]
    return f"local-{digest(path)}"


@contextmanager
def _explained(source: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{source} ({_first_line(error)})", "models") from error
    except _load_errors() as error:
        raise _missing(source, _first_line(error)) from error


def _load_errors() -> tuple[type[Exception], ...]:
    """What loading raises when files are missing or wrong."""
    return (OSError, ValueError, require("safetensors", "an expert model").SafetensorError)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:160].rstrip(".")


def _missing(source: str, why: str) -> MissingWeightsError:
    if Path(source).exists():
        return MissingWeightsError(f"cannot load {source}: {why}")
    if source.startswith(("/", ".", "~")):
        return MissingWeightsError(f"no such folder of weights: {source}")
    return MissingWeightsError(
        f"no weights of {source} on this disk: fetch them with 'calipers experts pull "
        f"{name_of(source)}', or give a local folder as the id in --experts FILE.yaml"
    )
