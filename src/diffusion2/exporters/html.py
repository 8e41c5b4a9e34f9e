"""`viewer.html`: one file that shows the moving object in any browser, without a network."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from diffusion2.exporters.scene import add_splats, move_splats, open_server
from diffusion2.exporters.templates import render_template
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.presentation import filling_fov_deg, is_loop
from diffusion2.gaussians.splats import Splats, splats_over

MOMENTS_PER_SECOND = 24
MIN_MOMENTS = 12
MAX_BYTES = 5_000_000
"""Of the page, the player included; more only where `MIN_MOMENTS` need more."""
_PLAYER_BYTES = 820_000
MAX_SPLATS = 1_000_000
"""Splats in a recording, all moments together: the browser holds 32 bytes for each."""

_MEAN_STEP = 2.0**-11
"""World units; 0.4 of a pixel where the object fills a screen 1,000 pixels high, so that a mean is shown at
most 0.2 of a pixel from where it is. Repeated trailing zeros compress well."""
_SHAPE_TOLERANCE = 0.03
"""By how much, as a share, a covariance may differ from the one that was recorded last before it is recorded
again: less than 2% of a width. What doesn't turn takes next to no bytes."""
_HINT = '<div id="hint">drag: turn · wheel: zoom · space: pause · bar below: time</div>'


def write_viewer(
    asset: Asset4D, path: str | Path, *, title: str = "diffusion2", moments: int | None = None
) -> None:
    """Write a web page that plays the asset: drag to turn it, drag the bar at the bottom for the time.

    The page is viser's player with a recording of the splats at `moments` times in it; it plays at the
    asset's own speed, over and over, and asks no server for anything. The object is first seen from the
    reference camera, as large as the window allows. A motion that ends about where it begins goes round and
    round; any other goes forth and back, so that the object never jumps.

    Args:
        asset: what to show.
        path: the file, e.g. `viewer.html`.
        title: of the page.
        moments: at how many times from 0 to 1 the object is recorded; by default 24 per second, fewer where
            the file would grow beyond 5 MB, but at least 12.

    Raises:
        ExportError: when the file can't be written.
        BackendUnavailable: when nothing may listen on this machine's loopback interface (the recording comes
            from a viser server, which is stopped before this returns).
    """
    with writing(path, "the viewer") as temporary:
        page = _record(asset, title, moments) if moments else _record_within_limit(asset, title)
        temporary.write_text(page, encoding="utf-8")


def default_moments(asset: Asset4D) -> int:
    """Choose at how many times the object is recorded at most."""
    if asset.deformation is None:
        return 1
    smooth = round(asset.metadata.duration_s * MOMENTS_PER_SECOND) + 1
    affordable = MAX_SPLATS // max(len(asset.gaussians), 1)
    return max(min(smooth, affordable), MIN_MOMENTS)


def _record_within_limit(asset: Asset4D, title: str) -> str:
    """Record fewer moments until the page is small enough: how well motion compresses is seen only then."""
    moments = default_moments(asset)
    page = _record(asset, title, moments)
    while len(page) > MAX_BYTES and moments > MIN_MOMENTS:
        share = (MAX_BYTES - _PLAYER_BYTES) / (len(page) - _PLAYER_BYTES)
        moments = max(int(0.95 * share * moments), MIN_MOMENTS)  # fewer have less in common, thus 0.95
        page = _record(asset, title, moments)
    return page


def _record(asset: Asset4D, title: str, moments: int) -> str:
    """Return the page with one cycle recorded; every moment stands equally long."""
    pause = asset.metadata.duration_s / max(moments - 1, 1)
    fov = math.radians(filling_fov_deg(asset))
    with open_server(asset, title) as server:
        server.initial_camera.fov = fov
        recording = server.get_scene_serializer()
        handle = None
        for splats in _cycle(asset, moments, pause):
            if handle is None:
                handle = add_splats(server, splats)
            else:
                move_splats(handle, splats)
            if moments > 1:
                recording.insert_sleep(pause)
        page = recording.as_html()
    return _adapt(page, title, fov)


def _cycle(asset: Asset4D, moments: int, pause: float) -> list[Splats]:
    """Return the moments until the motion begins again.

    The way back shows what the way forth showed, which viser keeps once. A loop has one frame's time from
    its last frame to its first, and passes from one to the other in it.
    """
    times = torch.linspace(0, 1, moments) if moments > 1 else torch.zeros(1)
    forth = list(splats_over(asset, times))
    if not is_loop(asset):
        forth = list(_repeating(forth))
        return forth + forth[-2:0:-1]
    steps = max(round(1 / (asset.metadata.fps * pause)), 1)
    closing = [forth[-1].towards(forth[0], step / steps) for step in range(1, steps)]
    return list(_repeating(forth + closing))


def _repeating(moments: Iterable[Splats]) -> Iterator[Splats]:
    """Make numbers that compress well: round the means, keep a covariance until it differs visibly."""
    last: torch.Tensor | None = None
    for splats in moments:
        now = splats.covariances
        if last is not None:
            tolerance = _SHAPE_TOLERANCE * torch.linalg.matrix_norm(now)
            changed = torch.linalg.matrix_norm(now - last) > tolerance
            now = torch.where(changed[:, None, None], now, last)
        last = now
        means = (splats.means / _MEAN_STEP).round() * _MEAN_STEP
        yield replace(splats, means=means, covariances=now)


def _adapt(page: str, title: str, fov: float) -> str:
    """Put our title and additions into viser's page; a page built otherwise than we know stays as it is."""
    head = render_template("diffusion2.exporters", "viewer_head.html", title=title, fov=fov)
    page = page.replace("<title>Viser</title>", head, 1)
    return page.replace("<body>", f"<body>{_HINT}", 1)
