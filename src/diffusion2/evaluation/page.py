"""`evaluation.html`: scores and pictures of one evaluation in one file that needs no network."""

import html
import io
from base64 import b64encode
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from diffusion2.atomic_files import atomic_path
from diffusion2.errors import ExportError
from diffusion2.evaluation.measure import Evaluation, Score
from diffusion2.evaluation.pairing import SUSPICIOUS, Pair
from diffusion2.evaluation.scores import DEFINITIONS
from diffusion2.evaluation.tables import LABELS, best, format_value, was_asked
from diffusion2.pictures import to_pixels

CELL = 160
"""Pictures are kept at this height at most, in pixels."""

SHOWN = 184
"""Pictures are shown at this width."""

MOST_PIXELS = 9_000_000
"""Pixels of all pictures together; cells are made smaller where there would be more. About 3 MB of JPEG."""

_QUALITY = 82
_STYLE = """
:root { --ink: #22262b; --soft: #6b7480; --line: #e3e6ea; --bad: #b4531f; --accent: #2f6f8f; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); margin: 0 auto; padding: 2.2rem 1.4rem 5rem;
       max-width: 76rem; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; }
p { margin: .2rem 0; } .soft { color: var(--soft); } code { font-size: .92em; }
.remark, .warning { border-left: 3px solid var(--accent); padding: .1rem .8rem; margin: .6rem 0; }
.warning { border-color: var(--bad); color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem; }
th, td { padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; } td { white-space: nowrap; } th { vertical-align: bottom; }
td.value { font-weight: 600; }
td.note { color: var(--soft); font-size: .88rem; max-width: 44rem; white-space: normal; }
.narrow th { max-width: 6.6rem; padding-left: .4rem; }
#bar { position: sticky; top: 0; background: #fffffff0; padding: .6rem 0; display: flex; gap: 1rem;
       align-items: center; z-index: 1; border-bottom: 1px solid var(--line); }
#bar input { flex: 1; max-width: 26rem; accent-color: var(--accent); }
#bar button { font: inherit; width: 5.2rem; padding: .2rem 0; border: 1px solid var(--line);
              background: #f7f8f9; border-radius: 5px; cursor: pointer; }
#views { display: grid; grid-template-columns: repeat(auto-fill, minmax(VIEWpx, 1fr)); gap: 1.6rem 1.2rem;
         margin-top: 1rem; }
figure { margin: 0; } figcaption { font-size: .88rem; margin-bottom: .3rem; }
.strip { display: block; width: WIDTHpx; height: HEIGHTpx; background-size: calc(FRAMES * WIDTHpx) HEIGHTpx;
         outline: 1px solid var(--line); }
.names { display: flex; gap: 4px; color: var(--soft); font-size: .78rem; } .names span { width: WIDTHpx; }
.three { display: flex; gap: 4px; }
"""
_SCRIPT = """
const slider = document.getElementById("time"), label = document.getElementById("frame");
const button = document.getElementById("play"), strips = document.querySelectorAll(".strip");
const frames = +slider.max + 1;
let timer = null;
function show() {
  label.textContent = "frame " + slider.value;
  for (const s of strips) s.style.backgroundPositionX = -slider.value * WIDTH + "px";
}
function toggle() {
  if (timer) { clearInterval(timer); timer = null; button.textContent = "Play"; return; }
  timer = setInterval(() => { slider.value = (+slider.value + 1) % frames; show(); }, 1000 / FPS);
  button.textContent = "Pause";
}
slider.addEventListener("input", show);
button.addEventListener("click", toggle);
show();
"""


