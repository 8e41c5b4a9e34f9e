"""The work on a unit of the benchmark: its results are made, measured and kept."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError, NumericalError
from diffusion2.evaluation.measure import measure
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import Conditions, ImageMatrix
from diffusion2.metrics.i3d import MIN_FRAMES
from diffusion2.metrics.networks import Networks, load_networks
from diffusion2.priors.loading import load_priors
from diffusion2.priors.prior import PriorPair
from diffusion2.research.benchmark.cells import (
    TRUTH,
    CellScores,
    Unit,
    digest,
    keep_matrix,
    keep_references,
    keep_scores,
    matrix_digest,
)
from diffusion2.research.benchmark.methods import (
    BASELINES,
    METHODS,
    Ceiling,
    Held,
    Reconstructed,
    Sampled,
    complete_references,
    encode_and_decode,
    hold,
    rebuild,
    sample_method,
    task_conditions,
    vary,
    without_references,
)
from diffusion2.research.benchmark.settings import BenchmarkSettings
from diffusion2.research.benchmark.tasks import TASKS, BenchmarkTask
from diffusion2.weights.catalogue import weights_hashes

ITSELF = "itself"
"""Folder, beside the baselines, of the truth's own logits."""


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
            evaluation = measure(without_references(result), without_references(truth), self.networks)
            return CellScores(evaluation.overall, evaluation.per_view, self._logits(result))

        key = digest(self._key(unit, truth, name), self._measures)
        keep_scores(unit.folder(self.out) / name, key, make)

    def matrix(self, unit: Unit, truth: ImageMatrix, name: str) -> ImageMatrix:
        """Return a method's result, from the folder or new."""
        method, settings = METHODS[name], self._generate(unit)

        def make() -> tuple[ImageMatrix, Asset4D | None]:
            match method:
                case Sampled():
                    given = task_conditions(truth, _task(unit))
                    return sample_method(
                        method, self.pair, self.references(unit, truth), settings, given
                    ), None
                case Reconstructed():
                    given = task_conditions(truth, _task(unit))
                    matrix = self.matrix(unit, truth, method.of)
                    return rebuild(method, matrix, settings, video_given=given.video is not None)
                case Held():
                    return hold(truth), None
                case Ceiling():
                    return encode_and_decode(self.pair, truth), None

        about = {"method": asdict(method), "settings": asdict(settings)}
        return keep_matrix(unit.folder(self.out) / name, self._key(unit, truth, name), make, about)

    def references(self, unit: Unit, truth: ImageMatrix) -> Conditions:
        """Get what the sampled methods of a unit start from: what the task gives, and the rest generated."""
        settings = self._generate(unit)
        conditions = task_conditions(truth, _task(unit))
        key = digest(_deciding(settings), self._weights, matrix_digest(truth))
        return keep_references(
            unit.folder(self.out) / "references",
            key,
            lambda: complete_references(self.pair, conditions, settings),
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
        """Return I3D's logits of every row that is measured, (V - 1, 400)."""
        images = without_references(matrix).images
        if self.i3d is None or images.shape[1] < MIN_FRAMES:
            return None
        with torch.no_grad():
            return self.i3d(images)


def open_bench(
    out: Path, settings: BenchmarkSettings, truth: Callable[[str], ImageMatrix], threads: int
) -> Bench:
    """Load the networks for work with so many threads."""
    torch.set_num_threads(threads)
    sampling = replace(settings.generate.sampling, threads=threads)
    settings = replace(settings, generate=replace(settings.generate, sampling=sampling))
    pair = load_priors(settings.generate)
    return Bench(out, settings, truth, pair, load_networks(set(settings.networks)))


def _task(unit: Unit) -> BenchmarkTask:
    return next(task for task in TASKS if task == unit.task)


def _deciding(settings: GenerateSettings) -> dict[str, object]:
    """Return the settings of stage 1 that change its result."""
    values = asdict(settings)
    for name in ("preset", "reconstruction"):
        del values[name]
    for name in ("threads", "checkpoint_every"):
        del values["sampling"][name]
    return values
