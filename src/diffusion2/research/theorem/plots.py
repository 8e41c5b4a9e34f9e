"""The plots of docs/theorem.md."""

from typing import TYPE_CHECKING, Any

from diffusion2.config import PRESETS
from diffusion2.errors import BackendUnavailable
from diffusion2.research.theorem.analytic_sampling import propagate
from diffusion2.research.theorem.sampling_tables import VarianceCurve, make_schedule
from diffusion2.research.theorem.tables import ErrorCurve, LengthTable, TheoremSettings, structures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES = {
    "eq3": ("eq. 3: row + column − cell", "#1f6fb4", "-"),
    "best_three": ("row, column, cell: best weights", "#1f6fb4", ":"),
    "eq5": ("eq. 5: s = ½", "#d95f0e", "-"),
    "eq5_best": ("eq. 5: best s", "#d95f0e", ":"),
    "video": ("video prior alone", "#888888", "--"),
}
ROLLBACK_LINES = {
    "none": ("no rollbacks", "#9ecae1", 5.0),
    "variance-reducing": ("variance-reducing rollbacks", "#d95f0e", 1.5),
    "variance-preserving": ("variance-preserving rollbacks", "#08519c", 1.5),
}


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
        plain = make_schedule(sampling, matrix.views, "none")
        reducing = make_schedule(sampling, matrix.views, "variance-reducing")
        middle = matrix.views // 2 * matrix.frames + matrix.frames // 2
        shown = {
            "the true distribution": matrix.posterior()[1],
            "sampled: true score": propagate(matrix, plain, "joint").covariance,
            "sampled: eq. 3": propagate(matrix, plain, "eq3").covariance,
            "sampled: eq. 5": propagate(matrix, plain, "eq5").covariance,
            "eq. 5, variance-reducing": propagate(matrix, reducing, "eq5").covariance,
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
    """Plot the variance that is there, as a share of what the noise level stands for, over the steps."""
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
    figure = load_figure()(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)


def load_figure() -> "type[Figure]":
    """Import matplotlib's class of figures.

    Raises:
        BackendUnavailable: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendUnavailable('the plots need matplotlib: pip install "diffusion2[metrics]"') from error
    return Figure
