"""`viewer.html` opened as a user opens it: a double click on the file, no server, no network."""

import dataclasses

import numpy as np
import pytest
from chromium import BOX, Chromium
from pages import (
    HEIGHT,
    WIDTH,
    blue,
    canvas_size,
    center_x,
    own_errors,
    red,
    scene,
    still_scene,
    wait_for_object,
)

from diffusion2.exporters import write_viewer
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.presentation import filling_fov_deg


@pytest.fixture(scope="module")
def address(sliding_asset: Asset4D, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("viewer") / "viewer.html"
    write_viewer(sliding_asset, path, title="a <ball>")
    return path.as_uri()


@pytest.fixture
def page(browser: Chromium, address: str) -> Chromium:
    browser.open(address)
    wait_for_object(browser)
    return browser


def seek(page: Chromium, share: float) -> np.ndarray:
    """Click into the time bar at a share of its length; this pauses, too."""
    box = "document.querySelector('.mantine-Slider-root').getBoundingClientRect()"
    left, top, width, height = (page.evaluate(f"{box}.{side}") for side in BOX)
    place = (left + share * width, top + height / 2)
    page.drag(place, place, steps=1)
    return still_scene(page)


def shown_seconds(page: Chromium) -> float:
    return float(page.evaluate("document.querySelector('input.mantine-NumberInput-input').value"))


def expected_x(asset: Asset4D, page: Chromium, time: float) -> float:
    """The column in which the red ball's centre lies at a time, seen from the reference camera."""
    width, height = canvas_size(page)
    metadata = dataclasses.replace(asset.metadata, fov_deg=filling_fov_deg(asset))
    camera = metadata.reference_cameras([0.0], height, width)
    point = np.array([0.1, 0.3 * time, 0.0, 1.0])
    x, _, z = (camera.viewmats[0] @ point)[:3]
    return camera.Ks[0, 0, 0] * x / z + width / 2


def test_the_page_plays_by_itself(page: Chromium) -> None:
    places = [center_x(red(scene(page))) for _ in range(6)]
    assert max(places) - min(places) > 3


def test_the_time_bar_moves_the_object_to_where_it_is_then(page: Chromium, sliding_asset: Asset4D) -> None:
    """The ball slides for a second and comes back in the next, so that the bar's middle is time 1."""
    early, late = seek(page, 0.02), seek(page, 0.45)
    # 4 px: the outline's centre is not exactly the projected centre of the ball; it moves some 50 px in all
    assert center_x(red(early)) == pytest.approx(expected_x(sliding_asset, page, 0.04), abs=4)
    assert center_x(red(late)) == pytest.approx(expected_x(sliding_asset, page, 0.9), abs=4)
    assert (early != late).any(axis=-1).sum() > 500


def test_a_motion_that_does_not_close_comes_back_and_never_jumps(page: Chromium) -> None:
    places = [center_x(red(seek(page, share))) for share in (0.04, 0.25, 0.5, 0.75, 0.96)]
    first, way, far, back, last = places
    # 3 px: a click hits the bar to a pixel of 100, and 0.01 of it are 1 px of the way
    assert last == pytest.approx(first, abs=3)
    assert back == pytest.approx(way, abs=3)
    assert far - first > 30


def test_at_first_the_object_fills_the_window_and_is_whole(browser: Chromium, address: str) -> None:
    for width, height in ((WIDTH, HEIGHT), (200, 400)):
        browser.resize(width, height)
        browser.open(address)
        wait_for_object(browser)
        ys, xs = np.nonzero((seek(browser, 0.5) < 200).any(axis=-1)[30:])  # below the hint
        share = max(np.ptp(ys) / canvas_size(browser)[1], np.ptp(xs) / canvas_size(browser)[0])
        assert 0.3 < share < 0.95
        assert xs.min() > 0
        assert xs.max() < canvas_size(browser)[0] - 1
    browser.resize(WIDTH, HEIGHT)


def test_the_space_bar_pauses_and_plays(page: Chromium) -> None:
    def press_space() -> None:
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, code="Space", key=" ")

    press_space()
    place = center_x(red(still_scene(page)))
    press_space()
    page.wait_for(f"{shown_seconds(page)} != document.querySelector('input.mantine-NumberInput-input').value")
    places = [center_x(red(scene(page))) for _ in range(6)]
    assert max(abs(other - place) for other in places) > 3


@pytest.mark.parametrize("speed", [0.5, 1, 2])
def test_the_speed_is_chosen(page: Chromium, speed: float) -> None:
    """A clock of our own: the page must go on by its steps times the speed."""
    seek(page, 0.0)
    page.click("input.mantine-Select-input")
    page.wait_for("document.querySelector('[role=option]')")
    choice = f"[...document.querySelectorAll('[role=option]')].find(o => o.textContent === '{speed}x')"
    page.evaluate(f"{choice}.click()")
    before = shown_seconds(page)
    page.evaluate("window.now = 1e12, Date.now = () => window.now, 0")
    page.click("button:has(.tabler-icon-player-play-filled)")
    still_scene(page)
    assert shown_seconds(page) == before
    page.evaluate("window.now += 600, 0")
    # 0.051: seconds are shown with one digit
    page.wait_for(f"document.querySelector('input.mantine-NumberInput-input').value != {before}", 30)
    assert shown_seconds(page) - before == pytest.approx(0.6 * speed, abs=0.051)


def test_what_is_behind_is_hidden_until_the_object_is_turned(page: Chromium) -> None:
    front = seek(page, 0.02)
    assert blue(front).sum() == 0
    page.drag((100, 120), (190, 120))
    turned = still_scene(page)
    assert blue(turned).sum() > 100
    assert red(turned).sum() > 500


def test_the_page_asks_no_server_and_raises_no_error(page: Chromium) -> None:
    assert not [url for url in page.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]
    assert own_errors(page) == []
    assert page.evaluate("document.title") == "a <ball>"
