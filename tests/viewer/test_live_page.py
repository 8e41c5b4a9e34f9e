"""The live viewer in a real browser: an asset in motion, and a run with its matrix."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import BOX, Chromium
from pages import HEIGHT, WIDTH, blue, canvas_size, center_x, own_errors, red, scene, wait_for_object
from PIL import Image

from diffusion2.config import PRESETS
from diffusion2.events import StageProgress, to_record
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import ImageMatrix, frame_times, view_cameras
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import LOCK
from diffusion2.runs.matrix_files import write_matrix
from diffusion2.runs.plan import Plan
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.viewer import LiveViewer

SETTINGS = dataclasses.replace(PRESETS["mini"], views=4, frames=3)
PLACE = "(e => [parseFloat(e.style.left), parseFloat(e.style.top)])(document.querySelector('.d2-cell'))"


@pytest.fixture(autouse=True)
def wide(browser: Chromium) -> Iterator[None]:
    browser.resize(900, 700)
    yield
    browser.open("about:blank")
    browser.resize(WIDTH, HEIGHT)


def soon(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; a busy machine takes its time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"


def open_page(browser: Chromium, viewer: LiveViewer) -> None:
    browser.open(viewer.url)
    wait_for_object(browser)


def scrub(browser: Chromium, share: float) -> None:
    """Click into the slider of the time."""
    box = "document.querySelectorAll('.mantine-Slider-root')[0].getBoundingClientRect()"
    left, top, width, height = (browser.evaluate(f"{box}.{side}") for side in BOX)
    place = (left + share * width, top + height / 2)
    browser.drag(place, place, steps=1)


def test_the_slider_moves_the_object_and_time_stands_still_there(
    browser: Chromium, sliding_asset: Asset4D
) -> None:
    with LiveViewer(sliding_asset, port=0) as viewer:
        open_page(browser, viewer)
        scrub(browser, 0.03)
        browser.wait_for("[...document.querySelectorAll('button')].some(b => b.innerText.trim() === 'Play')")
        soon(lambda: len({center_x(red(scene(browser))) for _ in range(3)}) == 1)
        early = center_x(red(scene(browser)))
        scrub(browser, 0.97)
        # it slides by 0.3 of the 1.2 world units that the window's height shows
        soon(lambda: center_x(red(scene(browser))) - early > 0.15 * canvas_size(browser)[1])
        assert own_errors(browser) == []


def test_what_is_behind_is_seen_when_the_object_is_turned(browser: Chromium, sliding_asset: Asset4D) -> None:
    with LiveViewer(sliding_asset, port=0) as viewer:
        open_page(browser, viewer)
        scrub(browser, 0.03)
        assert blue(scene(browser)).sum() < 50
        browser.drag((150, 350), (330, 350))
        soon(lambda: blue(scene(browser)).sum() > 500)
        browser.press("Front")
        soon(lambda: blue(scene(browser)).sum() < 50)
        browser.press("Back")
        soon(lambda: blue(scene(browser)).sum() > 500)


@pytest.mark.slow
def test_alpha_is_white_on_black(browser: Chromium, sliding_asset: Asset4D) -> None:
    with LiveViewer(sliding_asset, port=0) as viewer:
        open_page(browser, viewer)
        browser.press("alpha")
        soon(lambda: bool((scene(browser)[5, 5] < 10).all()))
        soon(lambda: not red(scene(browser)).any() and (scene(browser) > 240).all(-1).sum() > 2000)
        browser.press("depth")
        grey = (90, 90, 90)
        soon(lambda: ((scene(browser) > grey) & (scene(browser) < 230)).all(-1).sum() > 500)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "a run")
    run.path.mkdir()
    run.config_path.write_text(json.dumps(Plan(Source(), SETTINGS, "as asked").to_config("cpu")))
    return run


def finish(run: RunFolder, asset: Asset4D) -> None:
    images = torch.ones(4, 3, 3, 8, 8)
    write_matrix(run.path, ImageMatrix(images, view_cameras(SETTINGS), frame_times(3), 8.0))
    Asset4D(asset.gaussians, None, asset.metadata).save(run.asset_path)


def test_the_nearest_cell_is_marked(browser: Chromium, run: RunFolder, sliding_asset: Asset4D) -> None:
    """Views stand at 90, 180, 270 and 360 degrees, the last one is the reference."""
    finish(run, sliding_asset)
    with LiveViewer(run.path, port=0) as viewer:
        open_page(browser, viewer)
        soon(lambda: browser.evaluate(PLACE) == [0, 75])
        browser.press("Right")
        soon(lambda: browser.evaluate(PLACE) == [0, 0])
        browser.press("Back")
        soon(lambda: browser.evaluate(PLACE) == [0, 25])
        assert own_errors(browser) == []


@pytest.mark.slow
def test_files_are_downloaded(
    browser: Chromium, run: RunFolder, sliding_asset: Asset4D, tmp_path: Path
) -> None:
    finish(run, sliding_asset)
    place = tmp_path / "downloads"
    browser.download_to(place)
    with LiveViewer(run.path, port=0) as viewer:
        viewer._panels.downloads._format.value = next(
            text for text in viewer._panels.downloads._rows if text.startswith(".ply ·")
        )
        open_page(browser, viewer)
        browser.press("Download")
        soon(lambda: (place / "a run.ply").is_file())
        assert (place / "a run.ply").read_bytes().startswith(b"ply\n")
        browser.wait_for("document.body?.innerText.includes('a run.ply, ')")
        browser.press("Screenshot")
        soon(lambda: (place / "a run.png").is_file())
        assert red(np.asarray(Image.open(place / "a run.png").convert("RGB"))).sum() > 200


def test_a_run_is_watched_from_its_first_estimate_to_its_result(
    browser: Chromium, run: RunFolder, sliding_asset: Asset4D
) -> None:
    (run.path / LOCK).touch()
    live, still = LiveFiles(run.path), Asset4D(sliding_asset.gaussians, None, sliding_asset.metadata)
    event = StageProgress("matrix", 3, 14, 2.0, 7.0)
    run.events_path.write_text(json.dumps(to_record(event)) + "\n")
    with LiveViewer(run.path, port=0) as viewer:
        browser.open(viewer.url)
        browser.wait_for("document.body?.innerText.includes('denoising the image matrix 3/14, 7.0 s left')")
        assert "Download" not in browser.text()
        blues = torch.zeros(4, 3, 3, 8, 8)
        blues[:, :, 2] = 1.0
        live.show_matrix(lambda: blues)
        browser.wait_for("document.querySelector('.d2-sheet')")
        soon(lambda: blue(scene(browser)).sum() > 5000)  # the estimate, large
        live.show_asset(still.save)
        soon(lambda: red(scene(browser)).sum() > 200 and blue(scene(browser)).sum() < 50)
        finish(run, sliding_asset)
        for path in (run.orbit_path, run.viewer_path):
            path.touch()
        (run.path / LOCK).unlink()
        browser.wait_for("!document.body.innerText.includes('denoising')")
        browser.press("Front")
        assert "not finished" not in browser.text()
        assert own_errors(browser) == []
