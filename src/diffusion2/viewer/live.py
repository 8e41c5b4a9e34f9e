"""The live viewer: an asset, or a run that may still be going on, in a browser window."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from diffusion2.errors import AssetFormatError, InputError
from diffusion2.exporters.scene import HOST, open_server
from diffusion2.gaussians import Asset4D, load_asset
from diffusion2.runs.lock import LOCK
from diffusion2.runs.run_folder import RunFolder
from diffusion2.viewer.downloads import Goods
from diffusion2.viewer.feed import QUIET_S, News, RunFeed
from diffusion2.viewer.result import ResultPanels

LOOK_S = 0.4
"""Seconds between two looks at a run's folder."""


class LiveViewer:
    """A viewer that runs in the background until `close`; also a context manager.

    Args:
        shown: an asset, or where one is: `asset.safetensors`, or the folder of a run, finished or not.
        port: where to listen on 127.0.0.1; the next free one if it is taken; 0 for any.
        title: what the control panel is called; None: the file's or the folder's name.

    Attributes:
        url: where a browser on this machine finds it.

    Raises:
        InputError: there is no such file or folder.
        AssetFormatError: it is no asset, an empty one, or no run.
        BackendUnavailable: nothing may listen on this machine's loopback interface.
    """

    def __init__(self, shown: Asset4D | str | Path, port: int = 8080, *, title: str | None = None) -> None:
        """Start to serve."""
        asset, run = find_shown(shown)
        name = title or (run.path.resolve().name if run else "diffusion2")
        self._closing, self._stack, self._name = threading.Event(), ExitStack(), name
        self._server = self._stack.enter_context(open_server(asset, name, port))
        self.url = f"http://{HOST}:{self._server.get_port()}"
        self._panels = ResultPanels(self._server)
        self._stack.callback(self._panels.close)
        if asset is not None:
            self._panels.show(asset, name)
            self._panels.offer(Goods(asset, name, run))
        self._thread: threading.Thread | None = None
        if run is not None:
            self._feed = RunFeed(run.path)
            self._thread = threading.Thread(target=self._watch, daemon=True)
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
        if self._thread is not None:
            self._thread.join()
        self._stack.close()

    def _watch(self) -> None:
        """Show what is new in the run's folder, again and again."""
        while True:
            news = self._feed.look()
            bring(self._panels, news, self._feed.run, self._name)
            tell(self._panels, news, self._feed.run)
            if self._closing.wait(LOOK_S):
                return


def bring(panels: ResultPanels, news: News, run: RunFolder, name: str) -> None:
    """Bring what is new of a run onto the page: matrix and object."""
    if news.sheet is not None:
        panels.show_sheet(news.sheet)
    if news.asset is not None:
        panels.show(news.asset, name)
        panels.offer(Goods(news.asset, name, run) if news.is_final else None)


def tell(panels: ResultPanels, news: News, run: RunFolder) -> None:
    """Say how far a run is that somebody else makes."""
    stand = news.stand
    panels.show_stand(stand, goes_on=stand.is_going_on and not stand.is_finished)
    if news.error:
        panels.say(f"error: {news.error}", is_error=True)
    elif stand.is_going_on and not stand.is_finished and stand.silent_s > QUIET_S:
        panels.say(f"no news of this run for {stand.silent_s:.0f} s: it is slow, or it was killed")
    elif stand.is_finished or run.asset_path.exists():
        panels.say("")
    elif not stand.is_going_on:
        panels.say(f"this run is not finished: diffusion2 generate --out {run.path} --resume goes on")


def find_shown(shown: Asset4D | str | Path) -> tuple[Asset4D | None, RunFolder | None]:
    """Find what to show: an asset, if there is one yet, and the run that it belongs to, if any.

    Raises:
        InputError, AssetFormatError: see `LiveViewer`.
    """
    if isinstance(shown, Asset4D):
        return _not_empty(shown, "the asset"), None
    path = Path(shown)
    if not path.exists():
        raise InputError(f"there is no {path}: give a run's folder, or an asset.safetensors")
    if not path.is_dir():
        return _not_empty(load_asset(path), str(path)), None
    run = RunFolder(path)
    if run.asset_path.is_file():
        return _not_empty(load_asset(path), str(run.asset_path)), run
    if not run.holds_run() and not (path / LOCK).exists():
        raise AssetFormatError(f"{path} holds no run: give the folder that generate or sample wrote")
    return None, run


def _not_empty(asset: Asset4D, name: str) -> Asset4D:
    if not len(asset.gaussians):
        raise AssetFormatError(f"{name} has no Gaussians: there is nothing to see")
    return asset


def serve(
    shown: Asset4D | str | Path,
    port: int = 8080,
    *,
    title: str | None = None,
    open_browser: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show something in the browser until interrupted (Ctrl-C).

    Args:
        shown: as for `LiveViewer`; so are `port`, `title`, and what is raised.
        port: where to listen.
        title: what the control panel is called.
        open_browser: whether to open the page in the default browser.
        on_ready: called with the page's address once it is served.
    """
    with LiveViewer(shown, port, title=title) as viewer:
        wait_until_interrupted(viewer.url, open_browser=open_browser, on_ready=on_ready)


def wait_until_interrupted(
    url: str, *, open_browser: bool = False, on_ready: Callable[[str], None] | None = None
) -> None:
    """Say where a page is, and wait for Ctrl-C."""
    if on_ready is not None:
        on_ready(url)
    if open_browser:
        webbrowser.open(url)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
