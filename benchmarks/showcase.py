"""Show what runs made as one moving picture, as the README does: a row per run.

    python benchmarks/showcase.py OUT.webp RUN... [--azimuths 0 60 180] [--turn] [--size 192]

On the left what was given (a picture, a video, or a model's views, which turn), then the asset from each
azimuth while its time runs forth and back; with --turn also from a camera that goes around once.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

import diffusion2

MOMENTS = 48
FPS = 12


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="an animated WebP")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--azimuths", type=float, nargs="*", default=[0.0, 60.0, 180.0])
    parser.add_argument("--turn", action="store_true", help="a last column whose camera goes around")
    parser.add_argument("--size", type=int, default=192, help="pixels of a cell")
    parser.add_argument("--quality", type=int, default=60)
    options = parser.parse_args()
    rows = [draw_run(run, options.azimuths, options.turn, options.size) for run in options.runs]
    pictures = [Image.fromarray(moment) for moment in np.concatenate(rows, axis=1)]
    pictures[0].save(
        options.out,
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / FPS),
        loop=0,
        quality=options.quality,
        method=6,
    )
    print(f"wrote {options.out}, {options.out.stat().st_size / 1e6:.2f} MB")


def draw_run(run: Path, azimuths: list[float], turn: bool, size: int) -> np.ndarray:
    """Draw one row: bytes (moments, size, columns · size, 3)."""
    asset = diffusion2.load_asset(run)
    elevation = asset.metadata.elevation_deg
    columns = [given(run, size)]
    paths = [[azimuth] * MOMENTS for azimuth in azimuths]
    if turn:
        paths.append([360.0 * k / MOMENTS for k in range(MOMENTS)])
    times = [there_and_back(k, 1) for k in range(MOMENTS)]
    for path in paths:
        cameras = diffusion2.make_cameras(path, elevation, height=size, width=size)
        drawn = diffusion2.render(asset, cameras, times).rgb
        columns.append((drawn.clamp(0, 1) * 255).round().byte().numpy())
    return np.concatenate(columns, axis=2)


def given(run: Path, size: int) -> np.ndarray:
    """Draw what the run was given: bytes (moments, size, size, 3)."""
    conditions = run / "conditions"
    says = json.loads((conditions / "given.json").read_text())
    if says["video"]:
        files = sorted((conditions / "video").glob("*.png"))
        chosen = [files[round(there_and_back(k, len(files) - 1))] for k in range(MOMENTS)]
    elif says["views"]:
        files = sorted((conditions / "views").glob("*.png"))
        chosen = [files[k * len(files) // MOMENTS - 1] for k in range(MOMENTS)]
    else:
        chosen = [conditions / "picture.png"] * MOMENTS
    return np.stack([on_white(file, size) for file in chosen])


def on_white(file: Path, size: int) -> np.ndarray:
    """Read a picture: bytes (size, size, 3)."""
    picture = Image.open(file).convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


def there_and_back(moment: int, end: float) -> float:
    """Say where something is that goes from 0 to `end` and back while all moments pass."""
    return end * (1 - abs(1 - 2 * moment / MOMENTS))


if __name__ == "__main__":
    main()
