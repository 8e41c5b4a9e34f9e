"""The theorem in numbers: `theorem.json` with all of them, and the plots of docs/theorem.md."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion2.atomic_files import atomic_path, write_json
from diffusion2.config import PRESETS
from diffusion2.errors import BackendUnavailable, ExportError
from diffusion2.evaluation.theorem.analytic_sampling import propagate
from diffusion2.evaluation.theorem.tables import (
    COMPOSITIONS,
    ROLLBACKS,
    ErrorCurve,
    Exactness,
    LengthTable,
    Sampled,
    TheoremSettings,
    VarianceCurve,
    error_curve,
    exactness,
    length_table,
    make_schedule,
    sampled,
    structures,
    variance_curve,
)
from diffusion2.events import Report, ResultWritten, ignore, stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIGITS = 6
"""Significant digits kept in the file: what is beyond depends on the machine's linear algebra."""
LINES = {
    "eq3": ("eq. 3: row + column − cell", "#1f6fb4", "-"),
    "best_three": ("row, column, cell: best weights", "#1f6fb4", ":"),
    "eq5": ("eq. 5: s = ½", "#d95f0e", "-"),
    "eq5_best": ("eq. 5: best s", "#d95f0e", ":"),
    "video": ("video prior alone", "#888888", "--"),
}
ROLLBACK_LINES = {
    "none": ("no rollbacks", "#9ecae1", 5.0),
    "published": ("rollbacks as published", "#d95f0e", 1.5),
    "variance-preserving": ("rollbacks that keep the variance", "#08519c", 1.5),
}


@dataclass
class TheoremNumbers:
    """Everything that is measured; see `tables` for each part."""

    settings: TheoremSettings
    exactness: list[Exactness] = field(default_factory=list)
    errors: list[ErrorCurve] = field(default_factory=list)
    lengths: list[LengthTable] = field(default_factory=list)
    sampling: list[Sampled] = field(default_factory=list)
    variance: list[VarianceCurve] = field(default_factory=list)


def write_theorem(out: Path, report: Report = ignore, settings: TheoremSettings | None = None) -> list[Path]:
    """Compute the theorem in numbers, write them as JSON and as plots. The same call gives the same numbers.

    Args:
        out: a folder; it is made where it is missing, and files of the same names are replaced.
        report: hears of the stage "theorem" and of each file.
        settings: what is measured; None for what docs/theorem.md shows.

    Returns:
        The files: `theorem.json` and five PNGs.

    Raises:
        BackendUnavailable: matplotlib is not installed.
        ExportError: the folder or a file can't be written.
    """
    settings = settings or TheoremSettings()
    _load_figure()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{out} can't be made a folder for the plots: {error.strerror}") from error
    numbers = measure_theorem(settings, report)
    plots: dict[str, Callable[[], Figure]] = {
        "theorem_error.png": lambda: plot_errors(numbers.errors),
        "theorem_proof.png": lambda: plot_proof(numbers.errors),
        "theorem_lengths.png": lambda: plot_lengths(numbers.lengths),
        "theorem_samples.png": lambda: plot_samples(settings),
        "theorem_variance.png": lambda: plot_variance(numbers.variance),
    }
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
    """Compute all numbers; `report` hears of the stage "theorem", whose units are tables."""
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
            job = partial(sampled, name, matrix, composition, rollback, sampling, seed)
            jobs.append((numbers.sampling, job))
        for preset in PRESETS:
            jobs.append((numbers.variance, partial(variance_curve, preset, separable, composition, rollback)))
    with stage(report, "theorem") as progress:
        progress(0, len(jobs))
        numbers.exactness = exactness(settings)
        for done, (results, job) in enumerate(jobs, 1):
            results.append(job())
            progress(done, len(jobs))
    return numbers


# -- plots ------------------------------------------------------------------------------------------


