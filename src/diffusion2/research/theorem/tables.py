"""How far the compositions of scores are off for Gaussian matrices: numbers behind docs/theorem.md."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from diffusion2.config import Between, PresetName, Settings
from diffusion2.errors import InputError
from diffusion2.priors.gaussian import GaussianMatrix
from diffusion2.research.theorem.composition_error import (
    CompositionError,
    ProofGap,
    composition_error,
    composition_errors,
    proof_gap,
)
from diffusion2.research.theorem.covariances import (
    additive,
    composes_exactly,
    correlation,
    crossed,
    one_cross,
    patchwork,
    separable,
)

Length = Annotated[float, Between(0, 1e6)]
NoiseLevel = Annotated[float, Between(1e-6, 1e6)]


@dataclass(frozen=True)
class TheoremSettings(Settings):
    """What is measured.

    Attributes:
        views: V.
        frames: F.
        view_length: how far apart views are still related, in views.
        time_length: the same in time, in frames; neighbouring frames are more alike than neighbouring views.
        sigmas: noise levels.
        lengths: for the tables over view and time length.
        table_sigmas: noise levels of these tables.
        preset: whose steps, weights and rollbacks are sampled with.
        seed: of the known cells and the noise.
    """

    views: Annotated[int, Between(2, 100)] = 12
    frames: Annotated[int, Between(2, 100)] = 12
    view_length: Length = 2.0
    time_length: Length = 6.0
    sigmas: tuple[NoiseLevel, ...] = tuple(round(float(10 ** (k / 6 - 1.5)), 4) for k in range(22))
    lengths: tuple[Length, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    table_sigmas: tuple[NoiseLevel, ...] = (1.0, 10.0)
    preset: PresetName = "paper"
    seed: Annotated[int, Between(0, 2**63 - 1)] = 0

    def check_together(self) -> None:
        """Refuse to measure at no noise level, or over no length."""
        for name in ("sigmas", "lengths", "table_sigmas"):
            if not getattr(self, name):
                raise InputError(f"{name} must have at least one value")


def structures(settings: TheoremSettings) -> dict[str, Callable[[bool], GaussianMatrix]]:
    """Name the ways in which cells may be related; each is made with or without references."""
    kinds = {"separable": separable, "additive": additive, "crossed": crossed}

    def maker(kind: Callable[[Tensor, Tensor], Tensor]) -> Callable[[bool], GaussianMatrix]:
        def make(references: bool) -> GaussianMatrix:
            view = correlation(settings.views + references, settings.view_length)
            time = correlation(settings.frames + references, settings.time_length)
            return GaussianMatrix(kind(view, time), references)

        return make

    return {name: maker(kind) for name, kind in kinds.items()}


@dataclass(frozen=True)
class ErrorCurve:
    """Errors of the compositions of one matrix over the noise levels, and what the proof lacks there."""

    structure: str
    references: bool
    errors: list[CompositionError]
    proof: list[ProofGap]


def error_curve(name: str, matrix: GaussianMatrix, sigmas: Sequence[float]) -> ErrorCurve:
    """Measure one matrix at all noise levels; the proof is about matrices without references."""
    proof = [] if matrix.references else [proof_gap(matrix, sigma) for sigma in sigmas]
    return ErrorCurve(name, matrix.references, composition_errors(matrix, sigmas), proof)


@dataclass(frozen=True)
class Exactness:
    """Whether eq. 3 should be exact for a structure, and how far it is off at worst over the noise levels."""

    structure: str
    expected: bool
    eq3: float
    eq5: float


def exactness(settings: TheoremSettings) -> list[Exactness]:
    """Try eq. 3 where it is exact and where it is not, without references."""
    views, frames = settings.views, settings.frames
    view, time = correlation(views, settings.view_length), correlation(frames, settings.time_length)
    none_view, none_time = correlation(views, 0), correlation(frames, 0)
    cases = {
        "nothing related": separable(none_view, none_time),
        "rows independent": separable(none_view, time),
        "columns independent": separable(view, none_time),
        "patchwork": patchwork(view, time),
        "one cross": one_cross(view, time),
        **{name: make(False).covariance for name, make in structures(settings).items()},
    }
    found = []
    for name, covariance in cases.items():
        errors = composition_errors(GaussianMatrix(covariance), settings.sigmas)
        worst = max(e.eq3 for e in errors), max(e.eq5 for e in errors)
        found.append(Exactness(name, composes_exactly(covariance), *worst))
    return found


@dataclass(frozen=True)
class LengthTable:
    """Errors over how far views (rows of the table) and times (columns) are related, at one noise level."""

    sigma: float
    references: bool
    lengths: list[float]
    errors: list[list[CompositionError]]


def length_table(settings: TheoremSettings, sigma: float, references: bool) -> LengthTable:
    """Measure separable matrices of all view and time lengths at a noise level."""
    sizes = settings.views + references, settings.frames + references

    def error(view_length: float, time_length: float) -> CompositionError:
        covariance = separable(correlation(sizes[0], view_length), correlation(sizes[1], time_length))
        return composition_error(GaussianMatrix(covariance, references), sigma)

    lengths = list(settings.lengths)
    return LengthTable(sigma, references, lengths, [[error(v, t) for t in lengths] for v in lengths])
