"""`viewer.html`: one file that shows the moving object in any browser, without a network."""

from pathlib import Path

import torch

from diffusion2.exporters.scene import add_splats, move_splats, open_server
from diffusion2.exporters.templates import render_template
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.splats import splats_over

MOMENTS_PER_SECOND = 24
MIN_MOMENTS = 12
MAX_SPLATS = 400_000
"""Splats in a recording, all moments together: about 1 MB of file for 40,000 of them."""

_HINT = '<div id="hint">drag: turn · wheel: zoom · space: pause · bar below: time</div>'


def write_viewer(
    asset: Asset4D, path: str | Path, *, title: str = "diffusion2", moments: int | None = None
) -> None:
    """Write a web page that plays the asset: drag to turn it, drag the bar at the bottom for the time.

    The page is viser's player with a recording of the splats at `moments` times in it; it plays in a loop, at
    the asset's own speed, seen first from the reference camera, and asks no server for anything.

    Args:
        asset: what to show.
        path: the file, e.g. `viewer.html`.
        title: of the page.
        moments: at how many times from 0 to 1 the object is recorded; by default 24 per second, fewer where
            the file would grow beyond about 10 MB, but at least 12.

    Raises:
        ExportError: when the file can't be written.
        BackendUnavailable: when nothing may listen on this machine's loopback interface (the recording comes
            from a viser server, which is stopped before this returns).
    """
    with writing(path, "the viewer") as temporary:
        page = _record(asset, title, moments or default_moments(asset))
        temporary.write_text(page, encoding="utf-8")


def default_moments(asset: Asset4D) -> int:
    """Choose at how many times the object is recorded."""
    if asset.deformation is None:
        return 1
    smooth = round(asset.metadata.duration_s * MOMENTS_PER_SECOND) + 1
    affordable = MAX_SPLATS // max(len(asset.gaussians), 1)
    return max(min(smooth, affordable), MIN_MOMENTS)


def _record(asset: Asset4D, title: str, moments: int) -> str:
    """Return the page; the last moment stands for as long as every other before the first comes again."""
    times = torch.linspace(0, 1, moments) if moments > 1 else torch.zeros(1)
    pause = asset.metadata.duration_s / max(moments - 1, 1)
    with open_server(asset, title) as server:
        recording = server.get_scene_serializer()
        handle = None
        for splats in splats_over(asset, times):
            if handle is None:
                handle = add_splats(server, splats)
            else:
                move_splats(handle, splats)
            if moments > 1:
                recording.insert_sleep(pause)
        page = recording.as_html()
    return _adapt(page, title)


def _adapt(page: str, title: str) -> str:
    """Put our title and additions into viser's page; a page built otherwise than we know stays as it is."""
    head = render_template("diffusion2.exporters", "viewer_head.html", title=title)
    page = page.replace("<title>Viser</title>", head, 1)
    return page.replace("<body>", f"<body>{_HINT}", 1)
