"""Which frame of a video should be seen from all sides first? Measure both against ground truth.

    .venv/bin/python benchmarks/reference_frame.py ASSETS OUT [CREATURE ...] [-- OPTION VALUE ...]

For every creature of the benchmark its true row is the input video, as it is. Stage 1 is run with
`--reference-frame first` and `last`, and its matrix is compared with the true one, the given view left out.
Options after `--` are those of `sample`, e.g. `--sampling.steps 8`. Runs are kept in OUT and not made again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from diffusion2.evaluation.measure import load_networks, measure
from diffusion2.meshes.creatures import CREATURES, creature_truth
from diffusion2.runs.matrix_files import read_matrix, write_pictures

SCORES = ("psnr_foreground", "ssim_foreground", "lpips_alex", "motion_ratio", "multiview_consistency")


def main() -> None:
    """Run and print."""
    assets, out, names, options = parse_arguments()
    networks = load_networks({"lpips_alex"})
    print(f"{'creature':14} {'frame':6}" + "".join(f"{name:>23}" for name in SCORES))
    sums = {frame: [0.0] * len(SCORES) for frame in ("first", "last")}
    chosen = [creature for creature in CREATURES if not names or creature.name in names]
    for creature in chosen:
        truth = creature_truth(creature, assets, out / "truth")
        row = out / creature.name / "row"
        write_pictures(row, truth.images[-1], "frame")
        for frame, totals in sums.items():
            run = out / creature.name / frame
            sample(row, run, ["--reference-frame", frame, *options])
            scores = measure(read_matrix(run), truth, networks, views=range(truth.views - 1)).overall
            values = [scores[name].value if name in scores else None for name in SCORES]
            columns = "".join(f"{format_value(value):>23}" for value in values)
            print(f"{creature.name:14} {frame:6}{columns}", flush=True)
            for index, value in enumerate(values):
                totals[index] += float("nan") if value is None else value
    for frame, totals in sums.items():
        print(f"{'mean':14} {frame:6}" + "".join(f"{t / len(chosen):23.4f}" for t in totals))


def parse_arguments() -> tuple[Path, Path, list[str], list[str]]:
    """Return assets, output, names of creatures, and the options of `sample`."""
    arguments = [*sys.argv[1:], "--"]
    end = arguments.index("--")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder with the creatures' models")
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("creatures", nargs="*", default=[], help="their names; default: all")
    known = parser.parse_args(arguments[:end])
    return known.assets, known.out, known.creatures, [a for a in arguments[end:] if a != "--"]


def sample(row: Path, run: Path, options: list[str]) -> None:
    """Run stage 1 unless it is there already; an interrupted run is continued."""
    if (run / "cameras.json").is_file():
        return
    command = [sys.executable, "-m", "diffusion2", "sample", "--out", str(run)]
    begin = [str(row), "--preset", "mini", "--framing", "keep", *options]
    again = ["--resume"] if (run / "config.json").is_file() else begin
    subprocess.run([*command, *again], check=True, stdout=subprocess.DEVNULL)


def format_value(value: float | None) -> str:
    """Return a score in four digits."""
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
