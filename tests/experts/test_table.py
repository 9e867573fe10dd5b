"""The table of experts, the presets, and files that choose others."""

from __future__ import annotations

import json
import pickle
from importlib import import_module
from pathlib import Path

import pytest

from calipers.errors import UsageError
from calipers.experts import choice as choosing
from calipers.experts.choice import NOBODY, choose, missing_part, on_disk, revision_on_disk
from calipers.experts.table import BY_NAME, DEFAULT, ENTRIES, PRESETS, ROLES, Entry

FREE = {"Apache-2.0", "MIT", ""}
METHODS = {
    "filter": "score", "tagger": "tag", "objects": "propose", "masks": "segment",
    "captions": "describe", "depth": "estimate", "gravity": "down", "similarity": "alike",
}  # fmt: skip


def test_names_are_different() -> None:
    assert len(BY_NAME) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_adapter_is_there_and_fills_its_role(entry: Entry) -> None:
    module, _, name = entry.target.partition(":")
    adapter = getattr(import_module(module), name)
    assert callable(getattr(adapter, METHODS[entry.role]))
    assert entry.role == "similarity" or callable(adapter.load)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_take_only_what_anybody_may_use(preset: str) -> None:
    for role, names in PRESETS[preset].items():
        for name in names:
            assert BY_NAME[name].role == role
            assert not BY_NAME[name].restricted
            assert BY_NAME[name].licence in FREE


def test_every_preset_fills_what_a_photo_lacks() -> None:
    for preset in PRESETS.values():
        assert {"filter", "objects", "masks", "captions", "depth", "gravity"} <= set(preset)
        needs_words = any(BY_NAME[name].phrases for name in preset["objects"])
        assert "tagger" in preset or not needs_words


def test_the_paper_is_the_papers() -> None:
    chosen = choose("paper")
    assert chosen.experts["depth"][0].id == "Intel/zoedepth-nyu-kitti"
    assert chosen.experts["filter"][0].id == "openai/clip-vit-base-patch32"
    assert chosen.assume_fov_deg == 60.0
    assert choose("permissive").assume_fov_deg is None


def test_the_default_is_the_permissive_preset_as_far_as_it_is_here() -> None:
    chosen = choose(None)
    assert (DEFAULT, chosen.named) == ("permissive", False)
    assert chosen.missing.keys() | chosen.experts.keys() == PRESETS["permissive"].keys()
    assert chosen.missing["depth"].startswith("moge2 ")  # no test sees anybody's weights
    ways = ("calipers[models]", "dlr-moge==2.0.0", "pull moge2")  # by what is installed here
    assert any(way in chosen.missing["depth"] for way in ways)
    assert "similarity" in chosen.experts


def yaml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experts.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_changes_a_preset(tmp_path: Path) -> None:
    chosen = choose(yaml(tmp_path, """
        base: fast
        depth: {entry: moge2-small, id: /models/moge, revision: v1, options: {resolution_level: 3}}
        captions: null
        masks: {class: "mine:Masks", id: somebody/masks, name: mine}
        gravity: [normals]
        assume_fov_deg: 55
        scene_share: 0.2
    """))  # fmt: skip
    (depth,) = chosen.experts["depth"]
    assert (depth.id, depth.revision, depth.options) == (
        "/models/moge", "v1", {"resolution_level": 3},
    )  # fmt: skip
    assert depth.licence == "MIT"
    assert "captions" not in chosen.experts
    (mine,) = chosen.experts["masks"]
    assert (mine.name, mine.target, mine.id) == ("mine", "mine:Masks", "somebody/masks")
    assert [entry.name for entry in chosen.experts["gravity"]] == ["normals"]
    assert [entry.name for entry in chosen.experts["objects"]] == ["florence2-objects"]
    assert (chosen.assume_fov_deg, chosen.scene_share, chosen.named) == (55.0, 0.2, True)


def test_a_file_without_base_has_nobody_else(tmp_path: Path) -> None:
    assert list(choose(yaml(tmp_path, "depth: moge2")).experts) == ["depth"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2", "not YAML"),
        ("- a", "wanted role: expert, got list"),
        ("color: moge2", "got color"),
        ("base: quick", "base: wanted one of permissive, fast, best, paper, got 'quick'"),
        ("depth: sam2-tiny", "depth: wanted one of moge2, moge2-base"),
        ("depth: {id: x}", "wanted an entry's name, or 'entry' or 'class'"),
        ("depth: {entry: moge2, class: 'a:B'}", "wanted an entry's name"),
        ("depth: {entry: moge2, size: 3}", "wanted an entry's name"),
        ("depth: {entry: moge2, options: 3}", "options: wanted a mapping, got 3"),
        ("depth: 3", "wanted an entry's name"),
        ("assume_fov_deg: 200", "wanted a number in 1 to 179, got 200"),
        ("assume_fov_deg: yes", "wanted a number in 1 to 179, got True"),
        ("scene_share: 2", "wanted a number in 0 to 1, got 2"),
    ],
)
def test_a_file_that_says_something_else(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        choose(yaml(tmp_path, text))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_neither_preset_nor_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"wanted permissive, fast, best, paper or a \.yaml"):
        choose("fastest")
    with pytest.raises(UsageError, match=r"cannot read .*none\.yaml"):
        choose(tmp_path / "none.yaml")


def test_a_restricted_model_says_so_in_one_line(tmp_path: Path) -> None:
    text = "base: fast\ndepth: depth-pro\nobjects: sam3\ntagger: florence2-tags"
    assert choose(yaml(tmp_path, text)).notices() == [
        "objects: sam3 is SAM License and gated (taken because it was named)",
        "depth: depth-pro is apple-amlr (research only), not known to allow commercial use "
        "(taken because it was named)",
    ]
    assert all(choose(preset).notices() == [] for preset in PRESETS)


def test_a_choice_travels_to_workers_and_tells_itself_apart() -> None:
    fast = choose("fast")
    copy = pickle.loads(pickle.dumps(fast))
    assert (copy, hash(copy)) == (fast, hash(fast))
    assert hash(choose("best")) != hash(fast)
    json.dumps(fast.facts)
    assert set(fast.facts) == {*ROLES, "assume_fov_deg", "scene_share"} - {"tagger"}
    assert NOBODY.facts == {"assume_fov_deg": None, "scene_share": 0.5}


def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds moge2 at commit abc123."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--Ruicheng--moge-2-vitl-normal"
    (folder / "snapshots" / "abc123").mkdir(parents=True)
    (folder / "snapshots" / "abc123" / "model.pt").write_bytes(b"weights")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc123")
    return folder


def test_what_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moge = BY_NAME["moge2"]
    monkeypatch.setattr(choosing, "missing_package", lambda entry: None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    told = "moge2 has no weights on this disk: calipers experts pull moge2"
    assert (on_disk(moge.id), missing_part(moge), revision_on_disk(moge)) == (False, told, None)
    hub(tmp_path, monkeypatch)
    assert (on_disk(moge.id), missing_part(moge)) == (True, None)
    assert revision_on_disk(moge) == "abc123"


def test_a_local_folder_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    entries = [
        Entry(name=n, role="depth", target="x:Y", id=str(tmp_path / n)) for n in ("a", "b", "c")
    ]
    a, b, c = map(revision_on_disk, entries)
    assert a == b != c
    assert a is not None
    assert a.startswith("local-")


def test_a_role_must_be_one() -> None:
    with pytest.raises(UsageError, match="wanted a role of filter, tagger"):
        Entry(name="x", role="colour", target="a:B")
