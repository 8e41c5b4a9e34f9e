"""Short texts on the page. Whatever is in them, a file's name for instance, is shown and never run."""

from html import escape
from typing import Literal

from diffusion2.events import duration
from diffusion2.viewer.feed import Stand

Tone = Literal["plain", "quiet", "error"]

_COLORS: dict[Tone, str] = {
    "plain": "inherit",
    "quiet": "var(--mantine-color-dimmed)",
    "error": "var(--mantine-color-red-7)",
}


_STAGES = {
    "references": "making the reference video and views",
    "matrix": "denoising the image matrix",
    "decode": "decoding the image matrix",
    "reconstruction": "learning the Gaussians",
    "video": "rendering the video",
    "viewer": "writing the viewer",
}


def paragraph(text: str, tone: Tone = "plain") -> str:
    """Make HTML of a text."""
    style = f"margin:0.1em 1em 0.5em;font-size:0.85em;line-height:1.4;color:{_COLORS[tone]}"
    return f'<div style="{style};overflow-wrap:anywhere">{escape(text)}</div>' if text else ""


def progress_line(stand: Stand) -> str:
    """Say how far a run is: "denoising the image matrix 5/14, 6.0 s left"."""
    if not stand.stage:
        return "begins"
    counted = f" {stand.done}/{stand.total}" if stand.total else ""
    left = f", {duration(stand.eta)} left" if stand.eta else ""
    return f"{_STAGES.get(stand.stage, stand.stage)}{counted}{left}"


def percent(stand: Stand) -> float:
    """Say how far a stage is, 0 to 100."""
    return 100.0 * min(stand.done / stand.total, 1.0) if stand.total else 0.0
