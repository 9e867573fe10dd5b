"""The experts that Calipers knows: one row a model, and which of them a preset takes.

A row is all that there is to know about a model beside its adapter. To add one, write the adapter
(see `calipers.experts.base`) and its row here. Licences and sizes are those of the models' own
cards; "not stated" counts as not commercial. No preset takes a model that is gated or not for
commercial use: such a model runs only when it is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calipers.errors import UsageError

_APACHE, _MIT = "Apache-2.0", "MIT"

ROLES: tuple[str, ...] = (
    "filter", "tagger", "objects", "masks", "captions", "depth", "gravity", "similarity",
)  # fmt: skip
"""What an expert can do, in the order of the stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model that can fill a role.

    Attributes:
        name: what ``--experts FILE.yaml`` and ``calipers experts`` call it.
        role: one of `ROLES`.
        target: "module:Class" of the adapter.
        id: hub id or local folder; "" for an expert without weights.
        options: keyword arguments of the adapter's ``load``.
        licence: of the weights.
        commercial: whether the licence allows commercial use.
        gated: whether the hub asks to accept terms first.
        size: parameters, as the card gives them; "" where not looked up.
        needs: extra of Calipers that it wants; "" for none.
        modules: what must be importable beside torch and transformers.
        install: the command that brings `modules`, where the extra does not.
        optional: left out of a preset where it is not installed, without a word.
        phrases: an object proposer that finds nothing without phrases to look for.
        camera: a depth estimator that wants the intrinsics first.
        depth: a gravity estimator that wants the depth; too cheap to be kept in the cache.
        note: a few words for `calipers experts list`.
        revision: commit, tag or branch of the hub id; None for what is newest or on disk.
        gpu: share of a GPU that a worker asks for on a cluster; None for one by its size.
    """

    name: str
    role: str
    target: str
    id: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str = _APACHE
    commercial: bool = True
    gated: bool = False
    size: str = ""
    needs: str = "models"
    modules: tuple[str, ...] = ()
    install: str = ""
    optional: bool = False
    phrases: bool = False
    camera: bool = False
    depth: bool = False
    note: str = ""
    revision: str | None = None
    gpu: float | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"{self.name}: wanted a role of {', '.join(ROLES)}, got {self.role!r}")

    @property
    def restricted(self) -> bool:
        """Whether it runs only when it is named."""
        return self.gated or not self.commercial

    def facts(self) -> dict[str, Any]:
        """What decides its results, as JSON takes it; for ``run.json`` and for the cache."""
        return {
            "class": self.target,
            "id": self.id,
            "options": dict(self.options),
            "revision": self.revision,
        }


def _row(role: str, file: str, name: str, id: str = "", **more: Any) -> Entry:
    return Entry(name=name, role=role, target=f"calipers.experts.{file}", id=id, **more)


_FILTER, _DINO = "image_text:ImageTextFilter", "grounding_dino:GroundingDino"
_SAM2, _SAM, _MOGE = "sam2:Sam2", "sam:Sam", "moge:MoGe"
_DAV2 = "depth_anything:DepthAnything"
_FLORENCE = "florence-community/Florence-2"
_V2 = "depth-anything/Depth-Anything-V2-Metric"
_NO = {"commercial": False}
_UNKNOWN = {"licence": "not stated", "commercial": False}
_PHRASES = {"phrases": True}
_CALLER = {"licence": "of the model served", "needs": ""}
_MOGE_ROW = {
    "licence": _MIT,
    "modules": ("moge", "utils3d"),
    "install": "pip install --no-deps dlr-moge==2.0.0 dlr-utils3d==1.3",
}
_DA3_INSTALL = "pip install --no-deps depth-anything-3==0.1.1 && pip install omegaconf einops"

ENTRIES: tuple[Entry, ...] = (
    _row("filter", _FILTER, "siglip2", "google/siglip2-base-patch16-256"),
    _row("filter", _FILTER, "siglip2-so400m", "google/siglip2-so400m-patch14-384"),
    _row("filter", _FILTER, "clip", "openai/clip-vit-base-patch32", licence=_MIT,
         note="the paper's way: softmax over its nine labels"),
    _row("tagger", "florence2:Florence2Tagger", "florence2-tags", f"{_FLORENCE}-base",
         licence=_MIT, size="232M"),
    _row("tagger", "endpoint:EndpointTagger", "endpoint-tags", **_CALLER,
         note="any OpenAI-compatible server; id: its name of the model; options: base_url"),
    _row("objects", _DINO, "llmdet-tiny", "iSEE-Laboratory/llmdet_tiny", **_PHRASES,
         note="LVIS minival AP 44.7 (its README)"),
    _row("objects", _DINO, "llmdet-base", "iSEE-Laboratory/llmdet_base", **_PHRASES,
         note="LVIS minival AP 48.3 (its README)"),
    _row("objects", _DINO, "llmdet-large", "iSEE-Laboratory/llmdet_large", **_PHRASES,
         note="LVIS minival AP 51.1 (its README)"),
    _row("objects", _DINO, "mm-gdino-tiny",
         "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", **_UNKNOWN, **_PHRASES),
    _row("objects", _DINO, "gdino-tiny", "IDEA-Research/grounding-dino-tiny", **_PHRASES),
    _row("objects", _DINO, "gdino-base", "IDEA-Research/grounding-dino-base", **_PHRASES),
    _row("objects", "owlv2:Owlv2", "owlv2", "google/owlv2-base-patch16-ensemble",
         note="class-agnostic boxes without phrases"),
    _row("objects", "florence2:Florence2Objects", "florence2-objects", f"{_FLORENCE}-base",
         licence=_MIT, size="232M", note="boxes and phrases without a vocabulary; no scores"),
    _row("objects", "sam3:Sam3Objects", "sam3", "facebook/sam3", licence="SAM License",
         gated=True, **_PHRASES, note="boxes and masks together, one phrase a pass"),
    _row("masks", _SAM2, "sam2-tiny", "facebook/sam2.1-hiera-tiny"),
    _row("masks", _SAM2, "sam2-small", "facebook/sam2.1-hiera-small"),
    _row("masks", _SAM2, "sam2-base-plus", "facebook/sam2.1-hiera-base-plus"),
    _row("masks", _SAM2, "sam2-large", "facebook/sam2.1-hiera-large"),
    _row("masks", _SAM, "sam", "facebook/sam-vit-base"),
    _row("masks", _SAM, "sam-hq", "syscv-community/sam-hq-vit-base", **_UNKNOWN),
    _row("captions", "florence2:Florence2Captioner", "florence2", f"{_FLORENCE}-base",
         licence=_MIT, size="232M", note="word limit by cutting, not by asking"),
    _row("captions", "florence2:Florence2Captioner", "florence2-large", f"{_FLORENCE}-large",
         licence=_MIT),
    _row("captions", "endpoint:EndpointCaptioner", "endpoint", **_CALLER,
         note="any OpenAI-compatible server; id: its name of the model; options: base_url"),
    _row("depth", _MOGE, "moge2", "Ruicheng/moge-2-vitl-normal", **_MOGE_ROW, size="331M",
         note="depth, intrinsics, normals and mask in one pass"),
    _row("depth", _MOGE, "moge2-base", "Ruicheng/moge-2-vitb-normal", **_MOGE_ROW, size="104M"),
    _row("depth", _MOGE, "moge2-small", "Ruicheng/moge-2-vits-normal", **_MOGE_ROW, size="35M"),
    _row("depth", _DAV2, "depth-anything2-indoor", f"{_V2}-Indoor-Small-hf", size="25M",
         note="at most 20 m; takes no focal length"),
    _row("depth", _DAV2, "depth-anything2-outdoor", f"{_V2}-Outdoor-Small-hf", size="25M",
         note="at most 80 m; takes no focal length"),
    _row("depth", "zoedepth:ZoeDepth", "zoedepth", "Intel/zoedepth-nyu-kitti", licence=_MIT,
         size="0.33B", note="the paper's"),
    _row("depth", "depth_pro:DepthPro", "depth-pro", "apple/DepthPro-hf", size="0.95B",
         licence="apple-amlr (research only)", **_NO),
    _row("depth", "depth_anything3:DepthAnything3", "depth-anything3",
         "depth-anything/DA3METRIC-LARGE", size="0.35B", camera=True,
         modules=("depth_anything_3", "omegaconf", "einops"), install=_DA3_INSTALL,
         note="needs a focal length: metres = focal * output / 300"),
    _row("gravity", "geocalib:GeoCalib", "geocalib", size="28.9M",
         modules=("geocalib",), optional=True,
         install="pip install git+https://github.com/cvg/GeoCalib",
         note="fetches its own weights; also tells the camera"),
    _row("gravity", "normals:NormalsGravity", "normals", licence="", needs="", depth=True,
         note="from the depth expert's normals"),
    Entry(name="words", role="similarity", target="calipers.stages.similarity:NormalisedText",
          licence="", needs="", note="compares the words"),
    Entry(name="sentences", role="similarity",
          target="calipers.stages.similarity:SentenceEmbeddings", needs="text",
          note="all-MiniLM-L6-v2; its weights come with the extra"),
)  # fmt: skip

_ALL = {"gravity": ("geocalib", "normals"), "similarity": ("words",)}

PRESETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "permissive": {
        "filter": ("siglip2",), "tagger": ("florence2-tags",), "objects": ("llmdet-base",),
        "masks": ("sam2-small",), "captions": ("florence2",), "depth": ("moge2",), **_ALL,
    },
    "fast": {
        "filter": ("siglip2",), "objects": ("florence2-objects",), "masks": ("sam2-tiny",),
        "captions": ("florence2",), "depth": ("moge2-small",), **_ALL,
    },
    "best": {
        "filter": ("siglip2-so400m",), "tagger": ("florence2-tags",),
        "objects": ("llmdet-large",), "masks": ("sam2-large",),
        "captions": ("florence2-large",), "depth": ("moge2",),
        "gravity": ("geocalib", "normals"), "similarity": ("sentences",),
    },
    "paper": {
        "filter": ("clip",), "objects": ("owlv2",), "masks": ("sam2-base-plus",),
        "captions": ("florence2-large",), "depth": ("zoedepth",), **_ALL,
    },
}  # fmt: skip
"""Preset → role → names; of gravity all are asked and compared."""

DEFAULT = "permissive"

BY_NAME: Mapping[str, Entry] = {entry.name: entry for entry in ENTRIES}


def name_of(source: str) -> str:
    """The name of the entry that loads the hub id `source`; `source` itself when there is none.

    >>> name_of("Ruicheng/moge-2-vitl-normal"), name_of("somebody/something")
    ('moge2', 'somebody/something')
    """
    return next((entry.name for entry in ENTRIES if entry.id == source), source)
