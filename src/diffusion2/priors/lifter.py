"""The lifter: one picture with alpha to 3D Gaussians, in one pass of a network.

A few Gaussians for each pixel of the object, as in Szymanowicz et al., "Splatter Image: Ultra-fast
single-view 3D reconstruction" (CVPR 2024). Theirs is one for each pixel, its depth and an offset. Ours are in
three layers, whose place on the pixel's ray meshes can teach: the surface that is seen, the farthest one
behind it, and what is hidden between or beside, which alone may leave its ray.
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from diffusion2.cameras import DEFAULT_RADIUS, Cameras, make_cameras
from diffusion2.errors import InputError
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.gaussians import rgb_to_sh0
from diffusion2.priors.lifter_blocks import ChannelNorm, ResidualBlock, TransformerBlock
from diffusion2.priors.lifter_crop import INSIDE, Crop, crop_coordinates, crop_object, find_crop
from diffusion2.quaternions import multiply_quats

CELL = 2
"""Pixels along a side of a cell, for which the network's last level has one vector."""
LARGEST_SCALE = 3.2
"""Standard deviation in the crop's pixels: larger ones become streaks along the rays."""
SCALE_TO_PITCH = 0.6
"""Standard deviation of an untrained Gaussian, as a share of the distance to the next one."""
DEPTH_REACH = 0.5
"""How far from its layer's start a depth may be, world units."""
OFFSET_REACH = 0.3
"""How far from its ray a hidden Gaussian may be along each axis, world units."""


class Layer(NamedTuple):
    """What the Gaussians of a layer may be.

    Attributes:
        start: depth behind the object's middle where training begins, world units.
        leaves_ray: whether they have an offset.
        colour_reach: how strongly the network changes the picture's own colour.
    """

    start: float
    leaves_ray: bool
    colour_reach: float

    @property
    def values(self) -> int:
        """Count the numbers that the network gives for a Gaussian."""
        return sum(self.parts)

    @property
    def parts(self) -> tuple[int, ...]:
        """Count those for depth, scales, quaternion, opacity, colour and offset."""
        return (1, 3, 4, 1, 3, 3 if self.leaves_ray else 0)


LAYERS = (Layer(-0.12, False, 0.3), Layer(0.12, False, 1.0), Layer(0.0, True, 1.0))
"""Front, back, hidden."""


class Lifted(NamedTuple):
    """What the lifter makes of one picture.

    Attributes:
        gaussians: N of them, layer after layer, each row by row; the picture's camera is at azimuth 0.
        crop: the part of the picture that the lattices lie over.
        inside: for each layer (S, S) bool, which points of its lattice have a Gaussian.
        depths: for each layer (N_k,), of their centres along the camera's axis before any offset.
        offsets: (N_hidden, 3) of the hidden ones, in units of their reach.
    """

    gaussians: Gaussians
    crop: Crop
    inside: tuple[Tensor, ...]
    depths: tuple[Tensor, ...]
    offsets: Tensor


