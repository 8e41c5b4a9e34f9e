"""A benchmark's scores as means over creatures and spreads over seeds; as Markdown, as JSON, in a page."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from diffusion2.atomic_files import atomic_path, write_json
from diffusion2.errors import InputError
from diffusion2.evaluation.benchmark.cells import TRUTH, Unit
from diffusion2.evaluation.benchmark.methods import BASELINES, METHODS
from diffusion2.evaluation.benchmark.runner import Results
from diffusion2.evaluation.metrics.fvd import fvd_of_logits, paired_fvd_of_logits
from diffusion2.evaluation.metrics.scores import HIGHER_IS_BETTER

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

PER_CREATURE = ("lpips_alex", "lpips_vgg", "psnr_foreground", "motion_ratio")


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
    """Give FVD between all creatures' clips and all true ones; nothing where some are missing."""
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


def markdown(table: Sequence[Row], labels: Sequence[str] | None = None, clips: int = 0) -> str:
    """Give the means over creatures as a Markdown table, ± the spread over seeds.

    The best of each column is bold, baselines aside.

    Args:
        table: its lines.
        labels: a first column, e.g. the letters of the paper's table; None for none.
        clips: how many FVD compares.
    """
    names = [name for name in COLUMNS if any(name in row.overall for row in table)]
    best = {name: _best(table, name) for name in names}
    head = ["method", *(COLUMNS[name][0] for name in names)]
    head = [f"{text} ({clips} clips)" if text.startswith("FVD") else text for text in head]
    lines = [
        [row.title, *(_cell(row.overall.get(name), name, bold=row is best[name]) for name in names)]
        for row in table
    ]
    if labels is not None:
        head, lines = ["", *head], [[label, *line] for label, line in zip(labels, lines, strict=True)]
    return _grid(head, lines, left=1 if labels is None else 2)


def markdown_per_creature(table: Sequence[Row], score: str) -> str:
    """Give one score, creature by creature."""
    creatures = list(table[0].creatures) if table else []
    lines = [
        [row.title, *(_cell(row.creatures[creature].get(score), score) for creature in creatures)]
        for row in table
    ]
    return _grid([COLUMNS[score][0], *creatures], lines, left=1)


def footnotes(results: Results, table: Sequence[Row]) -> str:
    """Say what must be known to read a table: clips, seeds, what is missing, what failed."""
    clips = _clips(results)
    settings = results.settings
    generate, sampling = settings.generate, settings.generate.sampling
    notes = [
        f"{len(settings.chosen)} of the creatures ({', '.join(c.name for c in settings.chosen)}) at "
        f"{generate.size} px; measured are {generate.views - 1} views × {generate.frames - 1} frames, all "
        "but the reference row and the reference column; seeds "
        f"{' '.join(map(str, settings.seeds))}"
        + (", ± is the standard deviation over them." if len(settings.seeds) > 1 else "."),
        f"The {generate.priors} pair, weights {results.weights[:8]}; {sampling.steps} steps from σ "
        f"{sampling.sigma_max:g}, N_r {sampling.rollback_steps}, s {sampling.multiview_weight:g}, guidance "
        f"{sampling.video_guidance:g} (video) and {sampling.views_guidance:g} (views), where a method does "
        "not say otherwise.",
    ]
    if clips:
        notes.append(
            f"FVD: I3D Kinetics-400 logits, one vector per row of a matrix, {clips} clips against {clips} "
            "true ones of all creatures together. FVD paired: what the scripts of video-to-4D compute, the "
            "mean over single clips."
        )
    notes += [f"{name} is missing: {why}." for name, why in results.missing.items()]
    notes += [f"{row.title}, {unit}: {why}." for row in table for unit, why in row.failed.items()]
    return "\n".join(f"- {note}" for note in notes)


def _clips(results: Results) -> int:
    """Give how many true clips there are, of all creatures together."""
    return sum(len(logits) for logits in results.truth_logits.values())


def task_text(results: Results, table: Sequence[Row], labels: Sequence[str] | None = None) -> str:
    """Give a task's tables and notes as Markdown."""
    parts = [markdown(table, labels, _clips(results)), footnotes(results, table)]
    if len(results.settings.chosen) > 1:
        scores = [name for name in PER_CREATURE if any(name in row.overall for row in table)]
        parts += [markdown_per_creature(table, name) for name in scores]
    return "\n\n".join(parts)


def write_report(path: Path, results: Results, tables: dict[str, list[Row]]) -> None:
    """Write all tables, every cell's scores and the settings as JSON."""
    cells = [
        {
            **asdict(unit),
            "method": method,
            "failed": cell.failed,
            "scores": {name: asdict(score) for name, score in cell.overall.items()},
        }
        for (unit, method), cell in results.cells.items()
    ]
    content = {
        "settings": asdict(results.settings),
        "missing": results.missing,
        "weights": results.weights,
        "tables": {task: [asdict(row) for row in table] for task, table in tables.items()},
        "cells": cells,
    }
    write_json(path, json.loads(json.dumps(content)))


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def fill_page(path: Path, sections: dict[str, str]) -> None:
    """Put text between the markers `<!-- begin NAME -->` and `<!-- end NAME -->` of a page.

    Raises:
        InputError: see `check_page`.
    """
    check_page(path, sections)
    text = path.read_text(encoding="utf-8")
    for name, content in sections.items():
        begin, end = _markers(name)
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{content}\n\n{end}{rest.split(end)[1]}"
    write_text(path, text.removesuffix("\n"))


def check_page(path: Path | None, sections: Collection[str]) -> None:
    """Refuse a page that can't be filled, before what is to fill it is measured; None is no page.

    Raises:
        InputError: there is no such page, or it lacks a marker.
    """
    if path is None:
        return
    if not path.is_file():
        raise InputError(f"there is no page {path} to write tables into")
    text = path.read_text(encoding="utf-8")
    for name in sections:
        begin, end = _markers(name)
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise InputError(f"{path} needs one line {begin.strip()} and after it one line {end}")


def _markers(section: str) -> tuple[str, str]:
    return f"<!-- begin {section} -->\n", f"<!-- end {section} -->"


def _best(table: Sequence[Row], name: str) -> Row | None:
    """Give the row with the best mean of a score; None where there is no choice."""
    found = [row for row in table if name in row.overall and row.method not in BASELINES]
    better = HIGHER_IS_BETTER[name]

    def badness(row: Row) -> float:
        mean = row.overall[name].mean
        return abs(mean - 1) if better is None else -mean if better else mean

    return min(found, key=badness) if len(found) > 1 else None


def _cell(stat: Stat | None, name: str, *, bold: bool = False) -> str:
    if stat is None or not math.isfinite(stat.mean):
        return "–"
    form = COLUMNS[name][1]
    text = f"{stat.mean:{form}}" + ("" if stat.spread is None else f" ± {stat.spread:{form}}")
    return f"**{text}**" if bold else text


def _grid(head: list[str], lines: list[list[str]], left: int) -> str:
    """Lay out a Markdown table whose first columns are text and the rest numbers."""
    widths = [max(len(line[k]) for line in [head, *lines]) for k in range(len(head))]

    def line(cells: list[str]) -> str:
        parts = (
            c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(parts)} |"

    rule = "|".join("-" * (w + 2) if k < left else "-" * (w + 1) + ":" for k, w in enumerate(widths))
    return "\n".join([line(head), f"|{rule}|", *map(line, lines)])
