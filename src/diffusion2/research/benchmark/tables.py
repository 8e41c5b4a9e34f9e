"""A benchmark's summary as tables: as Markdown with notes, and as JSON."""

import json
import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from diffusion2.atomic_files import write_json
from diffusion2.config import SamplingSettings
from diffusion2.evaluation.scores import HIGHER_IS_BETTER
from diffusion2.research.benchmark.methods import BASELINES
from diffusion2.research.benchmark.runner import Results
from diffusion2.research.benchmark.summary import COLUMNS, Row, Stat

PER_CREATURE = ("lpips_alex", "lpips_vgg", "psnr_foreground", "motion_ratio")


def markdown(table: Sequence[Row], labels: Sequence[str] | None = None, clips: int = 0) -> str:
    """Return the means over creatures as a Markdown table, ± the spread over seeds.

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
    """Return one score, creature by creature."""
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
        f"{sampling.sigma_max:g}, N_r {sampling.rollback_steps}, s {_weight(sampling)}, guidance "
        f"{sampling.video_guidance:g} (video) and {sampling.views_guidance:g} (views), where a method does "
        f"not say otherwise.{_guess(sampling)}",
    ]
    if clips:
        notes.append(
            f"FVD: I3D Kinetics-400 logits, one vector per row of a matrix, {clips} clips against {clips} "
            "true ones of all creatures together. FVD paired: what the scripts of video-to-4D compute, the "
            "mean over single clips."
        )
    notes += [f"{name} is missing: {why}." for name, why in results.missing.items()]
    notes += [f"{row.title}, {unit}: {why}." for row in table for unit, why in row.failed.items()]
    return "\n".join(_item(note) for note in notes)


def _guess(sampling: SamplingSettings) -> str:
    if sampling.guess_sigma is None:
        return ""
    factor = sampling.guess_error_factor
    more = f", or {factor:g} times its error in the known column if that is more" if factor else ""
    return (
        f" Sampling begins at σ {sampling.guess_sigma:g}{more}, with what the lifter makes of the pictures."
    )


def _item(note: str) -> str:
    """Lay out a note as an item of a list, in lines as wide as those of the pages it goes into."""
    return textwrap.fill(
        note, 110, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _weight(sampling: SamplingSettings) -> str:
    first, last = sampling.multiview_weight, sampling.last_multiview_weight
    changes = sampling.weight_schedule != "constant" and last is not None
    return f"{first:g} to {last:g}" if changes else f"{first:g}"


def _clips(results: Results) -> int:
    """Return how many true clips there are, of all creatures together."""
    return sum(len(logits) for logits in results.truth_logits.values())


def task_text(results: Results, table: Sequence[Row], labels: Sequence[str] | None = None) -> str:
    """Write a task's means over all creatures, with notes, as Markdown."""
    return f"{markdown(table, labels, _clips(results))}\n\n{footnotes(results, table)}"


def creatures_text(results: Results, table: Sequence[Row]) -> str:
    """Write a task's scores creature by creature as Markdown; nothing where there is one creature only."""
    if len(results.settings.chosen) == 1:
        return ""
    scores = [name for name in PER_CREATURE if any(name in row.overall for row in table)]
    return "\n\n".join(markdown_per_creature(table, name) for name in scores)


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


def _best(table: Sequence[Row], name: str) -> Row | None:
    """Return the row with the best mean of a score; None where there is no choice."""
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