class Lifter(ModelMixin, ConfigMixin):
    """A UNet whose lowest level is a transformer over all of the picture.

    Args:
        sample_size: height and width of the pictures in pixels.
        block_out_channels: of its levels, each half as wide and high as the one before, the first half as the
            picture.
        layers_per_block: residual blocks of a level but the last, both on the way down and up.
        transformer_layers: of the last level.
        attention_head_dim: channels of a head.
        samples: lattice points along a side of a cell of 2 × 2 pixels, of the front, back and hidden layer.
    """

    # diffusers reads the configuration's fields off this signature
    @register_to_config
    def __init__(
        self,
        sample_size: int = 128,
        block_out_channels: tuple[int, ...] = (64, 96, 192),
        layers_per_block: int = 2,
        transformer_layers: int = 5,
        attention_head_dim: int = 32,
        samples: tuple[int, ...] = (2, 1, 1),
    ) -> None:
        super().__init__()
        widths = tuple(block_out_channels)
        levels, tokens = widths[:-1], (sample_size // 2 ** len(widths)) ** 2
        self.samples = tuple(samples)
        self.inputs = nn.Conv2d(8, widths[0], 2 * CELL, CELL, CELL // 2)

        def blocks(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width) for _ in range(layers_per_block)))

        self.down = nn.ModuleList(blocks(width) for width in levels)
        self.pool = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))
        self.position = nn.Parameter(0.02 * torch.randn(tokens, widths[-1]))
        self.middle = nn.Sequential(
            *(TransformerBlock(widths[-1], attention_head_dim) for _ in range(transformer_layers))
        )
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(blocks(width) for width in levels)
        values = [layer.values * side**2 for layer, side in zip(LAYERS, self.samples, strict=True)]
        self.norm, self.outputs = ChannelNorm(widths[0]), nn.Conv2d(widths[0], sum(values), 1)
        nn.init.normal_(self.outputs.weight, std=1e-3)
        nn.init.zeros_(self.outputs.bias)  # pyright: ignore[reportArgumentType]
        self._values = values

    def forward(self, pictures: Tensor, elevations_deg: Tensor) -> Tensor:
        """Predict numbers for each cell of 2 × 2 pixels.

        Args:
            pictures: (B, 4, S, S) RGB and alpha in [0, 1], straight.
            elevations_deg: (B,) of the cameras.

        Returns:
            (B, C, S / 2, S / 2) float32, for each layer its values at each of its lattice points.
        """
        planes = torch.stack([_planes(*pair) for pair in zip(pictures, elevations_deg, strict=True)])
        x = self.inputs(planes.contiguous(memory_format=torch.channels_last))
        skips = []
        for blocks, pool in zip(self.down, self.pool, strict=True):
            skips.append(blocks(x))
            x = pool(skips[-1])
        shape = x.shape
        tokens = self.middle(x.flatten(2).mT + self.position)
        x = tokens.mT.reshape(shape).contiguous(memory_format=torch.channels_last)
        for blocks, widen, skip in zip(reversed(self.up), reversed(self.widen), reversed(skips), strict=True):
            x = blocks(skip + F.interpolate(widen(x), scale_factor=2.0, mode="nearest"))
        return self.outputs(F.silu(self.norm(x))).float()

    def lift(self, pictures: Tensor, elevations_deg: Tensor) -> list[Lifted]:
        """Lift pictures to Gaussians; differentiable.

        Args:
            pictures: (B, 4, S, S) RGB and alpha in [0, 1], straight: the object as the cameras of the project
                see it, at a distance of 2 with a field of view of 33.8 degrees.
            elevations_deg: (B,) of the cameras, which stand at azimuth 0.

        Raises:
            InputError: the pictures have another shape, or one of them shows nothing.
        """
        size = self.config["sample_size"]  # pyright: ignore[reportIndexIssue]
        if pictures.ndim != 4 or pictures.shape[1:] != (4, size, size):
            raise InputError(f"the lifter takes (B, 4, {size}, {size}), not {tuple(pictures.shape)}")
        return self.assemble(self(pictures, elevations_deg), pictures, elevations_deg)

    @property
    def picture_channels(self) -> int:
        """Count the channels of a picture: RGB and alpha."""
        return 4

    def sees_object(self, picture: Tensor) -> bool:
        """Tell whether there is anything to lift in a picture (4, S, S)."""
        return bool((picture[3] > 0).any())

    def assemble(self, raw: Tensor, pictures: Tensor, elevations_deg: Tensor) -> list[Lifted]:
        """Make Gaussians of what `forward` predicts for the same pictures."""
        layers = raw.split(self._values, dim=1)
        return [
            _assemble([values[i] for values in layers], self.samples, picture, float(elevations_deg[i]))
            for i, picture in enumerate(pictures)
        ]


def _planes(picture: Tensor, elevation_deg: Tensor) -> Tensor:
    """Crop a picture, black where nothing is, and add what convolutions can't know: (8, S, S).

    That is where each pixel was in the whole picture, the camera's elevation and the object's size.
    """
    size, crop = picture.shape[-1], find_crop(picture[3])
    rgb, alpha = crop_object(picture, crop).split([3, 1])
    across, down = (line.to(picture) for line in crop_coordinates(crop, size))
    numbers = torch.stack([elevation_deg.to(picture).deg2rad().sin(), 4 * picture[3].mean()])
    return torch.cat(
        [
            rgb * alpha,
            alpha,
            across.expand(1, size, size),
            down[:, None].expand(1, size, size),
            numbers[:, None, None].expand(2, size, size),
        ]
    )


