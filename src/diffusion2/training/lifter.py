"""The lifter's training: Gaussians of one picture, drawn from several sides and compared with the meshes.

The depths of both surfaces are taught directly. From pictures alone they are hardly found: Gaussians become
streaks along the rays.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.image_matrix import ImageMatrix
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.meshes.creatures import CREATURES, creature_truth
from diffusion2.metrics.lpips import load_lpips
from diffusion2.metrics.orbit import ORBIT_FIGURES, compare_orbit
from diffusion2.pictures import on_white
from diffusion2.priors.devices import choose_dtype
from diffusion2.priors.lifter import Lifted, Lifter
from diffusion2.priors.lifter_crop import crop_picture
from diffusion2.priors.lifting import draw_gaussians, straight
from diffusion2.training.adversary import Adversary
from diffusion2.training.scenes import VIEWS, Draw, Scene

LIFTER_CONFIG = {
    "sample_size": 128,
    "block_out_channels": (64, 96, 192),
    "layers_per_block": 2,
    "transformer_layers": 18,
    "attention_head_dim": 32,
    "samples": (2, 2, 1),
}
BATCH = 8
SQUARED_WEIGHT = 1.5
ABSOLUTE_WEIGHT = 0.25
HUE_WEIGHT = 0.5
"""Specks of another hue are small errors where an object is dark, but they are seen."""
ALPHA_WEIGHT = 0.5
ABSOLUTE_ALPHA_WEIGHT = 0.5
"""Squares alone bear a haze wherever the object might be; absolute errors want it there or not."""
DEPTH_WEIGHT = 3.0
OFFSET_WEIGHT = 0.02
LPIPS_WEIGHT = 0.2
ADVERSARY_WEIGHT = 0.04
"""It pulls about as hard as LPIPS does."""
LOOKED_AT = 2
"""Views of each scene, others than the reference, that LPIPS and the adversary look at."""
SMALLEST_SHARE = 0.01
"""Share of the frame that an object counts as at least: the loss is divided by it."""
SHOWN_SCENES = 8
SHOWN_VIEWS = (11, 0, 2, 5, 8, 10)


class LifterTask:
    """Lift pictures of scenes.

    Args:
        network: what is trained.
        draw: draws a scene to learn from.
        held_out: true image matrices of creatures that are never trained on; where there are none, nothing is
            measured.
        batch: scenes that one step learns from.
    """

    name = "lifter"
    matrix_rate = 0.006

    def __init__(self, network: Lifter, draw: Draw, held_out: list[ImageMatrix], batch: int = BATCH) -> None:
        self.network = network
        for parameter in network.parameters():
            if parameter.ndim == 4:  # convolutions are faster so
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self._draw, self._batch, self._held_out = draw, batch, held_out
        self._dtype = choose_dtype("auto")
        self._lpips = load_lpips()
        self._adversary = Adversary([len(head) for head in self._lpips.heads])

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Compute the loss of one batch of scenes."""
        scenes = [self._draw(rng) for _ in range(self._batch)]
        pictures = torch.stack([scene.pictures[0] for scene in scenes])
        elevations = torch.tensor([float(scene.cameras.elevations_deg[0]) for scene in scenes])
        lifted = self._lift(pictures, elevations)
        drawn = [_draw_beside_truth(*pair, rng) for pair in zip(lifted, scenes, strict=True)]
        of_scenes = [
            _pixel_error(views)
            + DEPTH_WEIGHT * depth_error(one, scene.depths)
            + OFFSET_WEIGHT * one.offsets.square().mean()
            for views, one, scene in zip(drawn, lifted, scenes, strict=True)
        ]
        return torch.stack(of_scenes).mean() + self._look_loss(drawn, rng)

    def _look_loss(self, drawn: list["_Drawn"], rng: np.random.Generator) -> Tensor:
        """Compare how some views of each scene look with the true ones, and say how true they look."""
        chosen = 1 + torch.from_numpy(rng.permutation(VIEWS - 1)[:LOOKED_AT])
        made = torch.cat([views.made[chosen].clamp(0, 1) for views in drawn])
        truth = torch.cat([views.truth[chosen] for views in drawn])
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            of_made, of_truth = (list(self._lpips.features(pictures)) for pictures in (made, truth))
            perceived = self._lpips.compare(of_made, of_truth).float().unflatten(0, (-1, LOOKED_AT)).mean(1)
        self._adversary.learn(of_made, of_truth)
        perceived = (perceived / torch.stack([views.area for views in drawn]).sqrt()).mean()
        return LPIPS_WEIGHT * perceived + ADVERSARY_WEIGHT * self._adversary.loss(of_made)

    def _lift(self, pictures: Tensor, elevations_deg: Tensor) -> list[Lifted]:
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            raw = self.network(pictures, elevations_deg)
        return self.network.assemble(raw, pictures, elevations_deg)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure orbits of held-out creatures as `benchmarks/references.py` does."""
        figures = []
        for matrix in self._held_out:
            views, truth = self._orbit(matrix)[:-1], matrix.images[:-1, 0].float()
            masks = (estimate_alphas(images)[0] for images in (views, truth))
            figures.append(compare_orbit(self._lpips, views, truth, *masks))
        names = ORBIT_FIGURES if figures else ()
        return {name: float(np.mean([figure[name] for figure in figures])) for name in names}

    @torch.no_grad()
    def show(self) -> Tensor:
        """Draw orbits of held-out creatures under the true ones, or scenes where there are none.

        The first picture of a row is the given one.
        """
        rows = []
        for truth in self._held_out:
            pair = torch.stack([truth.images[:, 0].float(), self._orbit(truth)])
            rows.append(pair[:, [k % truth.views for k in SHOWN_VIEWS]])
        for seed in range(0 if rows else SHOWN_SCENES):
            scene = self._draw(np.random.default_rng(seed))
            made = self._views(scene.pictures[0], scene.cameras)
            rows.append(torch.stack([on_white(scene.pictures)[0], made]))
        return torch.cat(rows)

    def _orbit(self, truth: ImageMatrix) -> Tensor:
        assert truth.alphas is not None
        picture = torch.cat([truth.images[-1:, 0], truth.alphas[-1:, 0]], 1).float()
        return self._views(straight(picture, picture.shape[-1])[0], truth.cameras, given=-1)

    def _views(self, picture: Tensor, cameras: Cameras, given: int = 0) -> Tensor:
        """Draw what is lifted of a picture (4, S, S), on white; which of the cameras took it."""
        elevation = torch.tensor([float(cameras.elevations_deg[given])])
        self.network.eval()
        lifted = self._lift(picture[None], elevation)[0]
        self.network.train()
        return draw_gaussians(lifted.gaussians, cameras, torch.ones(3)).rgb.movedim(-1, 1).clamp(0, 1)


class _Drawn(NamedTuple):
    """V views of a scene as lifted and as they are, on one background: RGB (V, 3, S, S), alpha (V, 1, S, S).

    Attributes:
        area: share of the frame that the object takes, at least `SMALLEST_SHARE`.
    """

    made: Tensor
    truth: Tensor
    made_alpha: Tensor
    true_alpha: Tensor
    area: Tensor


def _draw_beside_truth(lifted: Lifted, scene: Scene, rng: np.random.Generator) -> _Drawn:
    background = torch.from_numpy(rng.random(3)).float()
    drawn = draw_gaussians(lifted.gaussians, scene.cameras, background)
    rgb, alpha = scene.pictures[:, :3], scene.pictures[:, 3:]
    truth = rgb * alpha + background.view(3, 1, 1) * (1 - alpha)
    area = alpha.mean().clamp(min=SMALLEST_SHARE)
    return _Drawn(drawn.rgb.movedim(-1, 1), truth, drawn.alpha.movedim(-1, 1), alpha, area)


def _pixel_error(views: _Drawn) -> Tensor:
    of_colours, of_alpha = views.made - views.truth, views.made_alpha - views.true_alpha
    error = SQUARED_WEIGHT * of_colours.square().mean() + ABSOLUTE_WEIGHT * of_colours.abs().mean()
    error = error + HUE_WEIGHT * hue_error(views.made, views.truth) + ALPHA_WEIGHT * of_alpha.square().mean()
    return (error + ABSOLUTE_ALPHA_WEIGHT * of_alpha.abs().mean()) / views.area


def hue_error(made: Tensor, truth: Tensor) -> Tensor:
    """Average the absolute errors of red against green and of blue against both.

    Args:
        made: RGB (V, 3, S, S).
        truth: the same; where it is as much darker or brighter in all channels there is no error.
    """
    red, green, blue = (made - truth).unbind(1)
    return ((red - green).abs().mean() + (blue - (red + green) / 2).abs().mean()) / 2


def held_out_creatures(assets: Path, cache: Path) -> list[ImageMatrix]:
    """Render the creatures of the benchmark, in its framing, or read them where that was done."""
    return [creature_truth(creature, assets, cache) for creature in CREATURES]


def depth_error(lifted: Lifted, depths: Tensor) -> Tensor:
    """Add the mean absolute errors of the front and the back depths (2, S, S), where they are known."""
    total = depths.new_zeros(())
    for inside, made, truth in zip(lifted.inside[:2], lifted.depths[:2], depths, strict=True):
        known = torch.isfinite(truth).float()
        cropped = crop_picture(torch.stack([truth.nan_to_num() * known, known]), lifted.crop)
        # where a lattice point lies among several pixels, the mean of those that meet something
        sums, shares = F.avg_pool2d(cropped, truth.shape[-1] // inside.shape[-1])
        errors = (made - (sums / shares.clamp(min=1e-6))[inside]).abs()
        counts = shares[inside] > 1e-3
        total = total + (errors * counts).sum() / counts.sum().clamp(min=1)
    return total
