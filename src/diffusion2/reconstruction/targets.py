"""What the reconstruction has to explain: the image matrix, prepared once."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.image_matrix import ImageMatrix
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.pictures import to_bytes

_MARGIN = 8
"""Pixels around everything that is ever seen which are rendered too, so that strays are noticed."""

_SMALLEST = 1e-4
"""Share of the picture under which a mask shows nothing."""


@dataclass(frozen=True)
class TargetPictures:
    """The pictures of B cells as float32.

    Attributes:
        images: (B, H, W, 3) in [0, 1] on white.
        alphas: (B, H, W, 1) in [0, 1].
        known: (B, H, W, 1), 1 where the alphas are trusted, else 0.
        seen: (B, H, W, 1), 1 where the cameras saw anything, else 0; None where they saw everything.
    """

    images: Tensor
    alphas: Tensor
    known: Tensor
    seen: Tensor | None = None


@dataclass(frozen=True)
class Targets:
    """The pictures of the matrix, cut to where the object ever is, and their cameras.

    Attributes:
        packed: (V, F, H, W, 5) uint8: RGB on white, alpha, and 255 where the alpha is trusted. As in files,
            and a quarter of the memory of floats.
        shown: (V, F) whether a cell shows the object; the others are not looked at.
        viewmats: (V, 4, 4) float32.
        Ks: (V, 3, 3) float32, of the cut pictures.
        times: (F,) in [0, 1].
        reference_frame: index of the reference frame.
        reference_view: index of the reference view.
        weights: (V, F) in (0, 1], how much a cell may shape the canonical Gaussians; see `closeness`.
        seen: (V, H, W, 1), 1 where a view's camera saw anything, else 0; None where they saw everything.
    """

    packed: Tensor
    shown: Tensor
    viewmats: Tensor
    Ks: Tensor
    times: Tensor
    reference_frame: int
    reference_view: int
    weights: Tensor
    seen: Tensor | None = None

    @property
    def views(self) -> int:
        """Return the number of views, V."""
        return self.packed.shape[0]

    @property
    def frames(self) -> int:
        """Return the number of frames, F."""
        return self.packed.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the cut pictures."""
        return self.packed.shape[2], self.packed.shape[3]

    def to(self, device: torch.device) -> "Targets":
        """Move what is computed with to a device; which cells to look at is decided on the CPU."""
        names = ("packed", "viewmats", "Ks", "times", "weights", "seen")
        parts = {name: part for name in names if (part := getattr(self, name)) is not None}
        return replace(self, **{name: part.to(device) for name, part in parts.items()})

    def pictures(self, views: Tensor, frames: Tensor) -> TargetPictures:
        """Return the pictures of B cells."""
        values = self.packed[views, frames].float().div_(255)
        seen = None if self.seen is None else self.seen[views]
        return TargetPictures(values[..., :3].contiguous(), values[..., 3:4], values[..., 4:], seen)


def prepare_targets(matrix: ImageMatrix, weight_floor: float) -> Targets:
    """Find the object in every picture and cut the pictures to it.

    Raises:
        InputError: when values aren't finite, or all pictures are white.
    """
    _check_finite(matrix)
    alphas, known = find_alphas(matrix)
    shown = (alphas > 0.5).float().mean(dim=(2, 3, 4)) >= _SMALLEST
    if not bool(shown.any()):
        raise InputError("every picture of the image matrix is white: there is no object to build")
    top, bottom, left, right = _bounds(alphas.amax(dim=(0, 1, 2)))
    height, width = bottom - top, right - left
    packed = torch.empty(*shown.shape, height, width, 5, dtype=torch.uint8)
    parts = ((matrix.images, slice(0, 3)), (alphas, slice(3, 4)), (known, slice(4, 5)))
    for view in range(matrix.views):  # one at a time, for the memory
        for pictures, channels in parts:
            cut = to_bytes(pictures[view, ..., top:bottom, left:right])
            packed[view, ..., channels] = cut.permute(0, 2, 3, 1)
    seen = None
    if matrix.seen is not None:
        seen = matrix.seen[..., top:bottom, left:right].permute(0, 2, 3, 1).float().contiguous()
    Ks = torch.as_tensor(matrix.cameras.Ks, dtype=torch.float32)
    Ks[:, 0, 2] -= left
    Ks[:, 1, 2] -= top
    return Targets(
        packed=packed,
        shown=shown,
        viewmats=torch.as_tensor(matrix.cameras.viewmats, dtype=torch.float32),
        Ks=Ks,
        times=matrix.times.float(),
        reference_frame=matrix.reference_frame,
        reference_view=matrix.reference_view,
        weights=closeness(matrix, weight_floor),
        seen=seen,
    )


