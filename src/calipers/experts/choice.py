"""Which experts a run takes: a preset, or a YAML file that names one for each role.

.. code-block:: yaml

    base: permissive              # a preset that fills the other roles; without it they stay empty
    depth: depth-pro              # an entry of `calipers experts list`
    captions: {entry: endpoint, id: my-vlm, options: {base_url: "http://localhost:8000/v1"}}
    masks: {class: "my_package.masks:MyMasks", id: /models/mine, options: {threshold: 0.4}}
    gravity: [geocalib, normals]  # several are asked and compared
    filter: null                  # no expert for this role
    assume_fov_deg: 60            # where nothing tells the field of view
    scene_share: 0.5              # what the filter asks of a picture, 0 to keep all
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from calipers.errors import UsageError
from calipers.experts.table import BY_NAME, DEFAULT, ENTRIES, PRESETS, ROLES, Entry

SCENE_SHARE = 0.5
_CORE = {"models": ("torch", "transformers")}
_KEYS = {"entry", "class", "id", "options", "revision", "name", "phrases", "camera", "depth",
         "gpu"}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """The experts of a run.

    Attributes:
        experts: role → entries, in the order in which they are asked.
        missing: role → why its expert is not there; only for the preset that nobody named.
        named: whether somebody asked for these experts.
        assume_fov_deg: horizontal field of view where nothing tells it; None to skip the picture.
        scene_share: see `calipers.stages.filter`.
    """

    experts: Mapping[str, tuple[Entry, ...]]
    missing: Mapping[str, str] = field(default_factory=dict)
    named: bool = True
    assume_fov_deg: float | None = None
    scene_share: float = SCENE_SHARE

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What decides the results, as JSON takes it."""
        found: dict[str, Any] = {
            role: {entry.name: entry.facts() for entry in entries}
            for role, entries in self.experts.items()
        }
        rules = {"assume_fov_deg": self.assume_fov_deg, "scene_share": self.scene_share}
        return found | rules

    def described(self) -> dict[str, dict[str, Any]]:
        """Role → name → what the expert is, for the record."""
        return {
            role: {entry.name: entry.facts() | {"licence": entry.licence} for entry in entries}
            for role, entries in self.experts.items()
        }

    def notices(self) -> list[str]:
        """One line for each model that is gated or not for commercial use."""
        return [
            f"{role}: {entry.name} is {entry.licence}"
            f"{' and gated' if entry.gated else ''}"
            f"{'' if entry.commercial else ', not known to allow commercial use'}"
            " (taken because it was named)"
            for role, entries in self.experts.items()
            for entry in entries
            if entry.restricted
        ]

    def __hash__(self) -> int:
        return hash(json.dumps([self.facts, dict(self.missing)], sort_keys=True, default=str))


NOBODY = Choice({}, named=False)
"""No expert at all: what is missing stays missing."""


def choose(experts: str | Path | None = None) -> Choice:
    """Read ``--experts``: a preset's name or a YAML file; None for the default preset.

    Of the default preset, which nobody named, what is not installed or not on disk is left out and
    said in `Choice.missing`.

    Raises:
        UsageError: no such preset or file, or the file is not as described above.
    """
    if experts is None:
        return _available(_preset(DEFAULT))
    if str(experts) in PRESETS:
        return _preset(str(experts))
    path = Path(experts)
    if path.suffix not in (".yaml", ".yml"):
        names = ", ".join(PRESETS)
        raise UsageError(f"--experts: wanted {names} or a .yaml file, got {str(experts)!r}")
    return _from_mapping(_read(path), str(path))


def _preset(name: str) -> Choice:
    rows = PRESETS[name]
    experts = {role: tuple(BY_NAME[n] for n in rows[role]) for role in ROLES if role in rows}
    found = {role: _installed(entries) for role, entries in experts.items()}
    return Choice(found, assume_fov_deg=ASSUMED_FOV_DEG.get(name))


