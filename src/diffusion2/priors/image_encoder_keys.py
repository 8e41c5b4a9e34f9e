"""Names of the image encoder's parameters: from OpenCLIP, as in the released checkpoints, to transformers."""

import re
from functools import partial

from torch import Tensor

from diffusion2.errors import WeightsError
from diffusion2.weights.tensor_files import Shapes, TensorSource

PREFIX = "conditioner.embedders.0.open_clip.model.visual."
"""The rest of OpenCLIP's model, which is about text, isn't needed."""

_OUTER = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def image_encoder_sources(shapes: Shapes) -> dict[str, TensorSource]:
    """Find the image encoder's parameters in a released checkpoint.

    Queries, keys and values lie in one matrix there, and the projection is transposed.

    Args:
        shapes: of the checkpoint's tensors, by name.

    Raises:
        WeightsError: the checkpoint holds no image encoder, or one with unknown parameters.
    """
    sources: dict[str, TensorSource] = {}
    for name, shape in shapes.items():
        if not name.startswith(PREFIX):
            continue
        inner = name.removeprefix(PREFIX)
        layer = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)", inner)
        if inner in _OUTER:
            sources[_OUTER[inner]] = TensorSource(name, tuple(shape))
        elif inner == "proj":
            sources["visual_projection.weight"] = TensorSource(name, tuple(shape)[::-1], Tensor.t)
        elif layer:
            sources |= _layer_sources(f"vision_model.encoder.layers.{layer[1]}", layer[2], name, tuple(shape))
        else:
            raise WeightsError(f"{name!r} is no parameter of OpenCLIP's image encoder")
    if not sources:
        raise WeightsError(f"no tensor's name begins with {PREFIX!r}: the checkpoint holds no image encoder")
    return sources


def _layer_sources(prefix: str, inner: str, name: str, shape: tuple[int, ...]) -> dict[str, TensorSource]:
    """Return the one parameter that a layer's tensor becomes, or the three."""
    joint = re.fullmatch(r"attn\.in_proj_(weight|bias)", inner)
    if joint:
        third = (shape[0] // 3, *shape[1:])
        return {
            f"{prefix}.self_attn.{letter}_proj.{joint[1]}": TensorSource(name, third, partial(_third, part))
            for part, letter in enumerate("qkv")
        }
    module, _, leaf = inner.rpartition(".")
    if module not in _LAYER:
        raise WeightsError(f"{name!r} is no parameter of OpenCLIP's image encoder")
    return {f"{prefix}.{_LAYER[module]}.{leaf}": TensorSource(name, shape)}


def _third(part: int, joint: Tensor) -> Tensor:
    return joint.chunk(3)[part]
