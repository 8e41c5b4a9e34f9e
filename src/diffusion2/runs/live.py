"""What a run shows of itself while it goes on: a few small files, for whoever watches it."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from diffusion2.atomic_files import atomic_path, remove
from diffusion2.errors import ExportError

LIVE = ".live"
SHARE = 0.012
"""Of a run's time, what is spent on these files at most."""
PATIENCE_S = 0.2
"""Seconds that may be spent in advance, so that a run is seen from its first steps on."""
PAUSE_S = 0.5
"""Seconds between two states of the Gaussians, at least: nobody sees more."""
QUALITY = 85


class LiveFiles:
    """The folder `.live/` of a run: the matrix as it is guessed now, and the Gaussians as they are now.

    Each file is whole at any time. The folder is gone when the run ends, however it ends; what a killed run
    left is removed by the next one there. A file that can't be written, as on a full disk, is left out: the
    run itself will say what is wrong.

    Args:
        folder: of the run.

    Attributes:
        spent_s: seconds that were spent on the files so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / LIVE
        self._began, self.spent_s, self._saved = time.perf_counter(), 0.0, 0.0

    def __enter__(self) -> Self:
        """Begin to count the time of the run."""
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        with suppress(OSError):
            remove(self.folder)

    @property
    def matrix_path(self) -> Path:
        """The clean estimate of the matrix after the last step: a row a view."""
        return self.folder / "matrix.jpg"

    @property
    def asset_path(self) -> Path:
        """The Gaussians, and their motion as far as it is learned."""
        return self.folder / "asset.safetensors"

    def show_matrix(self, make: Callable[[], Tensor]) -> None:
        """Write pictures (V, F, 3, h, w) in [0, 1] as one, unless too much time was spent already.

        Args:
            make: gives them; its time counts, too.
        """

        def write(path: Path) -> None:
            with atomic_path(path) as temporary:
                tile(make()).save(temporary, quality=QUALITY)

        self._offer(self.matrix_path, write)

    def show_asset(self, save: Callable[[Path], None]) -> None:
        """Let an asset be saved, unless one was just now, or too much time was spent already."""
        if time.perf_counter() - self._saved >= PAUSE_S:
            self._offer(self.asset_path, save)
            self._saved = time.perf_counter()

    def _offer(self, path: Path, write: Callable[[Path], None]) -> None:
        now = time.perf_counter()
        if self.spent_s > SHARE * (now - self._began) + PATIENCE_S:
            return
        with suppress(OSError, ExportError):
            self.folder.mkdir(exist_ok=True)
            write(path)
        self.spent_s += time.perf_counter() - now


def tile(pictures: Tensor) -> Image.Image:
    """Put pictures (V, F, 3, h, w) in [0, 1] into one, a row a view."""
    views, frames, _, height, width = pictures.shape
    rows = pictures.permute(0, 3, 1, 4, 2).reshape(views * height, frames * width, 3)
    return Image.fromarray((rows * 255).round().to(torch.uint8).numpy())
