"""Which sampling settings suit the mini pair? Vary the preset one setting at a time, against ground truth.

    .venv/bin/python benchmarks/presets.py ASSETS OUT [--task completion] [--creatures Koi Wolf]
        [--only base steps_12] [--base steps=12 rollback_steps=0] [--seeds 0]

Prints a Markdown table: means over creatures and seeds, views and times that were not given. `--base` sets
what all rows start from, where that is not the preset. Results are kept in OUT and not made again.
"""

import argparse
import json
import signal
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from diffusion2.config import PRESETS, SamplingSettings
from diffusion2.research.benchmark.runner import Results, run_benchmark
from diffusion2.research.benchmark.settings import BenchmarkSettings

AS_FAST = {"steps": 14, "rollback_steps": 2, "sigma_max": 700.0, "sigma_min": 0.002}
"""The schedule of the preset `fast`."""

VARIATIONS: dict[str, dict[str, Any]] = {
    "base": {},
    "steps_8": {"steps": 8},
    "steps_12": {"steps": 12},
    "steps_20": {"steps": 20},
    "steps_50_five_rollbacks": {"steps": 50, "rollback_steps": 5},
    "second_order_8": {"solver": "dpmpp-2m", "steps": 8, "rollback_steps": 1},
    "second_order_12": {"solver": "dpmpp-2m", "steps": 12, "rollback_steps": 1},
    "second_order_16": {"solver": "dpmpp-2m", "steps": 16, "rollback_steps": 2},
    "as_fast": AS_FAST,
    "as_fast_second_order": {**AS_FAST, "solver": "dpmpp-2m"},
    "as_fast_reuse_2": {**AS_FAST, "feature_reuse": 2},
    "as_fast_reuse_3": {**AS_FAST, "feature_reuse": 3},
    "no_rollbacks": {"rollback_steps": 0},
    "one_rollback": {"rollback_steps": 1},
    "five_rollbacks": {"rollback_steps": 5},
    "preserving_rollbacks": {"rollback_noise": "variance-preserving"},
    "no_guidance": {"video_guidance": 1.0, "last_video_guidance": 1.0, "views_guidance": 1.0},
    "guidance_2.5": {"video_guidance": 2.5, "last_video_guidance": 2.5, "views_guidance": 2.5},
    "guidance_3.5": {"video_guidance": 3.5, "last_video_guidance": 3.5, "views_guidance": 3.5},
    "guidance_5": {"video_guidance": 5.0, "last_video_guidance": 5.0, "views_guidance": 5.0},
    "guidance_7": {"video_guidance": 7.0, "last_video_guidance": 7.0, "views_guidance": 7.0},
    "no_guess": {"guess_sigma": None},
    "guess_1": {"guess_sigma": 1.35},
    "guess_3": {"guess_sigma": 3.0},
    "guess_8": {"guess_sigma": 8.0},
    "loop_1": {"loop_rounds": 1},
    "loop_1_from_3": {"loop_rounds": 1, "loop_sigma": 2.9},
    "unmirrored": {"mirror": False},
    "motion_140": {"motion_bucket_id": 140.0},
    "motion_155": {"motion_bucket_id": 155.0},
    "views_guidance_1": {"views_guidance": 1.0},
    "views_guidance_2": {"views_guidance": 2.0},
    "views_guidance_3": {"views_guidance": 3.0},
    "views_guidance_5": {"views_guidance": 5.0},
    "video_guidance_1": {"video_guidance": 1.0, "last_video_guidance": 1.0},
    "video_guidance_2": {"video_guidance": 2.0, "last_video_guidance": 2.0},
    "video_guidance_5": {"video_guidance": 5.0, "last_video_guidance": 5.0},
    "guidance_from_1": {"guidance_sigma_low": 1.0},
    "guidance_to_20": {"guidance_sigma_high": 20.0},
    "weight_0.3": {"multiview_weight": 0.3, "weight_schedule": "constant"},
    "weight_0.7": {"multiview_weight": 0.7, "weight_schedule": "constant"},
    "views_first": {"multiview_weight": 0.8, "weight_schedule": "linear", "last_multiview_weight": 0.2},
    "video_first": {"multiview_weight": 0.2, "weight_schedule": "linear", "last_multiview_weight": 0.8},
}
"""What differs from the base, by name."""

SCORES = {
    "lpips_alex": ("LPIPS ↓", ".4f"),
    "psnr_foreground": ("PSNR object ↑", ".2f"),
    "motion_ratio": ("motion ratio → 1", ".2f"),
    "temporal_error": ("temporal error ↓", ".4f"),
    "multiview_consistency": ("views agree ↑", ".3f"),
}


def main() -> None:
    """Run what is missing and print the table."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the worker processes, too
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("assets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", default="completion", choices=("image", "video", "completion"))
    parser.add_argument("--creatures", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--only", nargs="*", default=list(VARIATIONS), choices=list(VARIATIONS))
    parser.add_argument("--base", nargs="*", default=[], help="NAME=VALUE of the sampling settings")
    options = parser.parse_args()
    base = replace(PRESETS["mini"].sampling, **dict(map(_setting, options.base)))
    print("| | " + " | ".join(title for title, _ in SCORES.values()) + " | s per matrix |")
    print("|---|" + "---:|" * (len(SCORES) + 1))
    for name in options.only:
        results = _run(options, name, replace(base, **VARIATIONS[name]))
        if name == options.only[0]:
            _print_row("*static: true column, held*", results, "static", options.out / name)
        _print_row(name.replace("_", " "), results, "preset", options.out / name)


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _run(options: argparse.Namespace, name: str, sampling: SamplingSettings) -> Results:
    folder, truth = options.out / name, options.out / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    truth.mkdir(exist_ok=True)
    if not (folder / "truth").exists():
        (folder / "truth").symlink_to(truth.resolve())
    settings = BenchmarkSettings(
        tasks=(options.task,),
        methods=("preset",),
        creatures=tuple(options.creatures),
        seeds=tuple(options.seeds),
        networks=("lpips_alex",),
        generate=replace(PRESETS["mini"], sampling=sampling),
    )
    return run_benchmark(options.assets, folder, settings)


def _print_row(title: str, results: Results, method: str, folder: Path) -> None:
    cells = [(unit, scores) for (unit, name), scores in results.cells.items() if name == method]
    columns = []
    for score, (_, form) in SCORES.items():
        values = [cell.overall[score].value for _, cell in cells if score in cell.overall]
        known = [value for value in values if value is not None]
        columns.append(format(statistics.mean(known), form) if known else "-")
    files = [unit.folder(folder) / method / "cell.json" for unit, _ in cells]
    seconds = statistics.mean(json.loads(file.read_text())["seconds"] for file in files)
    print(f"| {title} | " + " | ".join(columns) + f" | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