def plot_errors(curves: list[ErrorCurve]) -> "Figure":
    """Plot the error of the clean estimate and of the score over the noise level."""
    figure, axes = _axes(4, 3, (11, 11.5), sharex=True, sharey=True)
    names = list(dict.fromkeys(curve.structure for curve in curves))
    kinds = [(known, estimate) for known in (False, True) for estimate in (True, False)]
    for row, (known, estimate) in enumerate(kinds):
        for column, name in enumerate(names):
            curve = next(c for c in curves if c.structure == name and c.references == known)
            axis = axes[row, column]
            sigmas = [e.sigma for e in curve.errors]
            for key, (label, colour, line) in LINES.items():
                values = [getattr(e, f"estimate_{key}" if estimate else key) for e in curve.errors]
                axis.plot(sigmas, values, line, color=colour, label=label, linewidth=1.6)
            axis.set(xscale="log", ylim=(0, 1))
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            if row == 0:
                axis.set_title(name)
            if row == 3:
                axis.set_xlabel("noise level σ")
        what = "clean estimate" if estimate else "score"
        axes[row, 0].set_ylabel(f"relative error of the {what},\n{'with' if known else 'no'} references")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def plot_proof(curves: list[ErrorCurve]) -> "Figure":
    """Plot what both steps of the proof leave out, over the noise level."""
    curves = [curve for curve in curves if not curve.references]
    figure, axes = _axes(1, len(curves), (11, 3.4), sharex=True, sharey=True)
    for axis, curve in zip(axes[0], curves, strict=True):
        sigmas = [gap.sigma for gap in curve.proof]
        across, crossing = [g.across for g in curve.proof], [g.crossing for g in curve.proof]
        axis.plot(sigmas, across, color="#7b3294", label="eq. 10: cell and rest, given its row and column")
        axis.plot(sigmas, crossing, color="#3a9a4b", label="eq. 8: row and column, given the cell")
        axis.set(xscale="log", title=curve.structure, xlabel="noise level σ")
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("mutual information in nats\n(0 where the step holds)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def plot_lengths(tables: list[LengthTable]) -> "Figure":
    """Plot the error of the clean estimate, and the best s, over view and time length."""
    figure, axes = _axes(len(tables), 3, (11, 3.7 * len(tables)))
    shown = (
        ("estimate_eq3", "eq. 3", "viridis"),
        ("estimate_eq5", "eq. 5, s = ½", "viridis"),
        ("best_s", "best s of eq. 5", "coolwarm"),
    )
    for row, table in enumerate(tables):
        for axis, (key, label, colours) in zip(axes[row], shown, strict=True):
            values = [[getattr(error, key) for error in line] for line in table.errors]
            top = 1.0 if key == "best_s" else 0.8
            image = axis.imshow(values, origin="lower", cmap=colours, vmin=0, vmax=top)
            for v, line in enumerate(values):
                for f, value in enumerate(line):
                    dark = colours == "viridis" and value < 0.5
                    axis.text(f, v, f"{value:.2f}", ha="center", va="center", color="w" if dark else "k")
            ticks = range(len(table.lengths)), [f"{length:g}" for length in table.lengths]
            axis.set_xticks(*ticks)
            axis.set_yticks(*ticks)
            axis.set(title=f"{label}, σ = {table.sigma:g}", xlabel="time length in frames")
            figure.colorbar(image, ax=axis, shrink=0.8)
        axes[row, 0].set_ylabel("view length in views")
    return figure


def plot_samples(settings: TheoremSettings) -> "Figure":
    """Plot how the middle cell is related to all others: truly, and in what is sampled, in closed form."""
    from matplotlib.colors import PowerNorm

    sampling = PRESETS[settings.preset].sampling
    kinds = structures(settings)
    figure, axes = _axes(len(kinds), 5, (12, 6.6), sharex=True, sharey=True)
    image = None
    for row, (name, make) in enumerate(kinds.items()):
        matrix = make(False)
        schedule = make_schedule(sampling, matrix.views)
        middle = matrix.views // 2 * matrix.frames + matrix.frames // 2
        shown = {
            "the true distribution": matrix.posterior()[1],
            "sampled: true score": propagate(matrix, schedule, "joint", "none").covariance,
            "sampled: eq. 3": propagate(matrix, schedule, "eq3", "none").covariance,
            "sampled: eq. 5": propagate(matrix, schedule, "eq5", "none").covariance,
            "eq. 5, published rollbacks": propagate(matrix, schedule, "eq5", "published").covariance,
        }
        for axis, (label, covariance) in zip(axes[row], shown.items(), strict=True):
            values = covariance[middle].view(matrix.views, matrix.frames).numpy()
            image = axis.imshow(values, cmap="magma", norm=PowerNorm(0.5, 0, 1))
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(label, fontsize=10)
        axes[row, 0].set_ylabel(f"{name}\nviews ↓  times →")
    assert image is not None
    figure.colorbar(image, ax=axes, shrink=0.7, label="covariance with the middle cell")
    return figure


def plot_variance(curves: list[VarianceCurve]) -> "Figure":
    """Plot the variance that is there, as a share of what the priors are told, over the steps."""
    presets = list(dict.fromkeys(curve.preset for curve in curves))
    figure, axes = _axes(1, len(presets), (11, 3.8), sharey=True)
    for axis, preset in zip(axes[0], presets, strict=True):
        for curve in curves:
            if curve.preset != preset or curve.composition == "eq3":
                continue
            label, colour, width = ROLLBACK_LINES[curve.rollback]
            line = "-" if curve.composition == "joint" else "--"
            name = f"{'true score' if curve.composition == 'joint' else 'eq. 5'}, {label}"
            axis.plot(range(len(curve.share)), curve.share, line, color=colour, label=name, linewidth=width)
        sampling = PRESETS[preset].sampling
        title = (
            f"{preset}: {sampling.rollback_steps} of {sampling.steps} steps, σ from {sampling.sigma_max:g}"
        )
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="steps done", ylim=(0, 1.05))
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("variance of a cell, as a share\nof what the noise level stands for")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _axes(
    rows: int, columns: int, size: tuple[float, float], *, sharex: bool = False, sharey: bool = False
) -> tuple["Figure", Any]:
    """Make a figure that no window shows, and its axes (rows, columns)."""
    figure = _load_figure()(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)


def _load_figure() -> "type[Figure]":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendUnavailable('the plots need matplotlib: pip install "diffusion2[metrics]"') from error
    return Figure


def _rounded(value: Any) -> Any:
    """Round all numbers to significant digits; tuples become lists, as in JSON."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
