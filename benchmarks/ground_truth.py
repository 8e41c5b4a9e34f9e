"""Time the mesh renderer and the ground truth that is made with it.

    python benchmarks/ground_truth.py ASSETS [--large] [--sheet docs/images/creatures.png]

ASSETS is a folder with the models of the benchmark `creatures`. Prints milliseconds of a picture and of a
pose at several sizes, and the seconds of all creatures at 12 x 12 views and frames of 128 x 128; with --large
also those of one creature at 21 x 25 of 576 x 576. Each figure stands as wall time and as processor time of
all threads: on a busy machine only the second means something. --sheet draws all creatures instead.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from diffusion2.cameras import orbit
from diffusion2.meshes import MeshRenderer, load_model
from diffusion2.meshes.creatures import CREATURES, creature_truth
from diffusion2.meshes.ground_truth import choose_window, render_clip, window_framing

VIEWS = 12
SIZES = (128, 256, 512)


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and processor seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def print_pictures(assets: Path) -> None:
    """Print what one picture and one pose take, the best of five rounds."""
    print("model            triangles   pose ms   ms a picture at " + ", ".join(f"{s}²" for s in SIZES))
    for creature in CREATURES:
        model = load_model(assets / creature.file)
        window = choose_window(model, creature.clip, 12, start=creature.start, duration=creature.duration)
        framing = window_framing(model, window, 0.0, 10.0, 0.7)
        pose = min(measure(lambda m=model, c=creature: m.pose(c.clip, 0.3))[1] for _ in range(5))
        row = []
        for size in SIZES:
            renderer, cameras = MeshRenderer(model, size), orbit(VIEWS, height=size)
            times = [
                measure(lambda r=renderer, c=creature, k=cameras, f=framing: r.render(k, f, c.clip, 0.3))
                for _ in range(5)
            ]
            row.append(" / ".join(f"{1000 * min(t[i] for t in times) / VIEWS:.1f}" for i in (0, 1)))
            renderer.close()
        triangles = sum(len(p.triangles) for p in model.primitives)
        print(f"{creature.name:15s} {triangles:10d} {1000 * pose:9.1f}   " + "   ".join(row))


def draw_sheet(assets: Path, path: Path) -> None:
    """Draw a row for each creature: six frames of its reference view, then six views of its first frame."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for creature in CREATURES:
            truth = creature_truth(creature, assets, Path(cache))
            rows.append(torch.cat([truth.images[-1, ::2], truth.images[1::2, 0]]).permute(0, 2, 3, 1))
    tiles = torch.stack(rows)  # (rows, columns, height, width, 3)
    sheet = torch.cat([torch.cat(list(row), dim=1) for row in tiles])
    sheet[:, sheet.shape[1] // 2] = 0.6
    picture = Image.fromarray((255 * sheet).round().to(torch.uint8).numpy())
    picture.quantize(128).save(path, optimize=True)


def main() -> None:
    """Print all figures, or draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("assets", type=Path)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.sheet:
        draw_sheet(options.assets, options.sheet)
        return
    print("times are wall / processor")
    print_pictures(options.assets)
    with tempfile.TemporaryDirectory() as cache:

        def all_creatures() -> None:
            for creature in CREATURES:
                creature_truth(creature, options.assets, Path(cache))

        print(
            "8 creatures, 12 x 12 of 128²: rendered and written in {:.1f} s / {:.1f} s".format(
                *measure(all_creatures)
            )
        )
        print("the same from the cache: {:.1f} s / {:.1f} s".format(*measure(all_creatures)))
    if options.large:
        creature = CREATURES[0]
        model = load_model(options.assets / creature.file)
        window = choose_window(model, creature.clip, 25)
        times = measure(lambda: render_clip(model, window, orbit(21, height=576)))
        print("{}, 21 x 25 of 576²: {:.0f} s / {:.0f} s".format(creature.name, *times))


if __name__ == "__main__":
    main()
