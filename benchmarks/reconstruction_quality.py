"""Measure stage 2 on true matrices: what it makes of views and times that it has never seen.

    .venv/bin/python benchmarks/reconstruction_quality.py --assets DIR --results FILE.jsonl [--size 128]
        [--views 21] [--frames 25] [--only Wolf Koi] [--tuning] [--methods static plain ours] [--blur 2]
        [--set joint_iterations=600] [--keep DIR [--sheet FILE.png]] [--table FILE.md]

Every benchmark creature (or, with --tuning, those of the training split that settings were chosen on) is
rendered as a matrix, which is reconstructed without alpha, as in a run. Then the asset is compared with
pictures from azimuths halfway between the views, at times halfway between the frames, or both. Methods:

    static      no motion; all iterations at the reference time
    plain       deformable Gaussians: every picture counts alike, canonical Gaussians learn at the full rate
    no-weights  ours without the weights that fall away from the references
    full-rate   ours with the full learning rate of the canonical Gaussians in the joint phase
    per-mean    ours with the deformation evaluated at every Gaussian, without nodes
    growing     ours with Gaussians that change their sizes, too
    ours        the defaults

With --blur, the matrix loses texture away from the references as a generated one does: every picture is
blurred by a Gaussian of up to that many pixels (at distance 1, see `closeness`), and results are compared
with the sharp truth.

PSNR in dB over whole pictures and over the object, SSIM, LPIPS (alex): means over creatures of means over
pictures. Seconds are processor time of the stage, all threads together. What stands in the results' file
already is not computed again; the table has a line for each group of equal settings in it. --sheet draws what
was kept of the last method beside the truth: two pictures between views and frames, with depths.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from diffusion2.cli import WAITING

os.environ.update(WAITING | os.environ)  # before torch, as the command line does

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from diffusion2.cameras import make_cameras
from diffusion2.config import ReconstructionSettings
from diffusion2.gaussians import Asset4D, render
from diffusion2.image_matrix import ImageMatrix
from diffusion2.meshes import load_model
from diffusion2.meshes.creatures import CREATURES, Creature
from diffusion2.meshes.ground_truth import Window, choose_window, render_clip
from diffusion2.metrics.lpips import load_lpips
from diffusion2.metrics.pixels import psnr, ssim
from diffusion2.reconstruction import reconstruct_matrix
from diffusion2.reconstruction.targets import closeness

METHODS: dict[str, dict[str, Any]] = {
    "static": {"joint_iterations": 0},
    "plain": {"weight_floor": 1.0, "canonical_rate": 1.0},
    "no-weights": {"weight_floor": 1.0},
    "full-rate": {"canonical_rate": 1.0},
    "per-mean": {"deformation_nodes": 0},
    "growing": {"deformation_scales": True},
    "ours": {},
    "with-lpips": {"lpips_weight": 0.2},
}
PARTS = ("seen", "azimuths", "times", "both")
COLUMNS = ("PSNR", "PSNR object", "SSIM", "LPIPS")

TUNING = (
    Creature("Fox", "animated/animals_pack/Fox.glb", "AnimalArmature|Walk", 0.0, 1.0417, 45.0),
    Creature("Tang", "animated/cute_fish_pack/Tang.glb", "Fish_Armature|Swimming_Fast", 0.0, 1.0417, 50.0),
    Creature(
        "Stegosaurus",
        "animated/dinosaurs_pack/Stegosaurus.glb",
        "Armature|Stegosaurus_Run",
        0.0,
        0.7917,
        50.0,
    ),
)
"""Creatures of the training split."""


def main() -> None:
    """Measure what is missing, and print a table of everything in the results' file."""
    arguments = parse_arguments()
    base = replace(ReconstructionSettings(), **dict(arguments.set))
    for creature in TUNING if arguments.tuning else CREATURES:
        if arguments.only and creature.name not in arguments.only:
            continue
        missing = {}
        for method in arguments.methods:
            key = key_of(creature, method, settings_of(method, base), arguments)
            if key not in [row["key"] for row in read_results(arguments.results)]:
                missing[method] = key
        if missing:
            truth = render_truth(creature, arguments)
        for method, key in missing.items():
            row = {"key": key, **measure_method(truth, settings_of(method, base), key, arguments)}
            with arguments.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{creature.name:12} {method:11} {summary(row)}", flush=True)
    if arguments.sheet:
        draw_sheet(arguments)
    table = "\n".join(table_lines(read_results(arguments.results)))
    print(table)
    if arguments.table:
        arguments.table.write_text(table + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assets", type=Path, required=True, help="folder of the benchmark's models")
    parser.add_argument("--results", type=Path, required=True, help="file that results are added to")
    parser.add_argument("--views", type=int, default=21)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["static", "plain", "ours"])
    parser.add_argument("--blur", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--set", nargs="*", type=read_setting, default=[], metavar="NAME=VALUE")
    parser.add_argument("--keep", type=Path, help="folder to write the assets to")
    parser.add_argument("--sheet", type=Path, help="picture of the kept assets to write")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    if arguments.sheet and not arguments.keep:
        parser.error("--sheet needs --keep: it draws the assets that are kept there")
    torch.set_num_threads(arguments.threads)
    return arguments


def read_setting(text: str) -> tuple[str, int | float]:
    """Read NAME=VALUE."""
    name, _, value = text.partition("=")
    kind = type(getattr(ReconstructionSettings(), name))
    return name, kind(float(value))


def settings_of(method: str, base: ReconstructionSettings) -> ReconstructionSettings:
    """Return a method's settings; `static` has as many iterations as the others."""
    settings = replace(base, **METHODS[method])
    if method == "static":
        settings = replace(settings, warmup_iterations=base.warmup_iterations + base.joint_iterations)
    return settings


def key_of(
    creature: Creature, method: str, settings: ReconstructionSettings, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return what decides a result."""
    names = ("size", "views", "frames", "blur", "seed")
    of_matrix = {name: getattr(arguments, name) for name in names}
    return {"creature": creature.name, "method": method, **of_matrix, "settings": asdict(settings)}


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read the results so far."""
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


@dataclass(frozen=True)
class Moments(Window):
    """Any moments of a window, framed as all of it.

    Attributes:
        columns: the moments in columns of the window, which may lie between two of them.
        whole: the window.
    """

    columns: tuple[float, ...]
    whole: Window

    @property
    def seconds(self) -> np.ndarray:
        """Return the times in the clip."""
        return self.wrap(self.start + self.duration * np.array(self.columns) / self.whole.steps)


def render_truth(creature: Creature, arguments: argparse.Namespace) -> dict[str, ImageMatrix]:
    """Render the matrix to reconstruct ("matrix") and what to compare with (`PARTS`), without alpha."""
    model = load_model(arguments.assets / creature.file)
    views, frames = arguments.views, arguments.frames
    window = choose_window(model, creature.clip, frames, start=creature.start, duration=creature.duration)
    same = {field.name: getattr(window, field.name) for field in fields(window)}

    def part(rows: np.ndarray, columns: np.ndarray) -> ImageMatrix:
        moments = Moments(**{**same, "frames": len(columns)}, columns=tuple(columns.tolist()), whole=window)
        cameras = make_cameras(360 * (rows + 1) / views, height=arguments.size)
        matrix = render_clip(model, moments, cameras, azimuth_deg=creature.azimuth_deg)
        times = torch.as_tensor(columns, dtype=torch.float32) / max(frames - 1, 1)
        return ImageMatrix(matrix.images, cameras, times, window.fps)

    rows, columns = np.arange(views), np.arange(frames)
    between_rows, between_columns = rows - 0.5, columns[:-1] + 0.5
    return {
        "matrix": part(rows, columns),
        "seen": part(rows[2::3], columns[2::6]),
        "azimuths": part(between_rows, columns[2::6]),
        "times": part(rows[2::3], between_columns[1::3]),
        "both": part(between_rows[2::3], between_columns[1::3]),
    }


def measure_method(
    truth: dict[str, ImageMatrix],
    settings: ReconstructionSettings,
    key: dict[str, Any],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Reconstruct a matrix and compare."""
    matrix = lose_texture(truth["matrix"], arguments.blur) if arguments.blur else truth["matrix"]
    start = time.process_time()
    asset = reconstruct_matrix(matrix, settings, seed=arguments.seed)
    found: dict[str, Any] = {"seconds": time.process_time() - start, "gaussians": len(asset.gaussians)}
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        asset.save(arguments.keep / asset_name(key["creature"], key["method"], key["size"]))
    lpips = load_lpips()
    return found | {part: measure(asset, truth[part], lpips) for part in PARTS}


def asset_name(creature: str, method: str, size: int) -> str:
    """Return the name of a kept asset."""
    return f"{creature}-{method}-{size}.safetensors"


def draw_sheet(arguments: argparse.Namespace) -> None:
    """Draw truth, asset and depth from two sides at two times it has not seen, a creature in each row."""
    rows = []
    for creature in TUNING if arguments.tuning else CREATURES:
        path = arguments.keep / asset_name(creature.name, arguments.methods[-1], arguments.size)
        if (arguments.only and creature.name not in arguments.only) or not path.exists():
            continue
        asset, truth, tiles = Asset4D.load(path), render_truth(creature, arguments)["both"], []
        for view, frame in ((0, 0), (truth.views // 2, truth.frames // 2)):
            drawn = render(asset, truth.cameras[view], float(truth.times[frame]))
            depth = drawn.depth[0] / drawn.alpha[0].clamp(min=0.05)
            depth = torch.where(drawn.alpha[0] > 0.5, (depth - 1.5).clamp(0, 1), 1.0).expand(-1, -1, 3)
            theirs = truth.images[view, frame].permute(1, 2, 0)
            tiles += [theirs, drawn.rgb[0].clamp(0, 1), depth]
        edge = arguments.size // 10
        rows.append(torch.cat([tile[edge:-edge] for tile in tiles], dim=1))
    pixels = torch.cat(rows).mul(255).round().to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(arguments.sheet, optimize=True)


def lose_texture(matrix: ImageMatrix, most: float) -> ImageMatrix:
    """Blur every picture the more, the farther it is from the reference view and frame."""
    distances = 1 - closeness(matrix, 0.0)
    images = matrix.images.clone()
    for view in range(matrix.views):
        for frame in range(matrix.frames):
            images[view, frame] = blur(images[view, frame], most * float(distances[view, frame]))
    return ImageMatrix(images, matrix.cameras, matrix.times, matrix.fps)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (3, H, W) by a Gaussian; white continues outside."""
    radius = int(np.ceil(3 * sigma))
    if radius == 0:
        return image
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma).square())
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius,) * 4, value=1.0)
    down = F.conv2d(padded, kernel[None, None, :, None])
    return F.conv2d(down, kernel[None, None, None, :])[:, 0]


