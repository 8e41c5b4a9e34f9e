"""An object in the scene: an asset at a moment, in colours, as depth, or as alpha."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from diffusion2.exporters.scene import add_splats, move_splats
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.splats import Splats, splats_at
from diffusion2.viewer.playback import Moment

if TYPE_CHECKING:
    import viser

Channel = Literal["colour", "depth", "alpha"]


@dataclass(frozen=True)
class Look:
    """How objects are drawn.

    Attributes:
        channel: their colours; how near they are, white in front and dark behind; or what is there, white.
        size: factor of the Gaussians' widths.
        camera: (3,) where depth is seen from.
    """

    channel: Channel = "colour"
    size: float = 1.0
    camera: tuple[float, float, float] = (2.0, 0.0, 0.0)

    def dress(self, splats: Splats) -> Splats:
        """Return splats as they are drawn."""
        colors = splats.colors
        if self.channel == "alpha":
            colors = torch.ones_like(colors)
        elif self.channel == "depth":
            colors = nearness(splats.means, self.camera)[:, None].expand(-1, 3)
        return replace(splats, covariances=splats.covariances * self.size**2, colors=colors)


def nearness(means: Tensor, camera: tuple[float, float, float]) -> Tensor:
    """How near points (N, 3) are to a camera that looks at the origin: 1 in front, 0.15 at the back."""
    forward = -torch.tensor(camera) / torch.tensor(camera).norm().clamp(min=1e-6)
    depths = means @ forward
    low, high = depths.quantile(torch.tensor([0.02, 0.98]))
    return 1 - 0.85 * ((depths - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


class Actor:
    """One object of the scene.

    Args:
        server: whose scene.
        name: of the scene's node.
    """

    def __init__(self, server: viser.ViserServer, name: str) -> None:
        self._server, self._name = server, name
        self._node: viser.GaussianSplatHandle | None = None
        self._asset: Asset4D | None = None
        self._offset = 0.0
        self._lock = threading.Lock()

    @property
    def asset(self) -> Asset4D | None:
        """What is shown."""
        return self._asset

    def play(self, asset: Asset4D | None) -> None:
        """Show another asset from the next moment on; None or one without Gaussians: nothing."""
        with self._lock:
            self._asset = asset if asset is not None and len(asset.gaussians) else None
            if self._asset is None and self._node is not None:
                self._node.remove()
                self._node = None

    def step_aside(self, offset: float) -> None:
        """Stand so far to the right, as the reference camera sees it."""
        with self._lock:
            self._offset = offset
            if self._node is not None:
                self._node.position = (0.0, offset, 0.0)

    def show(self, moment: Moment, look: Look) -> None:
        """Draw a moment."""
        with self._lock:
            if self._asset is None:
                return
            splats = splats_at(self._asset, moment.time)
            if moment.closing:
                splats = splats.towards(splats_at(self._asset, 0.0), moment.closing)
            splats = look.dress(splats)
            if self._node is None:
                self._node = add_splats(self._server, splats, self._name)
                self._node.position = (0.0, self._offset, 0.0)
            else:
                move_splats(self._node, splats)
