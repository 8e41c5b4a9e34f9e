"""What the benchmark writes beside its cells: tables, all scores, and pictures to look at."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from diffusion2.events import Report, ResultWritten, ignore
from diffusion2.research.benchmark.cells import TRUTH, Unit
from diffusion2.research.benchmark.methods import BASELINES, METHODS
from diffusion2.research.benchmark.pages import check_page, fill_page, write_text
from diffusion2.research.benchmark.runner import Results, run_benchmark
from diffusion2.research.benchmark.settings import BenchmarkSettings, Truths
from diffusion2.research.benchmark.strips import spread_cells, write_strips
from diffusion2.research.benchmark.summary import rows
from diffusion2.research.benchmark.tables import creatures_text, task_text, write_report
from diffusion2.research.benchmark.tasks import TASKS
from diffusion2.runs.matrix_files import read_matrix

FRAMES_SHOWN = 3


def write_benchmark(
    assets: Path,
    out: Path,
    settings: BenchmarkSettings,
    *,
    processes: int = 0,
    page: Path | None = None,
    report: Report = ignore,
) -> str:
    """Run the benchmark and write `benchmark.md`, `benchmark.json` and a strip of pictures per creature.

    Args:
        assets: see `run_benchmark`.
        out: see `run_benchmark`.
        settings: what is compared.
        processes: see `run_benchmark`.
        page: a Markdown file with the markers of a section for each task, which get the means over all
            creatures; None for none.
        report: takes the events of the benchmark's stages and of the files.

    Returns:
        The Markdown of `benchmark.md`, which has the scores creature by creature, too.
    """
    check_page(page, settings.tasks)
    results = run_benchmark(assets, out, settings, processes=processes, report=report)
    tables = {task: rows(results, task) for task in settings.tasks}
    texts: dict[str, str] = {task: task_text(results, table) for task, table in tables.items()}
    whole = "\n\n".join(
        part
        for task in settings.tasks
        for part in (f"## {TASKS[task]}", texts[task], creatures_text(results, tables[task]))
        if part
    )
    write_report(out / "benchmark.json", results, tables)
    write_text(out / "benchmark.md", whole)
    strips = write_result_strips(assets, out, results)
    for path in (out / "benchmark.json", out / "benchmark.md", *strips):
        report(ResultWritten("table", path))
    if page is not None:
        fill_page(page, texts)
        report(ResultWritten("page", page))
    return whole


def write_result_strips(assets: Path, out: Path, results: Results) -> list[Path]:
    """Write a picture for each task and creature: truth and results of the first seed, from three sides."""
    settings = results.settings
    truths = Truths(assets, out, settings.generate)
    written = []
    for task in settings.tasks:
        for creature in settings.chosen:
            strips = [("truth", spread_cells(truths(creature.name), frames=FRAMES_SHOWN))]
            strips += _strips(out, results, task, creature.name)
            written.append(out / "strips" / f"{task}_{creature.name}.png")
            heads = ["90°, first, middle and last frame", "180°", "270°"]
            write_strips(written[-1], strips, heads=heads, every=FRAMES_SHOWN)
    return written


def _strips(out: Path, results: Results, task: str, creature: str) -> Sequence[tuple[str, Tensor]]:
    strips = []
    for method in (*results.settings.sampled, *BASELINES):
        seed = results.settings.seeds[0]
        unit = Unit(TRUTH, creature) if method in BASELINES else Unit(task, creature, seed)
        if not results.cells[unit, method].failed:
            matrix = read_matrix(unit.folder(out) / method)
            strips.append((METHODS[method].title, spread_cells(matrix, frames=FRAMES_SHOWN)))
    return strips
