"""The image matrix beside the object, with the cell marked that is nearest to what is seen."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from diffusion2.viewer.sheet import Sheet

if TYPE_CHECKING:
    import viser

_PICTURE = """<style>
.d2-sheet {{ position: relative; margin: 0 1em; aspect-ratio: {frames} / {views}; border-radius: 4px;
  background: url(data:image/jpeg;base64,{data}) 0 0 / 100% 100%; outline: 1px solid #8884; }}
.d2-cell {{ position: absolute; width: {width}%; height: {height}%; outline: 2px solid #e8590c;
  border-radius: 2px; box-shadow: 0 0 0 1px #fffc inset; }}
.d2-axes {{ margin: 0.2em 1.2em 0.6em; font-size: 0.75em; display: flex; justify-content: space-between;
  color: var(--mantine-color-dimmed); }}
</style>"""
_CELL = """<div class="d2-sheet"><div class="d2-cell" style="left:{left}%;top:{top}%"></div></div>
<div class="d2-axes"><span>rows: {views} views</span><span>columns: {frames} times →</span></div>"""


class MatrixPanel:
    """Two elements of the page: the picture, which is sent once, and the mark, which is sent when it moves.

    Args:
        server: whose page gets them, in the container that is open.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._picture = server.gui.add_html("", visible=False)
        self._mark = server.gui.add_html("", visible=False)
        self._sheet: Sheet | None = None
        self._cell: tuple[int, int] | None = None

    @property
    def cell(self) -> tuple[int, int] | None:
        """The view and the frame that are marked."""
        return self._cell

    def show(self, sheet: Sheet | None) -> None:
        """Show a matrix, or none; the mark stays where it is until it is moved."""
        self._sheet = sheet
        self._picture.visible = self._mark.visible = sheet is not None
        if sheet is None:
            self._cell = None
            return
        views, frames = len(sheet.directions), len(sheet.times)
        self._picture.content = _PICTURE.format(
            views=views,
            frames=frames,
            width=100 / frames,
            height=100 / views,
            data=base64.b64encode(sheet.jpeg).decode("ascii"),
        )
        if self._cell is None or self._cell[0] >= views or self._cell[1] >= frames:
            self._put((views - 1, 0))

    def mark(self, position: np.ndarray, moment: float) -> None:
        """Mark the cell that is nearest to a camera's position (3,) and a time."""
        if self._sheet is not None and (cell := self._sheet.nearest(position, moment)) != self._cell:
            self._put(cell)

    def _put(self, cell: tuple[int, int]) -> None:
        assert self._sheet is not None
        self._cell = cell
        views, frames = len(self._sheet.directions), len(self._sheet.times)
        left, top = 100 * cell[1] / frames, 100 * cell[0] / views
        self._mark.content = _CELL.format(left=left, top=top, views=views, frames=frames)
