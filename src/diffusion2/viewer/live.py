"""The live viewer: the asset in a browser window, at any time, from any side."""

from __future__ import annotations

import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack

from diffusion2.exporters.scene import HOST, add_splats, move_splats, open_server
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.splats import splats_at

STEPS_PER_SECOND = 24


class LiveViewer:
    """A viewer that runs in the background until `close`; also a context manager.

    Attributes:
        url: where a browser on this machine finds it.
    """

    def __init__(self, asset: Asset4D, port: int = 8080, *, title: str = "diffusion2") -> None:
        """Start to serve.

        Args:
            asset: what to show.
            port: where to listen on 127.0.0.1; the next free one if it is taken; 0 for any.
            title: what the control panel is called.

        Raises:
            BackendUnavailable: when nothing may listen on this machine's loopback interface.
        """
        self._asset = asset
        self._duration = asset.metadata.duration_s
        self._closing = threading.Event()
        self._stack = ExitStack()
        self._server = self._stack.enter_context(open_server(asset, title, port))
        self.url = f"http://{HOST}:{self._server.get_port()}"
        self._splats = add_splats(self._server, splats_at(asset, 0.0))
        self._time = self._server.gui.add_slider("Time", 0.0, 1.0, 0.001, 0.0)
        self._playing = self._server.gui.add_checkbox("Play", initial_value=asset.deformation is not None)
        self._speed = self._server.gui.add_slider("Speed", 0.1, 2.0, 0.1, 1.0)
        reset = self._server.gui.add_button("Reference view")
        self._time.on_update(lambda _: self._show(self._time.value))
        reset.on_click(lambda event: self._look_from_reference(event.client))
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def __enter__(self) -> LiveViewer:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def close(self) -> None:
        """Stop serving; calling it twice does no harm."""
        self._closing.set()
        self._thread.join()
        self._stack.close()

    def _show(self, moment: float) -> None:
        move_splats(self._splats, splats_at(self._asset, min(max(moment, 0.0), 1.0)))

    def _play(self) -> None:
        """Advance the time while "Play" is on; after time 1 comes time 0."""
        before = time.monotonic()
        while not self._closing.wait(1 / STEPS_PER_SECOND):
            now = time.monotonic()
            if self._playing.value and self._server.get_clients():
                step = (now - before) / self._duration * self._speed.value
                self._time.value = (self._time.value + step) % 1.0  # calls _show
            before = now

    def _look_from_reference(self, client: object) -> None:
        camera, start = getattr(client, "camera", None), self._server.initial_camera
        if camera is not None:
            camera.position, camera.look_at, camera.fov = start.position, start.look_at, start.fov


def serve(
    asset: Asset4D,
    port: int = 8080,
    *,
    title: str = "diffusion2",
    open_browser: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show an asset in the browser until interrupted (Ctrl-C).

    Args:
        asset: what to show.
        port: where to listen on 127.0.0.1; the next free one if it is taken; 0 for any.
        title: what the control panel is called.
        open_browser: whether to open the page in the default browser.
        on_ready: called with the page's address once it is served.

    Raises:
        BackendUnavailable: when nothing may listen on this machine's loopback interface.
    """
    with LiveViewer(asset, port, title=title) as viewer:
        if on_ready is not None:
            on_ready(viewer.url)
        if open_browser:
            webbrowser.open(viewer.url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
