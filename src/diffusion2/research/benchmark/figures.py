"""Figures 5, 6 and 10 of the paper, from runs of our own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffusion2.atomic_files import atomic_path, write_json
from diffusion2.errors import BackendUnavailable, InputError, NumericalError
from diffusion2.events import Report, Warned, ignore
from diffusion2.image_matrix import ImageMatrix
from diffusion2.priors.prior import PriorPair
from diffusion2.research.benchmark.bench import Bench
from diffusion2.research.benchmark.cells import Unit
from diffusion2.research.benchmark.methods import METHODS, Sampled, vary
from diffusion2.research.benchmark.recording import MatrixEvaluation, expected_noise_left, record
from diffusion2.research.benchmark.strips import spread_cells, write_strips
from diffusion2.sampling.joint import JointSchedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOURTH = 3
"""The step, counted from 0, in which figure 5 shows the priors' estimates."""

RECORDED = {
    "composed": ("without VRS", "#9ecae1"),
    "composed-vrs": ("VRS", "#d95f0e"),
    "composed-preserving": ("rollbacks that keep the noise level", "#08519c"),
}
"""Methods whose sampling is recorded: their names in plots, and colours."""

STRIPS = {
    "vrs": ("composed", "composed-vrs", "composed-preserving"),
    "composition": ("multiview-vrs", "multiview-vrs-blend", "composed-vrs"),
    "decoupling": ("composed-vrs", "composed-vrs-asset", "composed-vrs-coupled"),
}
"""The three parts of figure 6: methods whose results stand under the truth."""

NAMES = {
    "composed": "no VRS",
    "composed-vrs": "VRS, composed",
    "composed-preserving": "level kept",
    "multiview-vrs": "multi-view only",
    "multiview-vrs-blend": "features blended",
    "composed-vrs-asset": "decoupled",
    "composed-vrs-coupled": "not decoupled",
}


@dataclass(frozen=True)
class Recordings:
    """The evaluations of every recorded method, and its schedule; all have the same noise levels."""

    evaluations: dict[str, list[MatrixEvaluation]]
    schedules: dict[str, JointSchedule]

    @property
    def sigmas(self) -> list[float]:
        """The noise levels of all steps, and the 0 at the end."""
        return next(iter(self.schedules.values())).sigmas.tolist()


def write_figures(
    bench: Bench, unit: Unit, recordings: Recordings, out: Path, report: Report = ignore
) -> list[Path]:
    """Write all figures of one creature as PNG, and the numbers in them as JSON.

    A result that can't be made, such as an asset from views that share no object, is left out.

    Args:
        bench: makes the results that its folder lacks.
        unit: creature, task and seed.
        recordings: of that unit.
        out: folder of the files.
        report: takes the events of what is left out.
    """
    truth = bench.truth(unit.creature)
    written = [
        _figure_5(recordings, truth, bench.pair, out / "ablation_figure5.png"),
        _plot_disagreement(recordings, out / "ablation_disagreement.png"),
        _figure_10(recordings, out / "ablation_figure10.png"),
    ]
    for part, methods in STRIPS.items():
        path = out / f"ablation_figure6_{part}.png"
        results = [("truth", truth)]
        for name in methods:
            try:
                results.append((NAMES[name], bench.matrix(unit, truth, name)))
            except (InputError, NumericalError) as error:
                report(Warned(f"{path.name} lacks {METHODS[name].title}: {error}"))
        written.append(_figure_6(results, path))
    numbers = out / "ablation_figures.json"
    write_json(numbers, figure_numbers(recordings))
    return [*written, numbers]


def make_recordings(bench: Bench, unit: Unit, report: Report = ignore) -> Recordings:
    """Sample with, without and with level-keeping rollbacks, and keep all estimates.

    Raises:
        BackendUnavailable: the figures could not be drawn in the end, as matplotlib is missing.
    """
    _require_matplotlib()
    truth = bench.truth(unit.creature)
    settings = replace(bench.settings.generate, seed=unit.seed)
    conditions = bench.references(unit, truth)
    evaluations, schedules = {}, {}
    for name in RECORDED:
        method = METHODS[name]
        assert isinstance(method, Sampled)
        sampling = vary(settings.sampling, method, settings.frames)
        schedules[name] = JointSchedule.from_settings(sampling, settings.views)
        evaluations[name] = record(bench.pair, conditions, replace(settings, sampling=sampling), report)
    return Recordings(evaluations, schedules)


def figure_numbers(recordings: Recordings) -> dict[str, object]:
    """Return what the plots show as plain values."""
    return {
        name: [
            {
                "step": evaluation.step,
                "attempt": evaluation.attempt,
                "sigma": evaluation.sigma,
                "variance": evaluation.variance,
                "noise_left": evaluation.noise_left,
                "noise_left_expected": expected,
                "disagreement": evaluation.disagreement,
            }
            for evaluation, expected in zip(evaluations, _expected(recordings, name), strict=True)
        ]
        for name, evaluations in recordings.evaluations.items()
    }


