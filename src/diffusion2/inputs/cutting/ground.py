"""The smooth background of a picture: its colours everywhere, also behind the object."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from diffusion2.kernels.regions import regions_with

BORDER = 0.02
"""How wide the picture's border is, of its shorter side."""
PLAIN_BORDER = 0.8
"""Share of the border that must have the background's colours; the object may touch it."""
SURE = 8.0
"""How far from the background, per channel, of 255, a pixel is surely none of it where there is no noise."""
NOISIEST = 48.0
"""That distance, from which on what surrounds the object is a pattern and no noise."""
SAMPLES = 20_000
"""Pixels that a fit is made with."""
FIT_PX = 400
"""Pixels along the shorter side that the fit looks at."""
GRID = 128
"""Squares along a side in which the fitted colours are worked out; between them they are interpolated."""
CLOSE = 5.0
"""How far from the fit a pixel may be, at least, to be fitted."""
ROUNDS = 4
"""How often the fit is made anew, with the pixels that the last one has reached."""
STIFFNESS = 1e-4
"""What keeps the bends of a fit small where no pixel speaks for them, behind the object."""


@dataclass(frozen=True)
class Ground:
    """A smooth background.

    Attributes:
        terms: (15, 3), the polynomials of its red, green and blue, of 255.
        sure: distance, per channel, from which a pixel is surely no background.
    """

    terms: np.ndarray
    sure: float

    @property
    def colour(self) -> np.ndarray:
        """Its mean colour, (3,)."""
        return self.terms[0]

    def colours(self, height: int, width: int) -> np.ndarray:
        """Its colours in a picture of that size, (H, W, 3) float32."""
        return _evaluate(self.terms, height, width)


def fit_ground(pixels: np.ndarray, hidden: np.ndarray | None = None) -> tuple[Ground | None, float]:
    """Fit smooth colours to a picture's border, then to all background that is connected with it.

    The colours are polynomials of the place: of degree 2 on the border, which is most of what can be known
    from there, and of degree 4 in the end. The fit is robust: what touches the border is left out.

    Args:
        pixels: (H, W, 3) float32, of 255.
        hidden: (H, W) bool; pixels that can't be seen and count as background of any colour.

    Returns:
        the ground, or None if none can be fitted, and the share of the border that looks like it.
    """
    height, width = pixels.shape[:2]
    hidden = np.zeros((height, width), dtype=bool) if hidden is None else hidden
    if not (border_of(height, width) & ~hidden).any():
        return None, 1.0
    step = max(1, min(height, width) // FIT_PX)  # every so many pixels, whose noise an average would not have
    few, unseen = pixels[::step, ::step], hidden[::step, ::step]
    border = border_of(*unseen.shape)
    fitted = _fit_robustly(few, border & ~unseen)
    seen = border & ~unseen
    for _ in range(ROUNDS):
        distance = largest_channel(few - _evaluate(fitted, *unseen.shape))
        noise = float(np.median(distance[seen]))
        seen = regions_with(border, unseen | (distance <= max(CLOSE, 4 * noise))) & ~unseen
        if not seen.any():
            return None, 0.0
        fitted = _fit(few, seen, 4)
    distance = largest_channel(few - _evaluate(fitted, *unseen.shape))
    sure = max(SURE, *_above_noise(distance[seen]))
    if sure > NOISIEST:
        return None, 0.0
    return Ground(fitted, sure), _share_of_border(unseen | (distance <= sure), border)


def largest_channel(away: np.ndarray) -> np.ndarray:
    """How far (H, W, 3) differences are from 0 in the channel that differs most, (H, W)."""
    red, green, blue = (np.abs(away[..., channel]) for channel in range(3))
    return np.maximum(np.maximum(red, green), blue)


def border_of(height: int, width: int) -> np.ndarray:
    """Mark the border of a picture, (H, W) bool: a band of 2 % of its shorter side."""
    band = max(1, round(BORDER * min(height, width)))
    border = np.ones((height, width), dtype=bool)
    border[band:-band, band:-band] = False
    return border


def _above_noise(distance: np.ndarray) -> tuple[float, float]:
    """Distances that noise does not reach: by its usual values, and by its largest where they are small."""
    return 3.5 * float(np.median(distance)), 4.0 * min(float(np.percentile(distance, 99)), CLOSE)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of (H, W, 3) colours, summed over the channels, (H, W)."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _share_of_border(like: np.ndarray, border: np.ndarray) -> float:
    """Share of the border's best ring; an edge line of a pixel or two does not count."""
    shares = []
    for depth in range(border.shape[0] // 2):
        if not border[depth, border.shape[1] // 2]:
            break
        inner = like[depth : len(like) - depth, depth : like.shape[1] - depth]
        shares.append(np.concatenate([inner[0], inner[-1], inner[1:-1, 0], inner[1:-1, -1]]).mean())
    return float(max(shares))


def _fit_robustly(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Fit a polynomial of degree 2 with the least sum of absolute distances, by reweighting."""
    terms, values = _samples(pixels, where, 2)
    weights = np.ones(len(values))
    fitted = np.zeros((terms.shape[1], 3))
    for _ in range(30):
        fitted = _solve(terms, values, weights)
        weights = 1 / np.maximum(np.abs(values - terms @ fitted).max(-1), 1.0)
    return fitted


def _fit(pixels: np.ndarray, where: np.ndarray, degree: int) -> np.ndarray:
    terms, values = _samples(pixels, where, degree)
    return _solve(terms, values, np.ones(len(values)))


def _samples(pixels: np.ndarray, where: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    height, width = where.shape
    places = np.flatnonzero(where)
    places = places[:: max(1, len(places) // SAMPLES)]
    rows, columns = np.divmod(places, width)
    x, y = (columns + 0.5) / width * 2 - 1, (rows + 0.5) / height * 2 - 1
    return _terms(x, y, degree), pixels.reshape(-1, 3)[places].astype(np.float64)


def _terms(x: np.ndarray, y: np.ndarray, degree: int) -> np.ndarray:
    """Products of Legendre polynomials of x and y, (N, terms), by rising degree."""
    a, b = (np.polynomial.legendre.legvander(values, degree) for values in (x, y))
    return np.stack([a[:, i] * b[:, n - i] for n in range(degree + 1) for i in range(n + 1)], -1)


def _solve(terms: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    stiff = np.full(terms.shape[1], STIFFNESS * weights.sum())
    stiff[:3] = 1e-9 * weights.sum()
    weighted = terms * weights[:, None]
    return np.linalg.solve(terms.T @ weighted + np.diag(stiff), weighted.T @ values)


def _evaluate(fitted: np.ndarray, height: int, width: int) -> np.ndarray:
    degree = {6: 2, 15: 4}[len(fitted)]
    values = _grid_terms(degree) @ fitted
    planes = [
        np.asarray(
            Image.fromarray(plane.reshape(GRID, GRID).astype(np.float32)).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for plane in values.T
    ]
    return np.stack(planes, -1).clip(0, 255)


@cache
def _grid_terms(degree: int) -> np.ndarray:
    steps = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    x, y = np.meshgrid(steps, steps)
    return _terms(x.ravel(), y.ravel(), degree)
