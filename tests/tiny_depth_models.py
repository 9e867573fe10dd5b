"""Tiny checkpoints of the real depth models with random weights, made on the spot.

Each function writes one model into a folder, in the files that a hub id would bring, and returns
the folder. Nothing is asked of a hub. The same seed gives the same weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
hf = pytest.importorskip("transformers")

TINY_DINOV2 = "dinov2_tiny14"


def moge(folder: Path) -> Path:
    """MoGe-2 with a Vision Transformer of width 32: 16 to 64 tokens, everything valid.

    A process that loads it must have called `register_tiny_dinov2`, as this does.
    """
    from moge.model.v2 import MoGeModel

    register_tiny_dinov2()
    sizes = [32, 16, 16, 8, 8]
    same = {"res_block_in_norm": "none", "res_block_hidden_norm": "none"}
    same |= {"resamplers": ["conv_transpose"] * 3 + ["bilinear"]}

    def head(channels: int) -> dict[str, Any]:
        blocks = {"dim_res_blocks": [16, 16, 8, 8, 8], "num_res_blocks": [0] * 5}
        return {"dim_in": sizes, "dim_out": [None] * 4 + [channels], **blocks, **same}

    encoder = {"backbone": TINY_DINOV2, "intermediate_layers": [0, 1, 2, 3], "dim_out": 32}
    neck = {"dim_in": [34, 2, 2, 2, 2], "dim_out": None, "num_res_blocks": [1] * 5}
    config = {
        "encoder": encoder,
        "neck": {**neck, "dim_res_blocks": sizes, **same},
        "points_head": head(3),
        "normal_head": head(3),
        "mask_head": head(1),
        "scale_head": {"dims": [32, 32, 1]},
        "remap_output": "exp",
        "num_tokens_range": [16, 64],
    }
    torch.manual_seed(19)  # finds fields of view of about 70 degrees in photographs
    model = MoGeModel(**config)
    _add_to_last_bias(model.mask_head, 10.0)
    _add_to_last_bias(model.scale_head, -2.0)  # and everything about 2 m away
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model_config": config, "model": model.state_dict()}, folder / "model.pt")
    return folder


def register_tiny_dinov2() -> None:
    """Add the backbone of `moge` to those that the package can build by name."""
    import moge.model.dinov2.hub.backbones as backbones
    from moge.model.dinov2.models.vision_transformer import DinoVisionTransformer

    sizes = {"img_size": 518, "patch_size": 14, "embed_dim": 32, "depth": 4, "num_heads": 2}

    def build(pretrained: bool = False) -> Any:
        return DinoVisionTransformer(**sizes, mlp_ratio=2, init_values=1.0, block_chunks=0)

    setattr(backbones, TINY_DINOV2, build)


def depth_anything(folder: Path, kind: str = "metric") -> Path:
    """Depth Anything V2: pictures of 56 pixels and more, depth from 0 to 20."""
    config = hf.DepthAnythingConfig(
        backbone_config=_dinov2(56, reshape_hidden_states=False),
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 16, 24, 32],
        fusion_hidden_size=16,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=20 if kind == "metric" else 1,
    )
    size = {"height": 56, "width": 56}
    keep = {"keep_aspect_ratio": True, "ensure_multiple_of": 14}
    processor = hf.DPTImageProcessorPil(size=size, **keep)
    return _save(folder, _spread(hf.DepthAnythingForDepthEstimation(config)), processor)


def depth_pro(folder: Path, fov: bool = True) -> Path:
    """Depth Pro on patches of 28 pixels: pictures of 112 x 112, field of view about 60 degrees."""
    encoder = _dinov2(28).to_dict()
    config = hf.DepthProConfig(
        patch_size=28,
        fusion_hidden_size=16,
        intermediate_hook_ids=[3, 1],
        intermediate_feature_dims=[8, 8],
        scaled_images_feature_dims=[32, 32, 16],
        merge_padding_value=0,
        use_fov_model=fov,
        image_model_config=encoder,
        patch_model_config=encoder,
        fov_model_config=encoder,
    )
    model = _spread(hf.DepthProForDepthEstimation(config))
    _add_to_last_bias(model.head, 0.5)
    if fov:
        _add_to_last_bias(model.fov_model.head, 60.0)
    _save(folder, model)
    half = [0.5, 0.5, 0.5]
    settings = {"image_mean": half, "image_std": half, "size": {"height": 112, "width": 112}}
    settings |= {"image_processor_type": "DepthProImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def depth_anything3(folder: Path) -> Path:
    """Depth Anything 3 metric, with the smallest backbone that its package can build (22 M)."""
    from depth_anything_3.cfg import create_object, load_config
    from depth_anything_3.registry import MODEL_REGISTRY
    from safetensors.torch import save_file

    net = {"name": "vits", "out_layers": [2, 5, 8, 11]}
    head = {"dim_in": 384, "features": 32, "out_channels": [16, 32, 64, 64]}
    plan = load_config(MODEL_REGISTRY["da3metric-large"])
    plan.net.update(net)
    plan.head.update(head)
    torch.manual_seed(0)
    tensors = create_object(plan).state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"model.{name}": t for name, t in tensors.items()}, folder / "model.safetensors")
    config = {"model_name": "da3metric-large", "config": {"net": net, "head": head}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _save(folder: Path, model: Any, processor: Any = None) -> Path:
    model.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


def _spread(model: Any) -> Any:
    """Draw weights so large that the answer differs from pixel to pixel."""
    torch.manual_seed(0)
    for weights in model.parameters():
        if weights.ndim > 1:
            torch.nn.init.xavier_uniform_(weights)
    return model


def _add_to_last_bias(module: Any, value: float) -> None:
    last = [m for m in module.modules() if getattr(m, "bias", None) is not None][-1]
    with torch.no_grad():
        last.bias += value


def _dinov2(image_size: int, **more: Any) -> Any:
    return hf.Dinov2Config(
        image_size=image_size,
        patch_size=14,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        apply_layernorm=True,
        **more,
    )


def zoedepth(folder: Path, heads: int = 2) -> Path:
    """ZoeDepth on BEiT: pictures of 64 x 96, depth to 10 m (NYU) and to 80 m (KITTI)."""
    backbone = hf.BeitConfig(
        image_size=64,
        patch_size=16,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    bins = [{"n_bins": 16, "min_depth": 1e-3, "max_depth": 10.0, "name": "nyu"}]
    bins += [{"n_bins": 16, "min_depth": 1e-3, "max_depth": 80.0, "name": "kitti"}]
    config = hf.ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[8, 16, 24, 32],
        fusion_hidden_size=16,
        bottleneck_features=16,
        bin_embedding_dim=16,
        num_relative_features=8,
        num_attractors=[4, 3, 2, 1],
        bin_configurations=bins[:heads],
        num_patch_transformer_layers=4,
        patch_transformer_hidden_size=128,
        patch_transformer_intermediate_size=32,
        patch_transformer_num_attention_heads=2,
    )
    processor = hf.ZoeDepthImageProcessorPil(
        size={"height": 64, "width": 96}, ensure_multiple_of=32
    )
    return _save(folder, _spread(hf.ZoeDepthForDepthEstimation(config)), processor)
