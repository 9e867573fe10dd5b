"""What adapters of transformers models share: a model with its processor, loaded and run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self

import PIL.Image

from calipers.experts.base import Image
from calipers.experts.torch_runtime import (
    choose_device,
    choose_dtype,
    commit_of,
    inference,
    load_pretrained,
    require,
)


class HubExpert:
    """A model of transformers, from a local folder or a hub id.

    Attributes:
        model: in evaluation mode, on `device`; weights in float32.
        processor: what prepares its inputs.
        revision: the commit, or digest of the folder, that was loaded.
    """

    model_class: ClassVar[str]

    def __init__(
        self, model: Any, processor: Any, *, device: str, dtype: Any, revision: str | None
    ) -> None:
        self.model, self.processor = model, processor
        self.device, self.dtype, self.revision = device, dtype, revision

    @classmethod
    def load(
        cls,
        source: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> Self:
        """Load model and processor.

        Args:
            source: a local folder, or a hub id.
            revision: commit, tag or branch of a hub id.
            device: "cuda", "mps" or "cpu"; the first that is there by default.
            dtype: "float32", "float16" or "bfloat16" to compute in.
            **options: keyword arguments of the adapter.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            MissingWeightsError: the weights are neither on disk nor to be fetched.
        """
        chosen = choose_device(device)
        model = cls._model(source, revision, chosen)
        return cls(
            model,
            cls._processor(source, revision),
            device=chosen,
            dtype=choose_dtype(chosen, dtype),
            revision=commit_of(model, source),
            **options,
        )

    @classmethod
    def _model(cls, source: str, revision: str | None, device: str) -> Any:
        hub = require("transformers", f"{cls.__name__}, an expert model,")
        load = getattr(hub, cls.model_class).from_pretrained
        whole = require("torch", cls.__name__).float32  # many checkpoints are stored in halves
        return load_pretrained(load, source, revision, dtype=whole).eval().to(device)

    @classmethod
    def _processor(cls, source: str, revision: str | None) -> Any:
        """Load the processor of PIL: the same pixels with torchvision and without."""
        load = require("transformers", f"{cls.__name__}, an expert model,").AutoProcessor
        return load_pretrained(load.from_pretrained, source, revision, backend="pil")

    def _inputs(self, **what: Any) -> Any:
        """Run the processor; tensors on the device."""
        if "images" in what:  # as PIL: the axes of an array of 3 x 3 x 3 would have to be guessed
            what["images"] = [PIL.Image.fromarray(image) for image in what["images"]]
        return self.processor(**what, return_tensors="pt").to(self.device)

    def _inference(self) -> AbstractContextManager[None]:
        return inference(self.device, self.dtype)


def size_wh(image: Image) -> tuple[int, int]:
    """Width and height of a picture.

    >>> import numpy as np
    >>> size_wh(np.zeros((2, 3, 3), np.uint8))
    (3, 2)
    """
    return image.shape[1], image.shape[0]