def _installed(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return tuple(e for e in entries if not (e.optional and missing_package(e)))


ASSUMED_FOV_DEG: Mapping[str, float] = {"paper": 60.0}
"""Presets whose depth model tells no focal length, and the field of view they assume."""


def _available(choice: Choice) -> Choice:
    missing: dict[str, str] = {}
    experts = {}
    for role, entries in choice.experts.items():
        why = next((w for e in entries if (w := missing_part(e)) is not None), None)
        if why is None:
            experts[role] = entries
        else:
            missing[role] = why
    return replace(choice, experts=experts, missing=missing, named=False)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: wanted role: expert, got {type(found).__name__}")
    return found


def _from_mapping(rows: dict[str, Any], where: str) -> Choice:
    known = ("base", *ROLES, "assume_fov_deg", "scene_share")
    unknown = set(rows) - set(known)
    if unknown:
        wanted = ", ".join(known)
        raise UsageError(f"{where}: wanted {wanted}, got {', '.join(map(str, unknown))}")
    base = rows.get("base")
    if base is not None and base not in PRESETS:
        raise UsageError(f"{where}: base: wanted one of {', '.join(PRESETS)}, got {base!r}")
    choice = Choice({}) if base is None else _preset(base)
    experts = dict(choice.experts)
    for role in (role for role in ROLES if role in rows):
        given = rows[role] if isinstance(rows[role], list) else [rows[role]]
        experts[role] = tuple(_entry(role, row, where) for row in given if row is not None)
    experts = {role: experts[role] for role in ROLES if experts.get(role)}
    fov = rows.get("assume_fov_deg", choice.assume_fov_deg)
    share = rows.get("scene_share", choice.scene_share)
    if fov is not None:
        fov = _number("assume_fov_deg", fov, 1, 179, where)
    return Choice(
        experts, assume_fov_deg=fov, scene_share=_number("scene_share", share, 0, 1, where)
    )


def _number(name: str, value: Any, least: float, most: float, where: str) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise UsageError(f"{where}: {name}: wanted a number in {least} to {most}, got {value!r}")
    return float(value)


def _entry(role: str, row: Any, where: str) -> Entry:
    """One expert of a YAML file: an entry's name, or a mapping that changes or makes one."""
    if isinstance(row, str):
        row = {"entry": row}
    if not isinstance(row, dict) or not set(row) <= _KEYS or ("entry" in row) == ("class" in row):
        raise UsageError(f"{where}: {role}: wanted an entry's name, or 'entry' or 'class' with id, "
                         f"options, revision; got {row!r}")  # fmt: skip
    if "entry" in row:
        entry = BY_NAME.get(row["entry"])
        if entry is None or entry.role != role:
            names = ", ".join(e.name for e in ENTRIES if e.role == role)
            raise UsageError(f"{where}: {role}: wanted one of {names}, got {row['entry']!r}")
    else:
        target = str(row["class"])
        name = str(row.get("name", target.rpartition(":")[2]))
        entry = Entry(name=name, role=role, target=target, licence="yours", needs="")
    if not isinstance(row.get("options", {}), dict):
        raise UsageError(f"{where}: {role}: options: wanted a mapping, got {row['options']!r}")
    changes = ("id", "revision", "phrases", "camera", "depth", "gpu")
    plain = {key: row[key] for key in changes if row.get(key) is not None}
    return replace(entry, **plain, options={**entry.options, **row.get("options", {})})


def missing_package(entry: Entry) -> str | None:
    """The first package an entry needs that is not installed; nothing is imported."""
    wanted = (*_CORE.get(entry.needs, ()), *entry.modules)
    return next((name for name in wanted if find_spec(name) is None), None)


def how_to_install(entry: Entry, package: str) -> str:
    """The command that brings a package an entry needs."""
    if package in entry.modules and entry.install:
        return entry.install
    return f"pip install 'calipers[{entry.needs}]'"


def missing_part(entry: Entry) -> str | None:
    """Why an entry cannot be used here: a package, or weights; None when it can."""
    package = missing_package(entry)
    if package is not None:
        return f"{entry.name} needs the package {package}: {how_to_install(entry, package)}"
    if entry.id and not on_disk(entry.id):
        return f"{entry.name} has no weights on this disk: calipers experts pull {entry.name}"
    return None


def on_disk(source: str) -> bool:
    """Whether the weights of a folder or a hub id are there."""
    return Path(source).exists() or any((hub_folder(source) / "snapshots").glob("*/*"))


def hub_folder(source: str) -> Path:
    """Where the hub's client keeps an id: ``$HF_HUB_CACHE``, ``$HF_HOME/hub`` or its default."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "huggingface"
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", home)) / "hub"
    return Path(hub) / f"models--{source.replace('/', '--')}"


def revision_on_disk(entry: Entry) -> str | None:
    """The commit that loading an entry would take, without loading it; None when unknown."""
    if not entry.id:
        return None
    if Path(entry.id).exists():
        return f"local-{digest(Path(entry.id))}"
    ref = hub_folder(entry.id) / "refs" / (entry.revision or "main")
    return ref.read_text("utf-8").strip() if ref.is_file() else entry.revision


@cache
def digest(path: Path) -> str:
    """Hash names and contents of a file or of all files of a folder: 16 hexadecimal digits."""
    found = blake2b(digest_size=8)
    for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
        found.update(file.name.encode(errors="surrogateescape") + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                found.update(block)
    return found.hexdigest()
