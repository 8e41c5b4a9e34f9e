"""The benchmark `creatures`: every method on every creature, measured against ground truth.

A finished result stays in the output folder and is used again (see `cells`), so an interrupted benchmark
continues, and another method, creature, seed or metric costs only itself.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.errors import InputError, NumericalError
from diffusion2.evaluation.benchmark.cells import (
    TRUTH,
    CellScores,
    Unit,
    digest,
    keep_matrix,
    keep_references,
    keep_scores,
    matrix_digest,
    read_scores,
)
from diffusion2.evaluation.benchmark.methods import (
    BASELINES,
    METHODS,
    TASKS,
    Ceiling,
    Held,
    Reconstructed,
    Sampled,
    Task,
    check_methods,
    encode_and_decode,
    hold,
    known,
    rebuild,
    references,
    sample,
    unseen,
    vary,
)
from diffusion2.evaluation.ground_truth.creatures import CREATURES, Creature, creature_truth
from diffusion2.evaluation.metrics.i3d import MIN_FRAMES
from diffusion2.evaluation.metrics.measure import measure
from diffusion2.evaluation.metrics.networks import Networks, load_networks
from diffusion2.events import Report, ignore, stage
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import Conditions, ImageMatrix
from diffusion2.priors.devices import choose_device
from diffusion2.priors.mini import load_pair
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling.parallel import available_cores
from diffusion2.weights import check_available, mini_folder, weights_hashes

ITSELF = "itself"
"""Folder, beside the baselines, of the truth's own logits."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """What is compared, on what, and how it is measured.

    Attributes:
        tasks: names in `TASKS`.
        methods: names in `METHODS`; the baselines stand beside them anyhow.
        creatures: their names; none for all.
        seeds: of all noise.
        networks: which networks measure, of `metrics.networks.NETWORKS`; what needs none is always measured.
        generate: settings of all methods before their variations.
    """

    tasks: tuple[Task, ...] = ("completion",)
    methods: tuple[str, ...] = ("preset", "multiview", "video")
    creatures: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    networks: tuple[str, ...] = ("lpips_alex", "i3d")
    generate: GenerateSettings = PRESETS["mini"]

    def __post_init__(self) -> None:
        """Refuse what is unknown, missing or named twice."""
        check_methods(self.methods)
        names = [creature.name for creature in CREATURES]
        for what, chosen, known_ones in (
            ("task", self.tasks, list(TASKS)),
            ("creature", self.creatures, names),
        ):
            if unknown := [name for name in chosen if name not in known_ones]:
                raise InputError(f"there is no {what} {unknown[0]!r}: choose from {', '.join(known_ones)}")
        for what, chosen in (
            ("task", self.tasks),
            ("method", self.methods),
            ("creature", self.creatures),
            ("seed", self.seeds),
        ):
            if len(set(chosen)) < len(chosen):
                raise InputError(f"a {what} is named twice: {' '.join(map(str, chosen))}")
        if not self.tasks or not self.seeds:
            raise InputError("name at least one task and one seed")

    @property
    def chosen(self) -> list[Creature]:
        """Give the creatures."""
        return [c for c in CREATURES if not self.creatures or c.name in self.creatures]

    @property
    def sampled(self) -> tuple[str, ...]:
        """Give the methods that are not baselines."""
        return tuple(name for name in self.methods if name not in BASELINES)

    def units(self) -> list[Unit]:
        """Give all that is to be done, longest first."""
        names = [creature.name for creature in self.chosen]
        units = [Unit(task, name, seed) for seed in self.seeds for task in self.tasks for name in names]
        return (units if self.sampled else []) + [Unit(TRUTH, name) for name in names]


@dataclass(frozen=True)
class Truths:
    """The creatures' true matrices, rendered once and kept in the benchmark's folder."""

    assets: Path
    out: Path
    generate: GenerateSettings

    def __call__(self, name: str) -> ImageMatrix:
        """Give a creature's true matrix."""
        creature = next(c for c in CREATURES if c.name == name)
        generate = self.generate
        return creature_truth(
            creature,
            self.assets,
            self.out / "truth",
            views=generate.views,
            frames=generate.frames,
            size=generate.size,
            elevation_deg=generate.elevation_deg,
            object_size=generate.object_size,
        )


