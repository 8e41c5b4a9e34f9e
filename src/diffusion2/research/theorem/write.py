"""The theorem in numbers: `theorem.json` with all of them, and the plots of docs/theorem.md."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from diffusion2.atomic_files import atomic_path, check_writable, write_json
from diffusion2.config import PRESETS
from diffusion2.errors import ExportError, in_one_line
from diffusion2.events import Report, ResultWritten, ignore, stage
from diffusion2.research.theorem.plots import (
    load_figure,
    plot_errors,
    plot_lengths,
    plot_proof,
    plot_samples,
    plot_variance,
)
from diffusion2.research.theorem.sampling_tables import (
    COMPOSITIONS,
    ROLLBACKS,
    SamplerResult,
    VarianceCurve,
    measure_sampler,
    variance_curve,
)
from diffusion2.research.theorem.tables import (
    ErrorCurve,
    Exactness,
    LengthTable,
    TheoremSettings,
    error_curve,
    exactness,
    length_table,
    structures,
)

DIGITS = 6
"""Significant digits kept in the file: what is beyond depends on the machine's linear algebra."""


@dataclass
class TheoremNumbers:
    """Everything that is measured; see `tables` and `sampling_tables` for each part."""

    settings: TheoremSettings
    exactness: list[Exactness] = field(default_factory=list)
    errors: list[ErrorCurve] = field(default_factory=list)
    lengths: list[LengthTable] = field(default_factory=list)
    sampling: list[SamplerResult] = field(default_factory=list)
    variance: list[VarianceCurve] = field(default_factory=list)


def write_theorem(out: Path, report: Report = ignore, settings: TheoremSettings | None = None) -> list[Path]:
    """Compute the theorem in numbers, write them as JSON and as plots. The same call gives the same numbers.

    Args:
        out: a folder; it is made where it is missing, and files of the same names are replaced.
        report: takes the events of the stage "theorem" and of each file.
        settings: what is measured; None for what docs/theorem.md shows.

    Returns:
        The files: `theorem.json` and five PNGs.

    Raises:
        BackendUnavailable: matplotlib is not installed.
        ExportError: the folder or a file can't be written.
    """
    settings = settings or TheoremSettings()
    load_figure()
    try:
        check_writable(out)
    except OSError as error:
        raise ExportError(f"{out} can't be made a folder for the plots: {in_one_line(error)}") from error
    numbers = measure_theorem(settings, report)
    plots = {
        "theorem_error.png": lambda: plot_errors(numbers.errors),
        "theorem_proof.png": lambda: plot_proof(numbers.errors),
        "theorem_lengths.png": lambda: plot_lengths(numbers.lengths),
        "theorem_samples.png": lambda: plot_samples(settings),
        "theorem_variance.png": lambda: plot_variance(numbers.variance),
    }
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "theorem.json"]
    write_json(written[0], _rounded(asdict(numbers)))
    for name, plot in plots.items():
        with atomic_path(out / name) as temporary:
            plot().savefig(temporary, dpi=90, metadata={"Software": None})
        written.append(out / name)
    for path in written:
        report(ResultWritten("theorem", path))
    return written


def measure_theorem(settings: TheoremSettings, report: Report = ignore) -> TheoremNumbers:
    """Compute all numbers; `report` takes the events of the stage "theorem", whose units are tables."""
    numbers = TheoremNumbers(settings)
    kinds = [(name, make(known)) for name, make in structures(settings).items() for known in (False, True)]
    separable = structures(settings)["separable"](True)
    sampling, seed = PRESETS[settings.preset].sampling, settings.seed
    jobs: list[tuple[list[Any], Callable[[], Any]]] = []
    for name, matrix in kinds:
        jobs.append((numbers.errors, partial(error_curve, name, matrix, settings.sigmas)))
    for sigma in settings.table_sigmas:
        jobs.append((numbers.lengths, partial(length_table, settings, sigma, references=True)))
    for composition, rollback in product(COMPOSITIONS, ROLLBACKS):
        for name, matrix in kinds:
            job = partial(measure_sampler, name, matrix, composition, rollback, sampling, seed)
            jobs.append((numbers.sampling, job))
        for preset in ("mini", "paper", "released"):  # one panel each
            jobs.append((numbers.variance, partial(variance_curve, preset, separable, composition, rollback)))
    with stage(report, "theorem") as progress:
        progress(0, len(jobs))
        numbers.exactness = exactness(settings)
        for done, (results, job) in enumerate(jobs, 1):
            results.append(job())
            progress(done, len(jobs))
    return numbers


def _rounded(value: Any) -> Any:
    """Round all numbers to significant digits; tuples become lists, as in JSON."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
