"""`viewer.html` opened as a user opens it: a double click on the file, no server, no network."""

import numpy as np
import pytest
from chromium import Chromium
from pages import blue, canvas_size, center_x, red, scene, still_scene, wait_for_object

from diffusion2.exporters import write_viewer
from diffusion2.gaussians import Asset4D


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
    left, top, width, height = (page.evaluate(f"{box}.{side}") for side in ("left", "top", "width", "height"))
    place = (left + share * width, top + height / 2)
    page.drag(place, place, steps=1)
    return still_scene(page)


def expected_x(asset: Asset4D, page: Chromium, time: float) -> float:
    """The column in which the red ball's centre lies at a time, seen from the reference camera."""
    width, height = canvas_size(page)
    camera = asset.metadata.reference_cameras([0.0], height, width)
    point = np.array([0.1, 0.3 * time, 0.0, 1.0])
    x, _, z = (camera.viewmats[0] @ point)[:3]
    return camera.Ks[0, 0, 0] * x / z + width / 2


def test_the_page_plays_by_itself(page: Chromium) -> None:
    places = [center_x(red(scene(page))) for _ in range(6)]
    assert max(places) - min(places) > 3


def test_the_time_bar_moves_the_object_to_where_it_is_then(page: Chromium, sliding_asset: Asset4D) -> None:
    early, late = seek(page, 0.02), seek(page, 0.9)
    # 4 px: the outline's centre is not exactly the projected centre of the ball; it moves 60 px in all
    assert center_x(red(early)) == pytest.approx(expected_x(sliding_asset, page, 0.02), abs=4)
    assert center_x(red(late)) == pytest.approx(expected_x(sliding_asset, page, 0.92), abs=4)
    assert (early != late).any(axis=-1).sum() > 500


def test_what_is_behind_is_hidden_until_the_object_is_turned(page: Chromium) -> None:
    front = seek(page, 0.02)
    assert blue(front).sum() == 0
    page.drag((100, 120), (190, 120))
    turned = still_scene(page)
    assert blue(turned).sum() > 100
    assert red(turned).sum() > 500


def test_the_page_asks_no_server_and_raises_no_error(page: Chromium) -> None:
    assert not [url for url in page.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]
    assert page.errors == []
    assert page.evaluate("document.title") == "a <ball>"
