"""Compare a batch with single runs: time, processor time and memory, in one go.

    python benchmarks/batch.py                                     small settings
    python benchmarks/batch.py --whole --inputs 8                  the preset `mini` as it is

The inputs are the example picture in as many hues. One of them is made by a command of its own, before and
after all of them are made by one command. A first run, which is not counted, compiles what is kept on disk.
The ratio of the processor times is what other programs on the machine disturb least.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

EXAMPLE = Path(__file__).parents[1] / "examples" / "creature.png"
SMALL = [
    *("--views", "6", "--frames", "6", "--size", "64", "--sampling.steps", "6"),
    *("--reconstruction.warmup-iterations", "100", "--reconstruction.joint-iterations", "150"),
    *("--reconstruction.gaussians", "1500"),
]


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the clock and of processors, and its largest memory in MB."""

    clock: float
    processor: float
    megabytes: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inputs", type=int, default=8)
    parser.add_argument("--whole", action="store_true", help="the preset mini as it is")
    options = parser.parse_args()
    settings = ["--preset", "mini", *([] if options.whole else SMALL)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pictures = make_pictures(place, options.inputs)
        run([str(pictures[0]), "--out", str(place / "first"), "--preset", "mini", *SMALL])
        single = [str(pictures[0]), *settings, "--out"]
        before = run([*single, str(place / "before")])
        batch = run([*map(str, pictures), *settings, "--out", str(place / "batch")])
        after = run([*single, str(place / "after")])
    for name, cost in (("one before", before), (f"a batch of {options.inputs}", batch), ("one after", after)):
        used = f"{cost.processor:.1f} s of processors, at most {cost.megabytes:.0f} MB"
        print(f"{name}: {cost.clock:.1f} s, {used}")
    for what in ("clock", "processor"):
        one = (getattr(before, what) + getattr(after, what)) / 2
        print(f"{what}: a batch of {options.inputs} costs {getattr(batch, what) / one:.2f} single runs")


def make_pictures(place: Path, count: int) -> list[Path]:
    """Write the example in different hues."""
    given = Image.open(EXAMPLE).convert("RGBA")
    hue, saturation, value = given.convert("RGB").convert("HSV").split()
    paths = []
    for number in range(count):
        turned = Image.fromarray(np.asarray(hue) + np.uint8(256 * number // count))
        picture = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
        picture.putalpha(given.getchannel("A"))
        paths.append(place / f"creature_{number}.png")
        picture.save(paths[-1])
    return paths


def run(arguments: list[str]) -> Cost:
    """Run a command and say what it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "diffusion2", "generate", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
