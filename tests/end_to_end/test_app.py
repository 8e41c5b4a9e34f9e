"""The app as it is used: a file onto the page, a run, a file from the page, in a real browser."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "viewer"))  # for the browser: chromium.py, pages.py

from chromium import BOX, Chromium, find_chromium
from pages import NO_NOTES, own_errors

from diffusion2.errors import InputError
from diffusion2.viewer import App, uploads

from .conftest import SETTINGS

pytestmark = pytest.mark.slow

LONG = ("--reconstruction.joint-iterations", "1000000")
"""A run that is not finished before it is stopped."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("needs Chromium on the PATH (apt-get install chromium)")
    with Chromium(executable, 1100, 760) as chromium:
        yield chromium


def soon(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until something is so; a busy machine takes its time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def give(browser: Chromium, app: App, file: Path) -> None:
    """Open the page and drop a file on it."""
    browser.open(app.url)
    browser.wait_for("document.querySelector('input[type=file]')")
    browser.choose_file("input[type=file]", file)


def says(browser: Chromium, text: str) -> None:
    browser.wait_for(f"document.body.innerText.includes({text!r})", 240)


def middle(browser: Chromium) -> np.ndarray:
    """What is drawn between the panels."""
    box = "document.querySelector('canvas[data-engine]').getBoundingClientRect()"
    left, top, width, height = (round(browser.evaluate(f"{box}.{side}")) for side in BOX)
    return browser.screenshot()[top : top + height, left : left + width]


@pytest.mark.usefixtures("use_mini_weights")
def test_from_a_picture_to_a_file(browser: Chromium, picture: Path, tmp_path: Path) -> None:
    browser.download_to(tmp_path / "downloads")
    with App(tmp_path / "runs", port=0, options=SETTINGS) as app:
        give(browser, app, picture)
        says(browser, "disc: a picture, cut out")
        assert not [path for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")]
        browser.press("Generate")
        says(browser, "✔ disc: done")
        browser.evaluate(f"document.head.insertAdjacentHTML('beforeend', {NO_NOTES!r})")
        soon(lambda: int((middle(browser) < 230).any(-1).sum()) > 200)
        run = tmp_path / "runs" / "disc"
        assert (run / "viewer.html").is_file()
        assert (run / "input" / "disc.png").read_bytes() == picture.read_bytes()
        assert not (run / ".live").exists()
        browser.wait_for("document.querySelector('.d2-cell')")
        app._panels.downloads._format.value = next(
            text for text in app._panels.downloads._rows if text.startswith(".ply ·")
        )
        browser.press("Pause")
        before = middle(browser)
        browser.drag((450, 400), (600, 400))
        soon(lambda: int((middle(browser) != before).any(-1).sum()) > 200)
        browser.press("Download")
        soon(lambda: (tmp_path / "downloads" / "disc.ply").is_file())
        browser.choose_file("input[type=file]", picture)  # the same again, for another seed
        says(browser, "disc: a picture, cut out")
        assert own_errors(browser) == []
        browser.open("about:blank")


@pytest.mark.usefixtures("use_mini_weights")
def test_a_run_is_stopped_and_goes_on_while_another_waits(
    browser: Chromium, picture: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    with App(runs, port=0, options=[*SETTINGS, *LONG]) as app:
        for _ in range(2):
            give(browser, app, picture)
            says(browser, "disc: a picture, cut out")
            browser.press("Generate")
            soon(lambda: len(app.jobs.all()) > 0)
        says(browser, "⏳ disc-2: waits, 1 before it")
        first, second = app.jobs.all()
        soon(lambda: (runs / "disc" / ".live" / "asset.safetensors").exists())
        app.jobs.stop(second.run)
        browser.press("Stop")
        says(browser, "■ disc: stopped")
        assert first.state == "stopped"
        assert (runs / "disc" / "latents").is_dir() or (runs / "disc" / "matrix").is_dir()
        assert not (runs / "disc" / ".live").exists()
        browser.press("Resume")
        says(browser, "▶ disc: ")
        assert app.jobs.find(runs / "disc") is not first
        browser.open("about:blank")
    assert {path.name for path in runs.iterdir()} <= {"disc", "disc-2"}  # no lock, no draft, no process
    job = app.jobs.all()[-1]
    assert job.process is not None
    assert job.process.poll() is not None


def test_what_is_no_picture_is_said_and_changes_nothing(browser: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=window.bad=1>.png"
    file.write_bytes(b"#!/bin/sh\necho hello\n")
    with App(tmp_path / "runs", port=0) as app:
        give(browser, app, file)
        says(browser, "is no picture, video or 3D model that can be read")
        assert app._making._start.disabled
        assert browser.evaluate("window.bad") is None
        browser.open("about:blank")
    assert not (tmp_path / "runs").exists()


def test_what_is_too_large_is_refused_before_it_is_sent(
    browser: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_BYTES", 1_000_000)
    file = tmp_path / "large.png"
    file.write_bytes(bytes(3_000_000))
    with App(tmp_path / "runs", port=0) as app:
        give(browser, app, file)
        says(browser, "large.png has 3 MB, at most 1 are taken here")
        assert app._server.gui._current_file_upload_states == {}
        browser.open("about:blank")


def test_two_pages_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with App(tmp_path / "runs", port=0), pytest.raises(InputError, match="at work in"):
        App(tmp_path / "runs", port=0)
