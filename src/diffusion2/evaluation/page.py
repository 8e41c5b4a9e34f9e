"""`evaluation.html`: scores and pictures of one evaluation in one file that needs no network."""

import io
from base64 import b64encode
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from diffusion2.evaluation.measure import Evaluation
from diffusion2.evaluation.pairing import SUSPICIOUS, MatrixPair
from diffusion2.evaluation.scores import DEFINITIONS
from diffusion2.evaluation.tables import LABELS, best, format_value, was_asked
from diffusion2.exporters.templates import render_template
from diffusion2.exporters.writing import writing
from diffusion2.pictures import to_pixels

CELL = 160
"""Pictures are kept at this height at most, in pixels."""

SHOWN = 184
"""Pictures are shown at this width."""

MOST_PIXELS = 9_000_000
"""Pixels of all pictures together; cells are made smaller where there would be more. About 3 MB of JPEG."""

_QUALITY = 82
_CAPTIONED = ("psnr_foreground", "lpips_vgg", "motion_ratio")


def write_page(path: Path, evaluation: Evaluation, pair: MatrixPair, title: str) -> None:
    """Write the page: all scores, per view, and result, reference and difference of every picture.

    Args:
        path: the file.
        evaluation: of the pair.
        pair: what was compared.
        title: names the result and the reference.

    Raises:
        ExportError: the file can't be written.
    """
    with writing(path, "the page") as temporary:
        temporary.write_text(make_page(evaluation, pair, title), encoding="utf-8")


def make_page(evaluation: Evaluation, pair: MatrixPair, title: str) -> str:
    """Return the page as text."""
    height, width = _cell_size(pair)
    shown = {
        "width": SHOWN,
        "height": round(SHOWN * height / width),
        "fps": max(1, round(min(pair.reference.fps, 24))),
    }
    azimuths = evaluation.settings["azimuths_deg"]
    views = [
        {"azimuth": f"{azimuth:g}°", "scores": scores, "strips": _strips(pair, view, height, width)}
        for azimuth, scores, view in zip(
            azimuths, evaluation.per_view, evaluation.settings["views"], strict=True
        )
    ]
    return render_template(
        "diffusion2.evaluation",
        "evaluation.html",
        title=title,
        source=pair.source,
        settings=evaluation.settings,
        notes=pair.notes,
        kind=_kind,
        overall=evaluation.overall,
        views=views,
        shown=shown,
        measured=[n for n in LABELS if any(scores[n].value is not None for scores in evaluation.per_view)],
        captioned=_CAPTIONED,
        labels=LABELS,
        definitions=DEFINITIONS,
        was_asked=was_asked,
        format_value=format_value,
        best=best,
    )


def _kind(note: str) -> str:
    return "warning" if note.startswith(SUSPICIOUS) else "remark"


def _strips(pair: MatrixPair, view: int, height: int, width: int) -> list[str]:
    """Draw the frames of one view in the result, in the reference, and how they differ; as data URLs."""
    result, reference = pair.result.images[view], pair.reference.images[view]
    difference = 1 - (2 * (result - reference).abs()).clamp(0, 1)
    return [_strip(images, height, width) for images in (result, reference, difference)]


def _strip(images: Tensor, height: int, width: int) -> str:
    """Put (F, 3, H, W) side by side into one JPEG, as a data URL."""
    cells = F.interpolate(images, (height, width), mode="area") if images.shape[-2] > height else images
    row = to_pixels(torch.cat(list(cells), dim=-1))
    stream = io.BytesIO()
    Image.fromarray(row).save(stream, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(stream.getvalue()).decode()}"


def _cell_size(pair: MatrixPair) -> tuple[int, int]:
    """Choose how large pictures are shown, in pixels; JPEG holds no more than 65,535 in a row."""
    height, width = pair.reference.images.shape[-2:]
    pixels = 3 * pair.reference.views * pair.reference.frames * height * width
    widest = 65_000 / (pair.reference.frames * width)
    scale = min(1.0, CELL / height, (MOST_PIXELS / pixels) ** 0.5, widest)
    return max(1, int(height * scale)), max(1, int(width * scale))
