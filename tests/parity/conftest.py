"""The numbers of the released implementation, and networks with the weights that they belong to."""

import gzip
import json
import os
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion2.priors.checkpoint_keys import unet_sources
from diffusion2.priors.unet import SpatioTemporalUNet

from ..one_thread import one_thread as one_thread


class ParityCase:
    """A folder of numbers; shapes and counts are always read from the arrays."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "outputs.npz") as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        plain, packed = folder / "checkpoint_keys.json", folder / "checkpoint_keys.json.gz"
        text = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
        self.keys: dict[str, dict[str, list[int]]] = json.loads(text)

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    @cache  # noqa: B019 (one instance, for the session)
    def network(self, kind: str, size: str) -> SpatioTemporalUNet:
        """Build a small network; its width and its vectors' are read from its parameters' shapes."""
        shapes = self.keys[f"{kind}_{size}"]
        network = SpatioTemporalUNet(**make_network_config(shapes))
        weights = rule_weights(f"{kind}:", shapes)
        sources = unet_sources({name: tuple(shape) for name, shape in shapes.items()})
        network.load_state_dict({name: weights[source.name] for name, source in sources.items()})
        return network.eval().requires_grad_(False)


def make_network_config(shapes: dict[str, list[int]]) -> dict[str, object]:
    prefix = "model.diffusion_model."
    width = shapes[f"{prefix}input_blocks.0.0.weight"][0]
    context = shapes[f"{prefix}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"][1]
    return {
        "block_out_channels": (width, 2 * width, 4 * width, 4 * width),
        "cross_attention_dim": context,
        # 64 channels a head, or the small networks' one head at the first level
        "num_attention_heads": tuple(max(1, width // 64) * k for k in (1, 2, 4, 4)),
        "projection_class_embeddings_input_dim": shapes[f"{prefix}label_emb.0.0.weight"][1],
    }


def rule_weights(tag: str, shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Make the weights that the numbers belong to: a seed from each name, a scale from its shape."""
    weights = {}
    for name, shape in shapes.items():
        values = np.random.RandomState(zlib.crc32((tag + name).encode())).standard_normal(shape)
        if len(shape) >= 2:
            values = values / np.sqrt(np.prod(shape[1:]))
        elif name.endswith("weight"):
            values = 1 + 0.1 * values
        elif not name.endswith("mix_factor"):
            values = 0.05 * values
        weights[name] = torch.from_numpy(values).float()
    return weights


@pytest.fixture(scope="session")
def parity() -> ParityCase:
    folder = Path(os.environ.get("DIFFUSION2_PARITY_DIR", Path(__file__).parent / "fixtures"))
    if not (folder / "outputs.npz").is_file():
        pytest.skip(f"needs the released implementation's numbers in {folder}")
    return ParityCase(folder)


@pytest.fixture
def network_config() -> Callable[[dict[str, list[int]]], dict[str, object]]:
    return make_network_config