def closeness(matrix: ImageMatrix, floor: float) -> Tensor:
    """Return how near every cell (V, F) is to the reference view and the reference frame, in [floor, 1].

    Section 3.4: the loss scale of the canonical Gaussians falls away from the references, where stage 1
    loses texture. The paper gives no formula. Ours is 1 on the reference row and column, since both
    are sharp, and falls as a cosine with the smaller of the two distances: the angle to the reference view
    and the share of the sequence between a frame and the reference frame.
    """
    azimuths = torch.as_tensor(matrix.cameras.azimuths_deg, dtype=torch.float32)
    angles = torch.remainder(azimuths - azimuths[matrix.reference_view] + 180, 360).sub(180).abs() / 180
    times = matrix.times.float()
    distance = torch.minimum(
        angles[:, None], (times - times[matrix.reference_frame]).abs().clamp(max=1)[None]
    )
    return floor + (1 - floor) * 0.5 * (1 + torch.cos(math.pi * distance))


def find_alphas(matrix: ImageMatrix) -> tuple[Tensor, Tensor]:
    """Return alphas (V, F, 1, H, W) in [0, 1], and 1 where they are trusted, else 0."""
    if matrix.alphas is not None:
        alphas = matrix.alphas.float().clamp(0, 1)
        return alphas, torch.ones_like(alphas)
    rows = [estimate_alphas(row.float().clamp(0, 1)) for row in matrix.images]
    alphas, known = (torch.stack(parts) for parts in zip(*rows, strict=True))
    return alphas, known


def reference_column(matrix: ImageMatrix) -> tuple[Tensor, Tensor]:
    """Return pictures (V, 3, H, W) and masks (V, 1, H, W) at the reference time."""
    images = matrix.images[:, matrix.reference_frame].float().clamp(0, 1)
    if matrix.alphas is not None:
        return images, matrix.alphas[:, matrix.reference_frame].float()
    return images, estimate_alphas(images)[0]


def find_warnings(matrix: ImageMatrix, targets: Targets) -> list[str]:
    """Say what about a matrix makes a good result unlikely."""
    found = []
    empty = int((~targets.shown).sum())
    if empty:
        cells = targets.shown.numel()
        found.append(
            f"{empty} of the {cells} pictures show nothing: they are left out, as if the object were unseen"
        )
    if matrix.views == 1:
        found.append(
            "there is one view, which does not say how deep the object is: its other sides are guessed"
        )
    if matrix.alphas is None:
        border = torch.cat([matrix.images[..., 0, :], matrix.images[..., :, 0]], dim=-1)
        colored = (border.amin(dim=2) < 0.5).float().mean()
        if float(colored) > 0.25:
            found.append(
                "the pictures are not on white: their background becomes part of the object; give them alpha "
                "or a white background"
            )
    return found


def _check_finite(matrix: ImageMatrix) -> None:
    for name, values in (("image", matrix.images), ("alpha", matrix.alphas)):
        if values is None:
            continue
        broken = ~torch.isfinite(values).flatten(2).all(dim=2)
        if bool(broken.any()):
            view, frame = broken.nonzero()[0].tolist()
            raise InputError(
                f"{int(broken.sum())} {name}s of the matrix hold values that are not finite, "
                f"the first at view {view}, frame {frame}: write them again"
            )


def _bounds(mask: Tensor) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of the foreground of (H, W) with a margin, inside the picture."""
    near = F.max_pool2d(mask[None], 2 * _MARGIN + 1, stride=1, padding=_MARGIN)[0] > 0.5
    rows, columns = near.any(dim=1).nonzero()[:, 0], near.any(dim=0).nonzero()[:, 0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
