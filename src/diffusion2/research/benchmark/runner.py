"""The benchmark `creatures`: every method on every creature, measured against ground truth.

A finished result stays in the output folder and is used again (see `cells`), so an interrupted benchmark
continues, and another method, creature, seed or metric costs only itself.
"""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from diffusion2.events import Report, ignore, stage
from diffusion2.research.benchmark.bench import ITSELF, Bench, open_bench
from diffusion2.research.benchmark.cells import TRUTH, CellScores, Unit, digest, read_scores
from diffusion2.research.benchmark.methods import BASELINES
from diffusion2.research.benchmark.settings import BenchmarkSettings, Truths
from diffusion2.sampling.parallel import available_cores
from diffusion2.weights.catalogue import check_available, weights_hashes


@dataclass(frozen=True)
class Results:
    """All scores of a benchmark.

    Attributes:
        settings: what was compared.
        cells: scores by unit and method; baselines under the units of `TRUTH`.
        truth_logits: I3D's logits of each creature's true rows, where they could be had.
        missing: why a network that was wanted is not there, by its name.
        weights: hash of the pair's weights.
    """

    settings: BenchmarkSettings
    cells: dict[tuple[Unit, str], CellScores]
    truth_logits: dict[str, Tensor]
    missing: dict[str, str]
    weights: str


def run_benchmark(
    assets: Path,
    out: Path,
    settings: BenchmarkSettings,
    *,
    processes: int = 0,
    report: Report = ignore,
) -> Results:
    """Make and measure what is missing in the folder, and give all scores.

    Args:
        assets: folder with the creatures' models.
        out: the benchmark's folder; what it holds is used.
        settings: what is compared.
        processes: how many work side by side, each on its share of the cores; 0: one per core, which keeps
            all cores busy in the parts that have one thread, too.
        report: takes the events of the stages "ground truth" and "benchmark", whose units are creature, task
            and seed.

    Raises:
        InputError: the assets or settings can't be used.
        WeightsError: the pair's weights are missing.
    """
    check_available(settings.generate.priors)
    weights = digest(weights_hashes(settings.generate.priors))
    truths = Truths(assets, out, settings.generate)
    with stage(report, "ground truth") as progress:
        for done, creature in enumerate(settings.chosen):
            progress(done, len(settings.chosen), creature.name)
            truths(creature.name)
    units = settings.units()
    processes = max(1, min(processes or available_cores(), len(units)))
    threads = max(1, available_cores() // processes)
    missing: dict[str, str] = {}
    with stage(report, "benchmark") as progress:
        progress(0, len(units))
        work = _work(processes, threads, out, settings, truths, units)
        for done, (unit, missing) in enumerate(work, 1):  # noqa: B007 (the last one's is asked for below)
            progress(done, len(units), str(unit))
    return collect(out, settings, missing, weights)


def collect(out: Path, settings: BenchmarkSettings, missing: dict[str, str], weights: str) -> Results:
    """Read all scores of a benchmark from its folder; see `Results`."""
    cells, logits = {}, {}
    for unit in settings.units():
        folder = unit.folder(out)
        if unit.task == TRUTH and (own := read_scores(folder / ITSELF).logits) is not None:
            logits[unit.creature] = own
        for name in BASELINES if unit.task == TRUTH else settings.sampled:
            cells[unit, name] = read_scores(folder / name)
    return Results(settings, cells, logits, missing, weights)


def _work(
    processes: int,
    threads: int,
    out: Path,
    settings: BenchmarkSettings,
    truths: Truths,
    units: Sequence[Unit],
) -> Iterator[tuple[Unit, dict[str, str]]]:
    """Do all units; give each when it is done, with the networks that are missing."""
    if processes == 1:
        bench = open_bench(out, settings, truths, threads)
        for unit in units:
            bench.fill(unit)
            yield unit, bench.networks.missing
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _open, (out, settings, truths, threads)) as pool:
        yield from pool.imap_unordered(_fill, units)


_bench: list[Bench] = []
"""A worker process's own."""


def _open(*arguments: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began us ends us
    _bench.append(open_bench(*arguments))  # type: ignore[arg-type]


def _fill(unit: Unit) -> tuple[Unit, dict[str, str]]:
    _bench[0].fill(unit)
    return unit, _bench[0].networks.missing
