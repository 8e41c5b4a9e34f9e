"""The paper's ablation (table 3, figures 5, 6 and 10) on the benchmark `creatures`."""

from pathlib import Path

from diffusion2.errors import InputError
from diffusion2.events import Report, ResultWritten, ignore
from diffusion2.research.benchmark.bench import open_bench
from diffusion2.research.benchmark.cells import Unit
from diffusion2.research.benchmark.figures import make_recordings, noise_table, write_figures
from diffusion2.research.benchmark.methods import BASELINES
from diffusion2.research.benchmark.pages import check_page, fill_page, write_text
from diffusion2.research.benchmark.runner import run_benchmark
from diffusion2.research.benchmark.settings import BenchmarkSettings, Truths
from diffusion2.research.benchmark.summary import rows
from diffusion2.research.benchmark.tables import creatures_text, task_text, write_report
from diffusion2.sampling.parallel import available_cores

LETTERS = {
    "multiview": "(a)",
    "multiview-coupled": "(b)",
    "multiview-vrs": "(c)",
    "multiview-vrs-blend": "(d)",
    "multiview-blend": "(e)",
    "composed-vrs-asset": "(f)",
    "composed-vrs-coupled": "(g)",
}
"""Rows of the paper's table 3. It says of (b) and (g) alone that they are reconstructed; (f) has the scores
of the whole method in table 2, so it is, too. Rows (a) and (c) to (e) are stage 1 alone: its text compares
the images that stage 1 synthesises."""

BESIDE = ("composed-vrs", "composed", "composed-preserving", "video")
"""Stage 1 of (f), and what the paper shows in pictures or not at all."""

METHODS_OF_TABLE = (*LETTERS, *BESIDE)


def write_table(
    assets: Path,
    out: Path,
    settings: BenchmarkSettings,
    *,
    processes: int = 0,
    page: Path | None = None,
    report: Report = ignore,
) -> str:
    """Measure the rows of table 3, and write them as JSON, as Markdown and into a page.

    Args:
        assets: see `run_benchmark`.
        out: see `run_benchmark`; gets `ablation.json` and `ablation.md`, too.
        settings: with `METHODS_OF_TABLE` as methods, and one task.
        processes: see `run_benchmark`.
        page: a Markdown file with the markers of a section "table", which gets the means over all
            creatures; None for none.
        report: takes the events of the benchmark's stages and of the files.

    Returns:
        The Markdown of `ablation.md`, which has the scores creature by creature, too.
    """
    _check_task(settings)
    check_page(page, ["table"])
    results = run_benchmark(assets, out, settings, processes=processes, report=report)
    table = rows(results, settings.tasks[0], (*METHODS_OF_TABLE, *BASELINES))
    labels = [LETTERS.get(row.method, "") for row in table]
    text = task_text(results, table, labels)
    write_report(out / "ablation.json", results, {settings.tasks[0]: table})
    report(ResultWritten("scores", out / "ablation.json"))
    whole = "\n\n".join(part for part in (text, creatures_text(results, table)) if part)
    write_text(out / "ablation.md", whole)
    report(ResultWritten("table", out / "ablation.md"))
    if page is not None:
        fill_page(page, {"table": text})
        report(ResultWritten("page", page))
    return whole


def write_ablation_figures(
    assets: Path,
    out: Path,
    settings: BenchmarkSettings,
    *,
    page: Path | None = None,
    report: Report = ignore,
) -> list[Path]:
    """Write the figures of the first creature, task and seed; what the table has made is used again.

    Args:
        assets: see `run_benchmark`.
        out: see `run_benchmark`; the figures go into its folder `figures` where no page is given.
        settings: see `write_table`.
        page: a Markdown file with the markers of a section "noise"; the figures go into the folder `images`
            beside it.
        report: takes the events of the sampling and of the files.

    Raises:
        BackendUnavailable: matplotlib is missing.
    """
    _check_task(settings)
    check_page(page, ["noise"])
    unit = Unit(settings.tasks[0], settings.chosen[0].name, settings.seeds[0])
    bench = open_bench(out, settings, Truths(assets, out, settings.generate), available_cores())
    recordings = make_recordings(bench, unit, report)
    folder = out / "figures" if page is None else page.parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    written = write_figures(bench, unit, recordings, folder, report)
    if page is not None:
        fill_page(page, {"noise": f"{unit}.\n\n{noise_table(recordings)}"})
        written.append(page)
    for path in written:
        report(ResultWritten("figure", path))
    return written


def _check_task(settings: BenchmarkSettings) -> None:
    if len(settings.tasks) != 1:
        raise InputError(f"an ablation is of one task, not of {len(settings.tasks)}")
