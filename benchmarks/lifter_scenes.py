"""How well lifters do on random scenes of creatures that they never saw or, to compare, of those they know.

    .venv/bin/python benchmarks/lifter_scenes.py ASSETS WEIGHTS [WEIGHTS …] [--split val] [--scenes 96]

The eight pictures of the benchmark are few: between two checkpoints their figures differ by chance as much as
by what was learned. Here each of the weights' folders lifts the same scenes: random poses, colours and sides
of the split's animated models. Measured are the four other views on white: LPIPS by AlexNet, the overlap of
the silhouettes, PSNR on the object in dB, LPIPS by VGG, both surfaces' depth errors added, the error of hue.
From the second folder on, the difference from the first, with its standard error over the scenes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion2.metrics.lpips import load_lpips
from diffusion2.metrics.orbit import ORBIT_FIGURES, compare_orbit
from diffusion2.pictures import on_white
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.lifting import draw_gaussians
from diffusion2.priors.mini import load_lifter
from diffusion2.training.lifter import depth_error, hue_error
from diffusion2.training.scenes import FromAssets, Scene, draw_scene

FIRST_SEED = 1000


def main() -> None:
    """Draw, lift, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("assets", type=Path)
    parser.add_argument(
        "weights", type=Path, nargs="+", help="folders as `diffusion2 train pack` writes them"
    )
    parser.add_argument("--split", choices=("val", "train"), default="val")
    parser.add_argument("--scenes", type=int, default=96)
    options = parser.parse_args()
    draw = FromAssets(draw_scene, options.assets, options.split, animated_share=1.0)
    scenes = [draw(np.random.default_rng(FIRST_SEED + k)) for k in range(options.scenes)]
    compare = _Compare()
    print("".ljust(20), *(f"{name:>17}" for name in (*ORBIT_FIGURES, "lpips_vgg", "depth", "hue")))
    first: Tensor | None = None
    for folder in options.weights:
        lifter = load_lifter(folder)
        figures = torch.tensor([compare(lifter, scene) for scene in scenes])
        print(str(folder)[-20:].ljust(20), *(f"{mean:17.4f}" for mean in figures.mean(0).tolist()))
        if first is None:
            first = figures
            continue
        gains = figures - first
        errors = gains.std(0) / len(gains) ** 0.5
        pairs = zip(gains.mean(0).tolist(), errors.tolist(), strict=True)
        print("  difference".ljust(20), *(f"{gain:+8.4f} ± {error:.4f}" for gain, error in pairs))


class _Compare:
    """Measures what is lifted of a scene's reference against its other views."""

    def __init__(self) -> None:
        self._alex, self._vgg = load_lpips(), load_lpips("vgg")

    @torch.no_grad()
    def __call__(self, lifter: Lifter, scene: Scene) -> list[float]:
        elevation = torch.tensor([float(scene.cameras.elevations_deg[0])])
        picture = scene.pictures[:1]
        lifted = lifter.assemble(lifter(picture, elevation), picture, elevation)[0]
        drawn = draw_gaussians(lifted.gaussians, scene.cameras, torch.ones(3))
        views, alpha = (images.movedim(-1, 1)[1:] for images in (drawn.rgb.clamp(0, 1), drawn.alpha))
        truth, true_alpha = on_white(scene.pictures[1:])
        figures = compare_orbit(self._alex, views, truth, alpha > 0.5, true_alpha > 0.5)
        others = self._vgg(views, truth).mean(), depth_error(lifted, scene.depths), hue_error(views, truth)
        return [*figures.values(), *map(float, others)]


if __name__ == "__main__":
    main()
