"""The image matrix large, in the middle of the page, as long as there is no object to look at."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from viser.transforms import SO3

from diffusion2.gaussians import AssetMetadata
from diffusion2.viewer.sheet import Sheet

if TYPE_CHECKING:
    import viser

NODE = "/matrix"
SIDE = 1.1
"""Of the wall's longer side, world units: what the reference camera sees."""


class Wall:
    """A picture at the origin that faces the reference camera.

    Args:
        server: whose scene gets it.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._node: viser.ImageHandle | None = None

    def show(self, sheet: Sheet | None) -> None:
        """Show a matrix; None: nothing."""
        if sheet is None:
            if self._node is not None:
                self._node.remove()
                self._node = None
            return
        pixels = np.asarray(Image.open(io.BytesIO(sheet.jpeg)))
        if self._node is not None and self._node.image.shape == pixels.shape:
            self._node.image = pixels
            return
        unit = SIDE / max(pixels.shape[:2])
        axes = AssetMetadata().reference_cameras([0.0], 1, 1).viewmats[0, :3, :3].T
        self._node = self._server.scene.add_image(
            NODE, pixels, pixels.shape[1] * unit, pixels.shape[0] * unit, wxyz=SO3.from_matrix(axes).wxyz
        )
