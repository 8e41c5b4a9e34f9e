"""The page that does the whole job: from a file that is dropped on it to what is downloaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import viser

from diffusion2.atomic_files import remove
from diffusion2.errors import Diffusion2Error, in_one_line
from diffusion2.exporters.scene import HOST, open_server
from diffusion2.gaussians import Asset4D
from diffusion2.runs.lock import locked
from diffusion2.runs.run_folder import RunFolder
from diffusion2.viewer.feed import News, RunFeed
from diffusion2.viewer.jobs import Jobs
from diffusion2.viewer.live import LOOK_S, bring, wait_until_interrupted
from diffusion2.viewer.making import Choices, Making
from diffusion2.viewer.queue_panel import QueuePanel
from diffusion2.viewer.result import ResultPanels
from diffusion2.viewer.uploads import Draft, refuse_large_uploads

TITLE = "diffusion2"


class App:
    """The page, served in the background until `close`; also a context manager.

    Each run is a folder of its own in `runs`, and made by a process of its own, one at a time. When the page
    ends, the run that goes on is stopped, and can go on later; runs that never began are removed.

    Args:
        runs: folder of the runs; made where it is missing.
        port: where to listen on 127.0.0.1; the next free one if it is taken; 0 for any.
        options: of `diffusion2 generate`, for every run, before those that are chosen on the page.

    Attributes:
        url: where a browser on this machine finds it.

    Raises:
        InputError: the folder can't be written to, or another page works in it.
        BackendUnavailable: nothing may listen on this machine's loopback interface.
    """

    def __init__(self, runs: str | Path = "runs", port: int = 8080, options: Sequence[str] = ()) -> None:
        """Start to serve."""
        self._runs, self._options = Path(runs), tuple(options)
        self._closing, self._stack = threading.Event(), ExitStack()
        self._stack.enter_context(locked(self._runs))
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            self._server = self._stack.enter_context(open_server(None, TITLE, port))
            self.jobs = Jobs()
            self._stack.callback(self._end_jobs)
            self._build()
            undo.pop_all()
        self.url = f"http://{HOST}:{self._server.get_port()}"
        self._shown: Path | None = None
        self._beside: Path | None = None
        self._feed: RunFeed | None = None
        self._running: Path | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _build(self) -> None:
        gui = self._server.gui
        panel = gui.add_panel()
        panel.dock_left()
        panel.set_width(300)
        with panel.add_tab("New", viser.Icon.PLUS) as tab:
            self._making = Making(self._server, tab, self._runs, self._begin)
            self._stack.callback(self._making.close)
            with gui.add_folder("Runs"):
                self._queue = QueuePanel(self._server, self._runs, self.jobs, self._resume)
        self._panels = ResultPanels(self._server)
        self._stack.callback(self._panels.close)
        self._panels.say("Drop a picture on the left, or take an example.")
        refuse_large_uploads(self._server, self._making.refuse)

    def __enter__(self) -> App:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def close(self) -> None:
        """Stop serving, and the run that goes on; calling it twice does no harm."""
        self._closing.set()
        self._thread.join()
        self._stack.close()

    def _end_jobs(self) -> None:
        """Stop what goes on; folders in which no run ever began are removed."""
        self.jobs.close()
        for job in self.jobs.all():
            if not RunFolder(job.run).holds_run():
                with suppress(OSError):
                    remove(job.run)

    # -- what somebody clicked ----------------------------------------------------------------------

    def _begin(self, draft: Draft, choices: Choices) -> None:
        run, file = draft.begin()
        self.jobs.add(run, ["generate", str(file), "--out", str(run), *self._options, *choices.options()])
        if self._running is None:
            self._queue.select(run)

    def _resume(self, run: Path) -> None:
        """Go on with a run, or begin one again that failed before anything was there."""
        job = self.jobs.find(run)
        if (run / "config.json").is_file():
            self.jobs.add(run, ["generate", "--out", str(run), "--resume"])
        elif job is not None:
            self.jobs.add(run, job.arguments)

    # -- what is shown ------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except Exception as error:  # the page goes on, whatever becomes of a folder
                self._panels.say(f"error: {type(error).__name__}: {in_one_line(error)}", is_error=True)
            if self._closing.wait(LOOK_S):
                return

    def _look(self) -> None:
        """Show what is new of the run that is selected, and of the queue."""
        running = next((job.run for job in self.jobs.all() if job.state == "running"), None)
        if running != self._running:
            self._running = running
            if running is not None:
                self._queue.select(running)
        run = self._queue.selected
        if run != self._shown:
            self._shown = run
            self._feed = None if run is None else RunFeed(run)
            self._panels.show(None)
            self._panels.show_sheet(None)
            self._panels.offer(None)
        news = None if self._feed is None else self._feed.look()
        if run is not None and news is not None:
            bring(self._panels, news, RunFolder(run), run.name)
            self._say(run, news)
        self._queue.update(None if news is None else news.stand)
        if self._queue.beside != self._beside:
            self._beside = self._queue.beside
            self._panels.compare(None if self._beside is None else self._load(self._beside))

    def _say(self, run: Path, news: News) -> None:
        job, stand = self.jobs.find(run), news.stand
        state = job.state if job is not None else "running" if stand.is_going_on else "stopped"
        goes_on = state == "running" and not stand.is_finished
        self._panels.show_stand(stand, goes_on=goes_on)
        if news.error:
            self._panels.say(f"error: {news.error}", is_error=True)
        elif job is not None and state == "failed":
            self._panels.say(job.error, is_error=True)
        elif state == "waiting":
            self._panels.say("waits until it is its turn")
        elif stand.is_finished:
            self._panels.say("")
        elif not goes_on:
            self._panels.say("stopped: Resume goes on with it")

    def _load(self, run: Path) -> Asset4D | None:
        try:
            return Asset4D.load(RunFolder(run).asset_path)
        except Diffusion2Error as error:
            self._panels.say(f"error: {error}", is_error=True)
            return None


def serve_app(
    runs: str | Path = "runs",
    port: int = 8080,
    *,
    open_browser: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until interrupted (Ctrl-C).

    Args:
        runs: as for `App`; so are `port` and what is raised.
        port: where to listen.
        open_browser: whether to open the page in the default browser.
        on_ready: called with the page's address once it is served.
    """
    with App(runs, port) as app:
        wait_until_interrupted(app.url, open_browser=open_browser, on_ready=on_ready)