def _assemble(raw: list[Tensor], samples: tuple[int, ...], picture: Tensor, elevation_deg: float) -> Lifted:
    """Make Gaussians of the numbers (C_k, h, w) of each layer."""
    camera, crop = make_cameras([0.0], elevation_deg, height=picture.shape[-1]), find_crop(picture[3])
    picture = crop_object(picture, crop)
    insides, depths, parts, offsets = [], [], [], []
    for layer, side, values in zip(LAYERS, samples, raw, strict=True):
        colour, inside = sample_picture(picture, side)
        numbers = F.pixel_shuffle(values[None], side)[0][:, inside].T.split(layer.parts, dim=1)
        depth, scales, quats, opacity, change, offset = numbers
        depth = DEFAULT_RADIUS + layer.start + DEPTH_REACH * torch.tanh(depth)
        places = depth * lattice_rays(camera, crop, inside.shape[-1]).to(picture)[inside]
        if layer.leaves_ray:
            places = places + OFFSET_REACH * torch.tanh(offset)
            offsets.append(offset)
        insides.append(inside)
        depths.append(depth[:, 0])
        parts.append(
            Gaussians(
                places,
                quats + quats.new_tensor([1.0, 0, 0, 0]),
                _bounded_scales(scales, camera, crop, inside.shape[-1]),
                opacity[:, 0] + 2,
                rgb_to_sh0(colour[:, inside].T + layer.colour_reach * change),
            )
        )
    joined = {name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()}
    if not len(joined["means"]):
        raise InputError("there is nothing to lift: the picture's alpha is empty")
    return Lifted(_to_world(joined, camera), crop, tuple(insides), tuple(depths), torch.cat(offsets))


def sample_picture(picture: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Sample a picture (4, S, S) at a layer's lattice points, `side` along that of a cell.

    Returns:
        The object's colour (3, s, s), and where it is (s, s), bool.
    """
    rgb, alpha = picture[:3], picture[3:]
    step = CELL // side
    covered = F.avg_pool2d(alpha, step)
    colour = F.avg_pool2d(rgb * alpha, step) / covered.clamp(min=1e-3)
    return colour.clamp(0, 1), covered[0] > INSIDE * covered.max()


def lattice_rays(camera: Cameras, crop: Crop, points: int) -> Tensor:
    """Point from a camera through a lattice of N × N points over a crop: (N, N, 3), of depth 1."""
    K = torch.as_tensor(camera.Ks[0], dtype=torch.float32)
    across, down = ((line + 1) * camera.height / 2 for line in crop_coordinates(crop, points))
    across, down = (across - K[0, 2]) / K[0, 0], (down - K[1, 2]) / K[1, 1]
    rays = torch.meshgrid(down, across, indexing="ij")
    return torch.stack([rays[1], rays[0], torch.ones(points, points)], -1)


def _bounded_scales(values: Tensor, camera: Cameras, crop: Crop, points: int) -> Tensor:
    """Turn numbers around 0 into logarithms of scales around the lattice's, up to the largest."""
    pixel = crop.side * DEFAULT_RADIUS / float(camera.Ks[0, 0, 0])  # what one covers at the object
    usual = SCALE_TO_PITCH * pixel * camera.height / points
    bound = math.log(LARGEST_SCALE * pixel / usual)
    return math.log(usual) + bound * torch.tanh(values / bound)


def _to_world(parts: dict[str, Tensor], camera: Cameras) -> Gaussians:
    """Bring Gaussians from a camera's axes to the world's; rotations are those of a level camera's world."""
    viewmat = torch.as_tensor(camera.viewmats[0], dtype=torch.float32).to(parts["means"])
    level = torch.as_tensor(make_cameras([0.0], 0.0).viewmats[0], dtype=torch.float32).to(viewmat)
    tilt = viewmat[:3, :3].T @ level[:3, :3]
    w = (1 + tilt.trace()).sqrt() / 2
    axis = torch.stack([tilt[2, 1] - tilt[1, 2], tilt[0, 2] - tilt[2, 0], tilt[1, 0] - tilt[0, 1]]) / (4 * w)
    turned: dict[str, Any] = {
        "means": (parts["means"] - viewmat[:3, 3]) @ viewmat[:3, :3],
        "quats": multiply_quats(torch.cat([w[None], axis]).expand_as(parts["quats"]), parts["quats"]),
    }
    return Gaussians(**{**parts, **turned})
