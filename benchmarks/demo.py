"""Time what `make demo` does after installation, and compare its asset with what it was made from.

    .venv/bin/python benchmarks/demo.py [PICTURE [OUT]]

Stage times are those in the run's events.jsonl; the memory is the largest resident set of the process.
The PSNR is of the asset, rendered from the reference view at every frame's time, against the generated
reference video (conditions/video), which the asset has never seen itself: it saw the matrix.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

import diffusion2
from diffusion2.runs.matrix_files import read_pictures

EXAMPLE = Path(__file__).parents[1] / "examples" / "creature.png"


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("picture", nargs="?", default=str(EXAMPLE), help="default: examples/creature.png")
    parser.add_argument("out", nargs="?", type=Path, help="folder of the run; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder) / "run"
        print_times(options.picture, out)
        print_psnr(out)


def print_times(picture: str, out: Path) -> None:
    """Generate in a process of its own; print its stages' times and its memory."""
    command = [sys.executable, "-m", "diffusion2", "generate", picture, "--out", str(out)]
    start = time.perf_counter()
    subprocess.run([*command, "--preset", "mini"], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - start
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    stages = [(e["stage"], e["seconds"]) for e in events if e["event"] == "StageFinished"]
    for stage, seconds in stages:
        print(f"{stage:20} {seconds:7.1f} s")
    print(f"{'start and files':20} {whole - sum(seconds for _, seconds in stages):7.1f} s")
    print(f"{'whole':20} {whole:7.1f} s")
    print(f"{'memory':20} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2:7.2f} GiB")


def print_psnr(out: Path) -> None:
    """Compare the asset at the reference view with the reference video and with the matrix."""
    matrix = diffusion2.read_matrix(out)
    asset = diffusion2.load_asset(out)
    rendered = torch.stack(
        [
            diffusion2.render(asset, matrix.cameras, time=float(t)).rgb.clamp(0, 1).permute(0, 3, 1, 2)
            for t in matrix.times
        ],
        dim=1,
    )
    video, _ = read_pictures(out / "conditions" / "video", "frame")
    for name, ours, theirs in (
        ("reference video", rendered[-1], video),
        ("matrix, that view", rendered[-1], matrix.images[-1]),
        ("matrix, all views", rendered, matrix.images),
        ("(first frame held)", video[:1].expand_as(video), video),
    ):
        whole, foreground = psnr(ours, theirs)
        print(f"{name:20} {whole:7.2f} dB, {foreground:.2f} dB on the object")


def psnr(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """Return the PSNR of pictures (..., 3, H, W), and that where the second ones are not white."""
    error = (ours - theirs).square()
    mask = (theirs.amin(-3, keepdim=True) < 0.98).expand_as(error)
    return float(-10 * error.mean().log10()), float(-10 * error[mask].mean().log10())


if __name__ == "__main__":
    main()
