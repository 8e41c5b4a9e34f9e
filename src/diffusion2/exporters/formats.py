"""Which file an asset becomes: the exporters by their suffix."""

from collections.abc import Callable
from pathlib import Path

from diffusion2.errors import ExportError
from diffusion2.exporters.html import write_viewer
from diffusion2.exporters.video import write_orbit_video
from diffusion2.gaussians import Asset4D

EXPORTERS: dict[str, Callable[[Asset4D, Path], object]] = {
    ".mp4": write_orbit_video,
    ".html": write_viewer,
}


def export(asset: Asset4D, path: str | Path) -> Path:
    """Write an asset for other programs; the suffix says what it becomes (.mp4, .html).

    Raises:
        ExportError: the suffix is unknown, or the file can't be written.
    """
    path = Path(path)
    exporter = EXPORTERS.get(path.suffix.lower())
    if exporter is None:
        choices = " or ".join(EXPORTERS)
        raise ExportError(f"{path}: an asset can't be written as {path.suffix or 'that'}: use {choices}")
    exporter(asset, path)
    return path