def measure(asset: Asset4D, truth: ImageMatrix, lpips: Any) -> list[float]:
    """Return the values of COLUMNS: means over the pictures of a part."""
    values = []
    for frame, moment in enumerate(truth.times.tolist()):
        ours = render(asset, truth.cameras, moment).rgb.clamp(0, 1).permute(0, 3, 1, 2)
        theirs = truth.images[:, frame]
        objects = (theirs.amin(1, keepdim=True) < 0.98).float()
        with torch.no_grad():
            pixels = psnr(ours, theirs), psnr(ours, theirs, objects), ssim(ours, theirs)
            scores = (*pixels, lpips(ours, theirs))
        values.append([float(score.mean()) for score in scores])
    return np.mean(values, axis=0).tolist()


def summary(row: dict[str, Any]) -> str:
    """Return one result on one line."""
    parts = [f"{part} {row[part][0]:.2f} dB {row[part][3]:.4f}" for part in PARTS]
    return f"{', '.join(parts)}; {row['gaussians']} Gaussians, {row['seconds']:.0f} s"


def table_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the means over creatures as a Markdown table, a line for each part of each group."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        key = {name: value for name, value in row["key"].items() if name != "creature"}
        groups.setdefault(json.dumps(key), []).append(row)
    lines = [
        "| size | method | creatures | compared | " + " | ".join(COLUMNS) + " | CPU s |",
        "|--:|---|--:|---|" + "--:|" * 5,
    ]
    for text, found in groups.items():
        key = json.loads(text)
        seconds = np.mean([row["seconds"] for row in found])
        start = f"| {key['size']}² | {key['method']} | {len(found)} |"
        for part in PARTS:
            a, b, c, d = np.mean([row[part] for row in found], axis=0)
            lines.append(f"{start} {part} | {a:.2f} | {b:.2f} | {c:.4f} | {d:.4f} | {seconds:.0f} |")
    return lines


if __name__ == "__main__":
    main()
