"""An asset in viser's scene: its splats, its reference camera, a server that only this machine reaches."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diffusion2.errors import BackendUnavailable, in_one_line
from diffusion2.exporters.own_pages import only_own_pages
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.splats import Splats

if TYPE_CHECKING:
    import viser

HOST = "127.0.0.1"
NODE = "/object"


@contextmanager
def open_server(asset: Asset4D | None, title: str, port: int = 0) -> Iterator[viser.ViserServer]:
    """Run a viser server on the loopback interface while the block runs; it prints nothing.

    The camera stands at the asset's reference view. The server answers its own page only; what would share
    that page through a server on the internet is taken out.

    Args:
        asset: whose reference camera to use; None where there is none yet.
        title: what the control panel is called.
        port: where to listen; the next free one if it is taken; 0 for any.

    Raises:
        BackendUnavailable: when this machine lets no program listen on the loopback interface, or other pages
            could not be refused.
    """
    _check_loopback()
    server = _start(title, port)
    try:
        server.gui.configure_theme(show_logo=False, show_share_button=False)
        server.scene.set_up_direction("+z")
        if asset is not None:
            look_from_reference(server.initial_camera, asset)
        yield server
    finally:
        with _quiet():
            server.stop()


def _start(title: str, port: int) -> viser.ViserServer:
    import viser

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> None:
            return None

    with _quiet(), only_own_pages():
        return Server(host=HOST, port=port, label=title, verbose=False)


def look_from_reference(camera: viser.InitialCameraConfig | viser.CameraHandle, asset: Asset4D) -> None:
    """Move a camera to the asset's reference view."""
    reference = asset.metadata.reference_cameras([0.0], 1, 1)
    camera.position = tuple(reference.positions[0])
    camera.look_at = (0.0, 0.0, 0.0)
    camera.fov = math.radians(reference.fov_deg)


def add_splats(server: viser.ViserServer, splats: Splats, name: str = NODE) -> viser.GaussianSplatHandle:
    """Add an object to the scene."""
    return server.scene.add_gaussian_splats(name, **_arrays(splats))


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