class Bench:
    """One process's networks, and the work on a unit.

    Args:
        out: the benchmark's folder.
        settings: what is compared.
        truth: gives a creature's true matrix.
        pair: the priors.
        networks: those that measure.
    """

    def __init__(
        self,
        out: Path,
        settings: BenchmarkSettings,
        truth: Callable[[str], ImageMatrix],
        pair: PriorPair,
        networks: Networks,
    ) -> None:
        self.out, self.settings, self.truth, self.pair = out, settings, truth, pair
        self.i3d = networks.loaded.get("i3d")
        # FVD comes from logits that are kept, as sets of clips are made of several results
        others = {name: network for name, network in networks.loaded.items() if name != "i3d"}
        self.networks = replace(networks, loaded=others)
        self._measures = sorted(networks.loaded)
        self._weights = weights_hashes(settings.generate.priors)

    def fill(self, unit: Unit) -> None:
        """Make and measure all results of a unit that are not there yet."""
        truth = self.truth(unit.creature)
        if unit.task == TRUTH:
            key = digest(matrix_digest(truth), self._measures)
            keep_scores(unit.folder(self.out) / ITSELF, key, lambda: CellScores({}, [], self._logits(truth)))
        for name in BASELINES if unit.task == TRUTH else self.settings.sampled:
            self._fill_cell(unit, truth, name)

    def _fill_cell(self, unit: Unit, truth: ImageMatrix, name: str) -> None:
        # a network that went astray, or left nothing to reconstruct, is a result, too
        rebuilt = isinstance(METHODS[name], Reconstructed)
        failures = (NumericalError, InputError) if rebuilt else NumericalError

        def make() -> CellScores:
            try:
                result = self.matrix(unit, truth, name)
            except failures as error:
                return CellScores({}, [], failed=str(error))
            evaluation = measure(unseen(result), unseen(truth), self.networks)
            return CellScores(evaluation.overall, evaluation.per_view, self._logits(result))

        key = digest(self._key(unit, truth, name), self._measures)
        keep_scores(unit.folder(self.out) / name, key, make)

    def matrix(self, unit: Unit, truth: ImageMatrix, name: str) -> ImageMatrix:
        """Give a method's result, from the folder or new."""
        method, settings = METHODS[name], self._generate(unit)

        def make() -> tuple[ImageMatrix, Asset4D | None]:
            match method:
                case Sampled():
                    given = known(truth, _task(unit))
                    return sample(method, self.pair, self.references(unit, truth), settings, given), None
                case Reconstructed():
                    return rebuild(method, self.matrix(unit, truth, method.of), settings)
                case Held():
                    return hold(truth), None
                case Ceiling():
                    return encode_and_decode(self.pair, truth), None

        about = {"method": asdict(method), "settings": asdict(settings)}
        return keep_matrix(unit.folder(self.out) / name, self._key(unit, truth, name), make, about)

    def references(self, unit: Unit, truth: ImageMatrix) -> Conditions:
        """Give what the sampled methods of a unit start from: what the task gives, and the rest generated."""
        settings = self._generate(unit)
        conditions = known(truth, _task(unit))
        key = digest(_deciding(settings), self._weights, matrix_digest(truth))
        return keep_references(
            unit.folder(self.out) / "references",
            key,
            lambda: references(self.pair, conditions, settings),
        )

    def _generate(self, unit: Unit) -> GenerateSettings:
        return replace(self.settings.generate, seed=unit.seed)

    def _key(self, unit: Unit, truth: ImageMatrix, name: str) -> str:
        """Hash all that decides a result."""
        method, settings = METHODS[name], self._generate(unit)
        match method:
            case Sampled():
                varied = replace(settings, sampling=vary(settings.sampling, method, settings.frames))
                decides = [_deciding(varied), method.blending, _deciding(settings)]
            case Reconstructed():
                decides = [self._key(unit, truth, method.of), settings.reconstruction, method.decoupled]
            case _:
                decides = [name]
        return digest(*decides, unit.task, unit.seed, self._weights, matrix_digest(truth))

    def _logits(self, matrix: ImageMatrix) -> Tensor | None:
        """Give I3D's logits of every row that is measured, (V - 1, 400)."""
        images = unseen(matrix).images
        if self.i3d is None or images.shape[1] < MIN_FRAMES:
            return None
        with torch.no_grad():
            return self.i3d(images)


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
        report: hears of the stages "ground truth" and "benchmark", whose units are creature, task and seed.

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


def open_bench(
    out: Path, settings: BenchmarkSettings, truth: Callable[[str], ImageMatrix], threads: int
) -> Bench:
    """Load the networks for work with so many threads."""
    torch.set_num_threads(threads)
    sampling = replace(settings.generate.sampling, threads=threads)
    settings = replace(settings, generate=replace(settings.generate, sampling=sampling))
    device = choose_device(sampling.device, settings.generate.priors)
    pair = load_pair("mini", mini_folder(), precision=sampling.precision, device=device)
    return Bench(out, settings, truth, pair, load_networks(set(settings.networks)))


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


def _task(unit: Unit) -> Task:
    return next(task for task in TASKS if task == unit.task)


def _deciding(settings: GenerateSettings) -> dict[str, object]:
    """Give the settings of stage 1 that change its result."""
    values = asdict(settings)
    del values["reconstruction"]
    for name in ("threads", "checkpoint_every"):
        del values["sampling"][name]
    return values
