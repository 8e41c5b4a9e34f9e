"""What is seen on a page of the viewer."""

import time

import numpy as np
from chromium import Chromium

WIDTH, HEIGHT = 320, 280
"""Of the window."""


PLAYER_SAYS = "THREE.BufferGeometry.computeBoundingSphere(): Computed radius is NaN."
"""Of the splats' quad, which the player gives two coordinates; three.js then draws it always, as is right."""


NO_NOTES = "<style>.mantine-Notifications-root { display: none }</style>"
"""Takes off what viser says of software rendering, in orange, over the scene."""


def own_errors(browser: Chromium) -> list[str]:
    """The errors of a page that are not known to be harmless."""
    return [error for error in browser.errors if not error.startswith(PLAYER_SAYS)]


def red(picture: np.ndarray) -> np.ndarray:
    """Where an (H, W, 3) picture is red."""
    r, g, b = (picture[..., channel].astype(int) for channel in range(3))
    return (r > 120) & (r - g > 60) & (r - b > 60)


def blue(picture: np.ndarray) -> np.ndarray:
    """Where an (H, W, 3) picture is blue."""
    r, g, b = (picture[..., channel].astype(int) for channel in range(3))
    return (b > 120) & (b - g > 60) & (b - r > 60)


def canvas_size(browser: Chromium) -> tuple[int, int]:
    """Width and height of the part of the page that shows the scene, which begins at the top left."""
    box = "document.querySelector('canvas[data-engine]').getBoundingClientRect()"
    return round(browser.evaluate(f"{box}.width")), round(browser.evaluate(f"{box}.height"))


def wait_for_object(browser: Chromium, seconds: float = 60) -> None:
    """Wait until something red is drawn."""
    deadline = time.monotonic() + seconds
    browser.wait_for("document.querySelector('canvas[data-engine]')", seconds)
    browser.evaluate(f"document.head.insertAdjacentHTML('beforeend', {NO_NOTES!r})")
    while time.monotonic() < deadline:
        if red(scene(browser)).sum() > 200:
            return
    raise TimeoutError(f"nothing red after {seconds} s; the page's errors: {browser.errors}")


def scene(browser: Chromium) -> np.ndarray:
    """The drawn scene without the controls around it."""
    width, height = canvas_size(browser)
    return browser.screenshot()[:height, :width]


def still_scene(browser: Chromium, seconds: float = 30) -> np.ndarray:
    """The drawn scene once three pictures in a row are the same."""
    pictures = [scene(browser)]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.15)
        pictures = [*pictures[-2:], scene(browser)]
        if len(pictures) == 3 and all((picture == pictures[0]).all() for picture in pictures):
            return pictures[0]
    raise TimeoutError(f"the scene still changes after {seconds} s")


def center_x(mask: np.ndarray) -> float:
    """The mean column of a mask."""
    return float(np.nonzero(mask)[1].mean())
