"""Scores as rows of a table, and as JSON."""

from typing import Any

from diffusion2.evaluation.measure import Evaluation, Score
from diffusion2.evaluation.scores import DEFINITIONS, HIGHER_IS_BETTER
from diffusion2.metrics.networks import NOT_ASKED

LABELS = {
    "psnr": "PSNR",
    "psnr_foreground": "PSNR, object",
    "ssim": "SSIM",
    "ssim_foreground": "SSIM, object",
    "lpips_alex": "LPIPS, AlexNet",
    "lpips_vgg": "LPIPS, VGG",
    "clip": "CLIP similarity",
    "fvd": "FVD, sets of clips",
    "fvd_paired": "FVD, clip by clip",
    "motion_ratio": "motion ratio",
    "temporal_error": "temporal error",
    "multiview_consistency": "multi-view consistency",
}
_DIGITS = {"psnr": 2, "psnr_foreground": 2, "fvd": 1, "fvd_paired": 1, "motion_ratio": 2}
_UNITS = {"psnr": " dB", "psnr_foreground": " dB"}
_ONE_IS_BEST = "1"

COLUMNS = ("score", "value", "best", "views", "note")
NUMBERS = ("value", "views")


def table_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return a row for each score that was asked for: label, value, what is best, range over views, note."""
    return [
        (
            LABELS[name],
            format_value(score),
            best(score),
            _range(name, evaluation.per_view),
            score.note,
        )
        for name, score in evaluation.overall.items()
        if was_asked(score)
    ]


def was_asked(score: Score) -> bool:
    """Say whether a score belongs into a table: it has a value, or a reason why it has none."""
    return score.value is not None or score.note != NOT_ASKED


def format_value(score: Score, *, unit: bool = True) -> str:
    """Write a value, with its unit where that is wanted; a dash where there is none."""
    if score.value is None:
        return "–"
    return f"{score.value:.{_DIGITS.get(score.name, 4)}f}{_UNITS.get(score.name, '') if unit else ''}"


def best(score: Score) -> str:
    """Say which way is better."""
    return {True: "high", False: "low", None: _ONE_IS_BEST}[score.higher_is_better]


def to_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain JSON values, with what each score means."""
    azimuths = evaluation.settings["azimuths_deg"]
    return {
        "settings": evaluation.settings,
        "overall": {name: _record(score) for name, score in evaluation.overall.items()},
        "per_view": [
            {"azimuth_deg": azimuth, "scores": {name: _record(score) for name, score in scores.items()}}
            for azimuth, scores in zip(azimuths, evaluation.per_view, strict=True)
        ],
        "definitions": {name: DEFINITIONS[name] for name in HIGHER_IS_BETTER},
    }


def _record(score: Score) -> dict[str, Any]:
    record: dict[str, Any] = {"value": score.value, "best": best(score)}
    if score.note:
        record["note"] = score.note
    if score.reference is not None:
        record["reference"] = score.reference
    return record


def _range(name: str, per_view: list[dict[str, Score]]) -> str:
    """Write the smallest and the largest value of the views."""
    scores = sorted(
        (scores[name] for scores in per_view if scores[name].value is not None), key=lambda s: s.value or 0
    )
    if len(scores) < 2:
        return ""
    digits = _DIGITS.get(name, 4)
    return f"{scores[0].value:.{digits}f} … {scores[-1].value:.{digits}f}"
