"""A benchmark's scores as means over creatures and spreads over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

import torch
from torch import Tensor

from diffusion2.metrics.fvd import fvd_of_logits, paired_fvd_of_logits
from diffusion2.research.benchmark.cells import TRUTH, Unit
from diffusion2.research.benchmark.methods import BASELINES, METHODS
from diffusion2.research.benchmark.runner import Results

COLUMNS = {
    "lpips_alex": ("LPIPS Alex ↓", ".4f"),
    "lpips_vgg": ("LPIPS VGG ↓", ".4f"),
    "clip": ("CLIP ↑", ".4f"),
    "fvd": ("FVD ↓", ".0f"),
    "fvd_paired": ("FVD paired ↓", ".1f"),
    "psnr_foreground": ("PSNR object ↑", ".2f"),
    "psnr": ("PSNR ↑", ".2f"),
    "ssim_foreground": ("SSIM object ↑", ".3f"),
    "motion_ratio": ("motion ratio → 1", ".2f"),
    "temporal_error": ("temporal error ↓", ".4f"),
    "multiview_consistency": ("views agree ↑", ".3f"),
}
"""The scores of a table: heading and format."""


@dataclass(frozen=True)
class Stat:
    """A score over seeds.

    Attributes:
        mean: over the seeds, of means over the creatures that have a value.
        spread: standard deviation over the seeds (N - 1); None with one seed, and for baselines.
        creatures: how many creatures have a value.
    """

    mean: float
    spread: float | None
    creatures: int


@dataclass(frozen=True)
class Row:
    """A method's line of a table.

    Attributes:
        method: its name in `METHODS`.
        title: how the table calls it.
        overall: by score, over all creatures.
        creatures: by creature, then by score, over the seeds.
        failed: what went wrong, by unit.
    """

    method: str
    title: str
    overall: dict[str, Stat]
    creatures: dict[str, dict[str, Stat]]
    failed: dict[str, str] = field(default_factory=dict)


def rows(results: Results, task: str, methods: Sequence[str] | None = None) -> list[Row]:
    """Summarise a task.

    Args:
        results: of the benchmark.
        task: which.
        methods: in the order of the table; None for all that were asked for, and the baselines.
    """
    names = (*results.settings.sampled, *BASELINES) if methods is None else methods
    return [_row(results, task, name) for name in names]


def _row(results: Results, task: str, method: str) -> Row:
    creatures = [creature.name for creature in results.settings.chosen]
    seeds = (0,) if method in BASELINES else results.settings.seeds
    task = TRUTH if method in BASELINES else task
    values: dict[int, dict[str, dict[str, float]]] = {}
    failed: dict[str, str] = {}
    for seed in seeds:
        for creature in creatures:
            unit = Unit(task, creature, seed)
            cell = results.cells[unit, method]
            if cell.failed:
                failed[str(unit)] = cell.failed
            scores = {name: score.value for name, score in cell.overall.items() if score.value is not None}
            truth = results.truth_logits.get(creature)
            if cell.logits is not None and truth is not None:
                pairs = paired_fvd_of_logits(cell.logits, truth).value
                scores |= {} if pairs is None else {"fvd_paired": pairs}
            values.setdefault(seed, {})[creature] = scores
    by_seed = [
        _means(list(scores.values())) | _pooled_fvd(results, task, method, seed)
        for seed, scores in values.items()
    ]
    counts = {
        name: min(sum(name in scores for scores in values[seed].values()) for seed in seeds)
        for name in COLUMNS
    }
    counts["fvd"] = len(creatures)
    return Row(
        method,
        METHODS[method].title,
        _stats(by_seed, counts),
        {c: _stats([values[seed][c] for seed in seeds], dict.fromkeys(COLUMNS, 1)) for c in creatures},
        failed,
    )


def _pooled_fvd(results: Results, task: str, method: str, seed: int) -> dict[str, float]:
    """Return FVD between all creatures' clips and all true ones; nothing where some are missing."""
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    for creature in results.settings.chosen:
        logits = results.cells[Unit(task, creature.name, seed), method].logits
        truth = results.truth_logits.get(creature.name)
        if logits is None or truth is None:
            return {}
        ours.append(logits)
        theirs.append(truth)
    value = fvd_of_logits(torch.cat(ours), torch.cat(theirs)).value
    return {} if value is None else {"fvd": value}


def _means(scores: list[dict[str, float]]) -> dict[str, float]:
    return {
        name: fmean(found)
        for name in COLUMNS
        if (found := [values[name] for values in scores if name in values])
    }


def _stats(by_seed: list[dict[str, float]], counts: dict[str, int]) -> dict[str, Stat]:
    stats = {}
    for name in COLUMNS:
        values = [scores[name] for scores in by_seed if name in scores]
        if values:
            stats[name] = Stat(fmean(values), stdev(values) if len(values) > 1 else None, counts[name])
    return stats
