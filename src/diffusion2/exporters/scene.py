"""An asset in viser's scene: its splats, its reference camera, a server that only this machine reaches."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diffusion2.errors import BackendUnavailable, in_one_line
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.splats import Splats

if TYPE_CHECKING:
    import viser

HOST = "127.0.0.1"
NODE = "/object"


@contextmanager
def open_server(asset: Asset4D, title: str, port: int = 0) -> Iterator[viser.ViserServer]:
    """Run a viser server on the loopback interface while the block runs; it prints nothing.

    The camera stands at the asset's reference view. The button that would share the page through a server
    on the internet is left out.

    Args:
        asset: whose reference camera to use.
        title: what the control panel is called.
        port: where to listen; the next free one if it is taken; 0 for any.

    Raises:
        BackendUnavailable: when this machine lets no program listen on the loopback interface.
    """
    import viser

    _check_loopback()
    with _quiet():
        server = viser.ViserServer(host=HOST, port=port, label=title, verbose=False)
    try:
        server.gui.configure_theme(show_logo=False, show_share_button=False)
        server.scene.set_up_direction("+z")
        camera = asset.metadata.reference_cameras([0.0], 1, 1)
        server.initial_camera.position = tuple(camera.positions[0])
        server.initial_camera.look_at = (0.0, 0.0, 0.0)
        server.initial_camera.fov = math.radians(camera.fov_deg)
        yield server
    finally:
        with _quiet():
            server.stop()


def add_splats(server: viser.ViserServer, splats: Splats) -> viser.GaussianSplatHandle:
    """Add the object to the scene."""
    return server.scene.add_gaussian_splats(NODE, **_arrays(splats))


def move_splats(handle: viser.GaussianSplatHandle, splats: Splats) -> None:
    """Move the object: one message, no new scene node."""
    handle.set_gaussians(**_arrays(splats))


def _arrays(splats: Splats) -> dict:
    return {
        "centers": splats.means.numpy(),
        "covariances": splats.covariances.numpy(),
        "rgbs": splats.colors.numpy(),
        "opacities": splats.opacities.numpy(),
    }


def _check_loopback() -> None:
    """Fail here where viser would wait forever for a port it can't get."""
    try:
        socket.create_server((HOST, 0)).close()
    except OSError as error:
        raise BackendUnavailable(
            f"the viewer needs to listen on {HOST}, which this machine refuses: {in_one_line(error)}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep viser from printing: it writes to rich's console, whatever `verbose` says."""
    import rich

    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before
