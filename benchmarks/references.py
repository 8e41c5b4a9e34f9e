"""What the mini pair makes of one true picture of each creature: its orbit and its video, each prior alone.

    .venv/bin/python benchmarks/references.py ASSETS TRUTH [--guidance 3 5] [--guess-sigma 3]
        [--noise-kept 0.97] [--seed 0] [--sheet PNG] [--weights FOLDER]

For every guidance of the orbit: LPIPS (AlexNet) of the 11 generated views, the overlap of their
silhouettes with the true ones (intersection over union) and their PSNR on the object, means over the
views; for the video LPIPS of its later frames and its motion as a share of the true one. Ground truth is
kept in TRUTH. The sheet has two rows for each creature, the true pictures and under them the generated
ones: every second view, of which the last is the given picture, then every second frame.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.exporters import write_contact_sheet
from diffusion2.image_matrix import Conditions
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.meshes.creatures import CREATURES, creature_truth
from diffusion2.metrics.consistency import frame_changes
from diffusion2.metrics.lpips import load_lpips
from diffusion2.metrics.orbit import compare_orbit
from diffusion2.pictures import with_alpha
from diffusion2.priors.mini import load_pair
from diffusion2.sampling import sample_references


def main() -> None:
    """Sample, print, draw."""
    preset = PRESETS["mini"].sampling
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("assets", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--guidance", nargs="*", type=float, default=[preset.views_guidance])
    parser.add_argument("--guess-sigma", type=float, default=preset.guess_sigma)
    parser.add_argument("--noise-kept", type=float, default=preset.reference_noise_kept)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="of the first guidance")
    parser.add_argument("--weights", type=Path, help="default: the package's")
    options = parser.parse_args()
    pair, lpips = load_pair(folder=options.weights), load_lpips()
    truths = {c.name: creature_truth(c, options.assets, options.truth) for c in CREATURES}
    rows: list[Tensor] = []
    for guidance in options.guidance:
        print(f"guidance {guidance:g}: creature; orbit: LPIPS, overlap, PSNR; video: LPIPS, motion")
        scores = []
        for name, matrix in truths.items():
            settings = _settings(guidance, options)
            truth = matrix.images.float()
            picture = with_alpha(truth, matrix.alphas)[-1, 0].float()
            made = sample_references(pair, Conditions(picture), settings)
            assert made.views is not None
            assert made.video is not None
            views, video = made.views[:, :3], made.video[:, :3]
            scores.append(_compare(lpips, views, video, truth))
            print(f"  {name:12}" + "".join(f"{score:8.3f}" for score in scores[-1]), flush=True)
            if guidance == options.guidance[0]:
                rows += [
                    torch.cat([truth[1::2, 0], truth[-1, ::2]]),
                    torch.cat([views[1::2], video[::2]]),
                ]
        print("  " + "mean".ljust(12) + "".join(f"{s:8.4f}" for s in torch.tensor(scores).mean(0).tolist()))
    if options.sheet:
        write_contact_sheet(torch.stack(rows), options.sheet, max_side=1600)


def _settings(guidance: float, options: argparse.Namespace) -> GenerateSettings:
    mini = PRESETS["mini"]
    sampling = replace(
        mini.sampling,
        views_guidance=guidance,
        reference_noise_kept=options.noise_kept,
        guess_sigma=options.guess_sigma,
    )
    return replace(mini, seed=options.seed, sampling=sampling)


def _compare(
    lpips: Callable[[Tensor, Tensor], Tensor], views: Tensor, video: Tensor, truth: Tensor
) -> tuple[float, ...]:
    true_video = truth[-1]
    made, real = (estimate_alphas(images)[0] for images in (views[:-1], truth[:-1, 0]))
    of_orbit = compare_orbit(lpips, views[:-1], truth[:-1, 0], made, real)
    with torch.no_grad():
        of_video = float(lpips(video[1:], true_video[1:]).mean())
    moved, moves = (frame_changes(pictures).mean() for pictures in (video, true_video))
    return *of_orbit.values(), of_video, float(moved / moves)


if __name__ == "__main__":
    main()
