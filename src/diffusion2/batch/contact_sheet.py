"""All results at a glance: of every run its input and its asset from four sides while it moves."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from diffusion2.atomic_files import remove
from diffusion2.batch.jobs import SHEET, Job
from diffusion2.batch.summary import BatchSummary
from diffusion2.errors import Diffusion2Error
from diffusion2.events import Report, ResultWritten, stage
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import load_asset, render
from diffusion2.pictures import read_on_white, to_pixels
from diffusion2.runs.run_folder import RunFolder

SIDE = 112
"""Height and width of one picture in pixels."""
AZIMUTHS_DEG = [0.0, 90.0, 180.0, 270.0]
TIMES = [0.0, 1 / 3, 2 / 3, 1.0]
"""What is shown of an asset: from so many sides, each at another time."""
CAPTION = 20
GAP = 12
COLUMNS = 3
ROWS = 20
"""Runs beside and below each other on one sheet, at most."""
BLOCK = ((1 + len(AZIMUTHS_DEG)) * SIDE, SIDE + CAPTION)
GREY = (232, 232, 232)
INK = (32, 32, 32)


def write_contact_sheets(summary: BatchSummary, report: Report) -> list[Path]:
    """Draw the runs of a batch in their order: `contact_sheet.png`, or numbered ones where they are many.

    A run that failed has an empty place, so that it is missed.

    Args:
        summary: of the runs.
        report: takes the events of the stage "contact sheet", whose units are runs.

    Returns:
        The files.

    Raises:
        ExportError: a file can't be written.
    """
    jobs = [job for job in summary.jobs if summary.outcome(job).state != "waiting"]
    each = COLUMNS * ROWS
    pages = [jobs[start : start + each] for start in range(0, len(jobs), each)]
    names = [f"{SHEET}.png"] if len(pages) == 1 else [f"{SHEET}_{n + 1:03d}.png" for n in range(len(pages))]
    with stage(report, "contact sheet") as progress:
        for index, (name, page) in enumerate(zip(names, pages, strict=True)):
            blocks = []
            for number, job in enumerate(page, index * each + 1):
                blocks.append(_draw_run(number, job, summary.outcome(job).error))
                progress(number, len(jobs))
            with writing(summary.path / name, "the contact sheet") as temporary:
                _lay_out(blocks).save(temporary, format="PNG")
    for old in summary.path.glob(f"{SHEET}*.png"):
        if old.name not in names:
            remove(old)
    for name in names:
        report(ResultWritten("contact sheet", summary.path / name))
    return [summary.path / name for name in names]


def _lay_out(blocks: Sequence[Image.Image]) -> Image.Image:
    columns = min(COLUMNS, math.ceil(len(blocks) / 4))
    rows = math.ceil(len(blocks) / columns)
    step = (BLOCK[0] + GAP, BLOCK[1] + GAP)
    sheet = Image.new("RGB", (columns * step[0] + GAP, rows * step[1] + GAP), "white")
    for index, block in enumerate(blocks):
        sheet.paste(block, (GAP + index % columns * step[0], GAP + index // columns * step[1]))
    return sheet


def _draw_run(number: int, job: Job, error: str) -> Image.Image:
    """Draw one run's pictures with its number and name below them."""
    block = Image.new("RGB", BLOCK, "white")
    draw, font = ImageDraw.Draw(block), ImageFont.load_default(13)
    try:
        pictures = [] if error else _pictures(RunFolder(job.out))
    except Diffusion2Error as unreadable:
        pictures, error = [], str(unreadable)
    for place, picture in enumerate(pictures):
        block.paste(picture, (place * SIDE, 0))
    if error:
        draw.rectangle((0, 0, BLOCK[0] - 1, SIDE - 1), fill=GREY)
        draw.text((8, 8), _fit(f"failed: {error}", font, BLOCK[0] - 16), INK, font)
    draw.text((2, SIDE + 3), _fit(f"{number}  {job.name}", font, BLOCK[0] - 4), INK, font)
    return block


def _pictures(run: RunFolder) -> list[Image.Image]:
    """Get the input as the priors see it, and pictures of the asset."""
    asset = load_asset(run.asset_path)
    cameras = asset.metadata.reference_cameras(AZIMUTHS_DEG, SIDE, SIDE)
    shown = render(asset, cameras, TIMES).rgb.permute(0, 3, 1, 2)
    given = Image.fromarray(to_pixels(read_on_white(run.picture_path)[0]))
    return [
        given.resize((SIDE, SIDE), Image.Resampling.LANCZOS),
        *(Image.fromarray(to_pixels(p)) for p in shown),
    ]


def _fit(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a text until it is no wider than so many pixels."""
    while font.getlength(text) > width:
        text = text[:-2].rstrip("…") + "…"
    return text
