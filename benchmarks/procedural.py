"""Procedural creatures: a sheet of the first seeds, and how long building and drawing one takes.

    python benchmarks/procedural.py SHEET.png [CREATURES]

Each creature at rest from its front, its side and behind, and once amid a clip. Times are of the processor,
the mean over all creatures.
"""

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.cameras import make_cameras
from diffusion2.meshes import AnimatedModel, MeshRenderer, frame_points
from diffusion2.pictures import pixels_on_white
from diffusion2.training.data import SIZE
from diffusion2.training.procedural import procedural_creature
from diffusion2.training.scenes import draw_orbit

PER_ROW, TILE = 4, 72
CAMERAS = make_cameras([15.0, 75.0, 195.0, 30.0], 12.0, height=2 * TILE)


def main() -> None:
    """Write the sheet and print the times."""
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    built, drawn, rows = [], [], []
    for seed in range(count):
        start = time.process_time()
        model = procedural_creature(seed)
        built.append(time.process_time() - start)
        rows.append(_views(model))
        renderer = MeshRenderer(model, SIZE)
        start = time.process_time()
        images = draw_orbit(model, renderer, np.random.default_rng(seed)).pictures
        drawn.append((time.process_time() - start) / len(images))
        renderer.close()
    lines = [np.concatenate(rows[k : k + PER_ROW], axis=1) for k in range(0, count - PER_ROW + 1, PER_ROW)]
    sheet = Image.fromarray(np.concatenate(lines)).reduce(2)
    sheet.quantize(128, dither=Image.Dither.NONE).save(Path(sys.argv[1]), optimize=True)
    print(f"{1e3 * np.mean(built):.1f} ms to build, {1e3 * np.mean(drawn):.1f} ms to draw at {SIZE} px")


def _views(model: AnimatedModel) -> np.ndarray:
    """Draw a creature (2 TILE, 8 TILE, 3) from three sides at rest, and once in motion."""
    renderer = MeshRenderer(model, 2 * TILE)
    clip = next(iter(model.clips))
    pictures = []
    amid = 0.3 * model.clips[clip].duration
    for name, seconds, cameras in ((None, 0.0, CAMERAS[:3]), (clip, amid, CAMERAS[3])):
        points = np.concatenate([positions for positions, _ in model.pose(name, seconds)])
        pictures.extend(pixels_on_white(renderer.render(cameras, frame_points(points, 0.95), name, seconds)))
    renderer.close()
    return np.concatenate(pictures, axis=1)


if __name__ == "__main__":
    main()