def noise_table(recordings: Recordings) -> str:
    """Get the noise that is left as Markdown: what the last evaluation of each of the first steps finds."""
    rolled_back = max(schedule.rollback_steps for schedule in recordings.schedules.values())
    steps = min(rolled_back + 2, len(recordings.sigmas) - 1)
    lines = ["| step | nominal σ | " + " | ".join(f"{RECORDED[name][0]}" for name in RECORDED) + " |"]
    lines.append("|---:|---:|" + "---:|" * len(RECORDED))
    for step in range(steps):
        cells = []
        for name in RECORDED:
            expected = _expected(recordings, name)
            found = [
                (e.noise_left, share)
                for e, share in zip(recordings.evaluations[name], expected, strict=True)
                if e.step == step
            ]
            cells.append(f"{found[-1][0]:.3f} ({found[-1][1]:.3f})")
        lines.append(f"| {step + 1} | {recordings.sigmas[step]:.3g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _expected(recordings: Recordings, name: str) -> list[float]:
    return expected_noise_left(recordings.schedules[name])


def _figure_5(recordings: Recordings, truth: ImageMatrix, pair: PriorPair, path: Path) -> Path:
    """Show both priors' clean estimates in the fourth step, decoded: some views in the middle of the time."""
    frame = truth.frames // 2
    views = [truth.views * k // 6 - 1 for k in range(1, 7)]

    def shown(latents: Tensor) -> Tensor:
        return pair.codec.decode(torch.stack([latents[view, frame] for view in views]))[:, :3]

    rows = []
    for name in ("composed", "composed-vrs"):
        step = min(FOURTH, len(recordings.sigmas) - 2)
        last = [e for e in recordings.evaluations[name] if e.step == step][-1]
        label = RECORDED[name][0]
        rows.append((f"video prior, {label}", shown(last.by_rows)))
        rows.append((f"multi-view prior, {label}", shown(last.by_columns)))
        rows.append((f"composed, {label}", shown(last.denoised)))
    rows.append(("truth", torch.stack([truth.images[view, frame] for view in views])))
    heads = [f"{truth.cameras.azimuths_deg[view] % 360:.0f}°" for view in views]
    write_strips(path, rows, heads=heads)
    return path


def _figure_6(results: Sequence[tuple[str, ImageMatrix]], path: Path) -> Path:
    """Show results under the truth: both sides and the back, over time."""
    frames = 3
    strips = [(name, spread_cells(matrix, 3, frames)) for name, matrix in results]
    heads = ["90°, first, middle and last frame", "180°", "270°"]
    write_strips(path, strips, heads=heads, every=frames)
    return path


def _plot_disagreement(recordings: Recordings, path: Path) -> Path:
    """Plot how far the priors' clean estimates are apart."""

    def plot(axes: "Sequence[Axes]") -> None:
        for name, evaluations in recordings.evaluations.items():
            label, colour = RECORDED[name]
            values = [e.disagreement for e in evaluations]
            axes[0].plot(_times(evaluations), values, ".-", color=colour, label=label)
        axes[0].set(xlabel="step", ylabel="RMS difference of the\npriors' clean estimates", ylim=(0, None))
        axes[0].legend(frameon=False)

    return _save_plot(path, 1, plot)


def _figure_10(recordings: Recordings, path: Path) -> Path:
    """Plot the variance of the latents, and the noise that is left beside the nominal one."""

    def plot(axes: "Sequence[Axes]") -> None:
        for name, evaluations in recordings.evaluations.items():
            label, colour = RECORDED[name]
            times = _times(evaluations)
            axes[0].semilogy(times, [e.variance for e in evaluations], ".-", color=colour, label=label)
            axes[1].plot(times, [e.noise_left for e in evaluations], ".-", color=colour, label=label)
            axes[1].plot(times, _expected(recordings, name), ":", color=colour)
        axes[0].set(xlabel="step", ylabel="variance of the noisy latents")
        axes[0].legend(frameon=False)
        axes[1].axhline(1, color="#888888", linewidth=0.8)
        axes[1].set(xlabel="step", ylabel="noise that is there / nominal noise", ylim=(0, None))
        axes[1].set_title("dotted: if the clean estimate never changed", fontsize=9)

    return _save_plot(path, 2, plot)


def _times(evaluations: Sequence[MatrixEvaluation]) -> list[float]:
    """Return places on the axis of steps; a repeated step stands half a step later."""
    return [e.step + 1 + 0.5 * e.attempt for e in evaluations]


def _save_plot(path: Path, count: int, plot: "Callable[[Sequence[Axes]], None]") -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * count, 3.4), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis in axes:
        axis.grid(alpha=0.3)
    plot(list(axes))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    return path


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable("the figures need matplotlib: pip install matplotlib") from error