def write_page(path: Path, evaluation: Evaluation, pair: Pair, title: str) -> None:
    """Write the page: all scores, per view, and result, reference and difference of every picture.

    Args:
        path: the file.
        evaluation: of the pair.
        pair: what was compared.
        title: names the result and the reference.

    Raises:
        ExportError: the file can't be written.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(make_page(evaluation, pair, title), encoding="utf-8")
    except OSError as error:
        raise ExportError(f"can't write {path}: {error.strerror or error}") from error


def make_page(evaluation: Evaluation, pair: Pair, title: str) -> str:
    """Give the page as text."""
    height, width = _cell_size(pair)
    shown = {
        "VIEW": 3 * SHOWN + 8,
        "WIDTH": SHOWN,
        "HEIGHT": round(SHOWN * height / width),
        "FRAMES": pair.reference.frames,
        "FPS": max(1, round(min(pair.reference.fps, 24))),
    }
    style, script = _STYLE, _SCRIPT
    for name, value in shown.items():
        style, script = style.replace(name, str(value)), script.replace(name, str(value))
    notes = "".join(f'<p class="{_kind(note)}">{html.escape(note)}</p>' for note in pair.notes)
    figures = "".join(_figure(evaluation, pair, k, height, width) for k in range(len(evaluation.per_view)))
    settings = evaluation.settings
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title><style>{style}</style></head><body>
<h1>{html.escape(title)}</h1>
<p class="soft">The result's {pair.source} against the reference: {len(settings["views"])} views,
{settings["frames"]} frames, {settings["width"]} × {settings["height"]} pixels; the object is
{html.escape(settings["object"])}.</p>
{notes}
<h2>Scores</h2><div class="scroll">{_overall_table(evaluation)}</div>
<h2>By view</h2><div class="scroll">{_view_table(evaluation)}</div>
<h2>Pictures</h2>
<div id="bar"><button id="play">Play</button>
<input id="time" type="range" min="0" max="{settings["frames"] - 1}" value="0" aria-label="time">
<span id="frame" class="soft"></span></div>
<div id="views">{figures}</div>
<p class="soft">Difference: white where equal, darker where not, at twice its strength.</p>
<script>{script}</script></body></html>
"""


def _kind(note: str) -> str:
    return "warning" if note.startswith(SUSPICIOUS) else "remark"


def _overall_table(evaluation: Evaluation) -> str:
    rows = []
    for name, score in evaluation.overall.items():
        if was_asked(score):
            note = f"{html.escape(DEFINITIONS[name])}"
            if score.note:
                note = f"<b>{html.escape(score.note)}</b> · {note}"
            rows.append(
                f"<tr><td>{LABELS[name]}</td><td class='number value'>{format_value(score)}</td>"
                f"<td>{best(score)}</td><td class='note'>{note}</td></tr>"
            )
    head = "<tr><th>score</th><th class='number'>value</th><th>best</th><th>what it is</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _view_table(evaluation: Evaluation) -> str:
    shown = [n for n in LABELS if any(scores[n].value is not None for scores in evaluation.per_view)]
    head = "".join(f"<th class='number'>{LABELS[name]}</th>" for name in shown)
    rows = []
    for azimuth, scores in zip(evaluation.settings["azimuths_deg"], evaluation.per_view, strict=True):
        cells = "".join(f"<td class='number'>{_short(scores[name])}</td>" for name in shown)
        rows.append(f"<tr><td class='number'>{azimuth:g}°</td>{cells}</tr>")
    return f"<table class='narrow'><tr><th class='number'>azimuth</th>{head}</tr>{''.join(rows)}</table>"


def _short(score: Score) -> str:
    return format_value(score).removesuffix(" dB")


def _figure(evaluation: Evaluation, pair: Pair, k: int, height: int, width: int) -> str:
    """Show one view: three strips of frames, of which the page shows one at a time."""
    view, scores = evaluation.settings["views"][k], evaluation.per_view[k]
    result, reference = pair.result.images[view], pair.reference.images[view]
    difference = 1 - (2 * (result - reference).abs()).clamp(0, 1)
    strips = "".join(
        f'<span class="strip" style="background-image:url({_strip(images, height, width)})"></span>'
        for images in (result, reference, difference)
    )
    told = " · ".join(
        f"{LABELS[name]} {format_value(scores[name])}"
        for name in ("psnr_foreground", "lpips_vgg", "motion_ratio")
        if scores[name].value is not None
    )
    return (
        f"<figure><figcaption><b>{evaluation.settings['azimuths_deg'][k]:g}°</b> "
        f"<span class='soft'>{told}</span></figcaption><div class='three'>{strips}</div>"
        "<div class='names'><span>result</span><span>reference</span><span>difference</span></div></figure>"
    )


def _strip(images: Tensor, height: int, width: int) -> str:
    """Put (F, 3, H, W) side by side into one JPEG, as a data URL."""
    cells = F.interpolate(images, (height, width), mode="area") if images.shape[-2] > height else images
    row = to_pixels(torch.cat(list(cells), dim=-1))
    stream = io.BytesIO()
    Image.fromarray(row).save(stream, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(stream.getvalue()).decode()}"


def _cell_size(pair: Pair) -> tuple[int, int]:
    """Choose how large pictures are shown, in pixels; JPEG holds no more than 65,535 in a row."""
    height, width = pair.reference.images.shape[-2:]
    pixels = 3 * pair.reference.views * pair.reference.frames * height * width
    widest = 65_000 / (pair.reference.frames * width)
    scale = min(1.0, CELL / height, (MOST_PIXELS / pixels) ** 0.5, widest)
    return max(1, int(height * scale)), max(1, int(width * scale))
