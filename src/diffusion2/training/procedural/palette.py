"""Colours of a creature by name, and how its coat is patterned."""

import colorsys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from diffusion2.training.procedural.shapes import Shape

FIXED = {
    "white": (0.95, 0.95, 0.94),
    "black": (0.05, 0.05, 0.06),
    "wood": (0.42, 0.27, 0.15),
    "steel": (0.62, 0.64, 0.68),
    "gold": (0.85, 0.65, 0.2),
    "leaf": (0.25, 0.5, 0.18),
    "mouth": (0.45, 0.1, 0.13),
    "pink": (0.9, 0.55, 0.58),
    "bone": (0.9, 0.87, 0.75),
}
NATURAL = (
    (0.42, 0.27, 0.15),
    (0.55, 0.36, 0.2),
    (0.75, 0.6, 0.4),
    (0.25, 0.17, 0.12),
    (0.66, 0.4, 0.16),
    (0.5, 0.5, 0.48),
    (0.33, 0.36, 0.22),
    (0.28, 0.4, 0.25),
    (0.85, 0.75, 0.58),
    (0.36, 0.4, 0.46),
)
SKINS = ((0.95, 0.78, 0.65), (0.87, 0.65, 0.48), (0.66, 0.45, 0.31), (0.4, 0.26, 0.18), (0.55, 0.68, 0.42))
CoatPattern = Literal["plain", "belly", "back", "stripes", "spots", "patches", "halves"]
KINDS: tuple[CoatPattern, ...] = ("plain", "belly", "back", "stripes", "spots", "patches", "halves")


@dataclass(frozen=True)
class Palette:
    """Names of colours, and the (N, 3) sRGB colours in [0, 1]."""

    names: list[str]
    rgb: np.ndarray

    def index(self, name: str) -> int:
        """Tell a colour's number."""
        return self.names.index(name)


def draw_palette(rng: np.random.Generator) -> Palette:
    """Choose colours that go together: of fur and skin, bright ones, white, grey, black or pale ones."""
    scheme = rng.choice(
        ("natural", "bright", "white", "grey", "black", "pale"), p=(0.28, 0.34, 0.14, 0.08, 0.07, 0.09)
    )
    hue = rng.random()
    match scheme:
        case "natural":
            main = np.array(NATURAL[rng.integers(len(NATURAL))]) * rng.uniform(0.7, 1.15)
        case "bright":
            main = _hsv(hue, rng.uniform(0.45, 0.9), rng.uniform(0.3, 0.9))
        case "white":
            main = _hsv(hue, rng.uniform(0, 0.05), rng.uniform(0.9, 1.0))
        case "grey":
            main = _hsv(hue, rng.uniform(0, 0.12), rng.uniform(0.3, 0.75))
        case "black":
            main = _hsv(hue, rng.uniform(0, 0.3), rng.uniform(0.06, 0.2))
        case _:
            main = _hsv(hue, rng.uniform(0.2, 0.4), rng.uniform(0.8, 0.97))
    main = np.clip(main, 0.03, 1.0)
    colors = {
        "main": main,
        "second": _companion(main, rng, lighter=0.65),
        "third": _companion(main, rng, lighter=0.25),
        "accent": _hsv(rng.random(), rng.uniform(0.5, 0.95), rng.uniform(0.3, 0.9)),
        "accent2": _hsv(rng.random(), rng.uniform(0.0, 0.8), rng.uniform(0.15, 0.95)),
        "dark": _hsv(rng.uniform(0.0, 0.12), rng.uniform(0, 0.5), rng.uniform(0.08, 0.3)),
        "iris": _hsv(rng.random(), rng.uniform(0.5, 1.0), rng.uniform(0.4, 0.9)),
        "beak": _hsv(rng.uniform(0.03, 0.14), rng.uniform(0.5, 0.95), rng.uniform(0.55, 0.95)),
        "skin": np.array(SKINS[rng.integers(len(SKINS))]),
        "hair": np.array(NATURAL[rng.integers(len(NATURAL))]) if rng.random() < 0.7 else _hsv(hue, 0.6, 0.7),
        "eyewhite": np.array(FIXED["white"]),
        "pupil": np.array(FIXED["black"]),
        **{name: np.array(rgb) for name, rgb in FIXED.items()},
    }
    return Palette(list(colors), np.stack(list(colors.values())))


def _hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def _companion(main: np.ndarray, rng: np.random.Generator, lighter: float) -> np.ndarray:
    """Choose a second colour: lighter, darker, of another hue, or white or black."""
    draw = rng.random()
    if draw < lighter * 0.7:
        return main + (1 - main) * rng.uniform(0.35, 0.85)
    if draw < 0.6:
        return main * rng.uniform(0.25, 0.65)
    if draw < 0.85:
        hue, _, _ = colorsys.rgb_to_hsv(*main)
        return _hsv(hue + rng.uniform(0.1, 0.9), rng.uniform(0.4, 0.95), rng.uniform(0.3, 0.95))
    return np.array(FIXED["white" if rng.random() < 0.6 else "black"])


@dataclass(frozen=True)
class Coat:
    """A pattern that paints faces by where they lie along and around a body part; the same on both sides.

    Attributes:
        kind: of the pattern.
        colors: numbers of the ground's colour, of the pattern's and of the feet's.
        count: stripes on a whole body.
        share: how much the pattern covers, in [0, 1].
        slant: how much stripes lean.
        socks: share of a leg that has the feet's colour.
        table: (16, 8) random numbers, of spots.
    """

    kind: CoatPattern
    colors: tuple[int, int, int]
    count: float
    share: float
    slant: float
    socks: float
    table: np.ndarray

    def plain(self) -> "Coat":
        """Leave the pattern out."""
        return replace(self, kind="plain", socks=0.0)

    def body(self, shape: Shape) -> np.ndarray:
        """Choose the (T,) colours of a body, a head or a tail."""
        height, u = np.sin(shape.v), shape.u
        match self.kind:
            case "belly":
                marked = height < -0.7 + 0.9 * self.share
            case "back":
                marked = height > 0.9 - 0.8 * self.share
            case "stripes":
                phase = u * self.count + self.slant * np.abs(np.cos(shape.v))
                marked = (phase % 1 < 0.2 + 0.4 * self.share) & (height > -0.75)
            case "spots":
                cell = self.table[(u * 15.99).astype(int), ((height + 1) * 3.99).astype(int)]
                marked = cell < 0.1 + 0.2 * self.share
            case "patches":
                wave = np.sin(7 * u + 6 * self.slant) + np.sin(2.5 * height + 9 * self.share)
                marked = wave > 0.5
            case "halves":
                marked = u > 0.35 + 0.4 * self.share
            case _:
                marked = np.zeros(len(u), bool)
        return np.where(marked, self.colors[1], self.colors[0])

    def leg(self, shape: Shape) -> np.ndarray:
        """Choose the (T,) colours of a leg or an arm: stripes go on, and the end may wear a sock."""
        marked = np.zeros(len(shape.u), bool)
        if self.kind == "stripes":
            marked = (shape.u * self.count * 0.6) % 1 < 0.4
        colors = np.where(marked, self.colors[1], self.colors[0])
        return np.where(shape.u > 1 - self.socks, self.colors[2], colors)


def draw_coat(
    rng: np.random.Generator, palette: Palette, names: tuple[str, str, str] = ("main", "second", "third")
) -> Coat:
    """Choose a pattern for three colours of a palette."""
    kind: CoatPattern = KINDS[rng.choice(len(KINDS), p=(0.36, 0.24, 0.09, 0.11, 0.08, 0.06, 0.06))]
    ground, pattern, feet = (palette.index(name) for name in names)
    return Coat(
        kind,
        (ground, pattern, feet),
        count=float(rng.integers(2, 7)),
        share=float(rng.random()),
        slant=float(rng.uniform(-0.6, 0.6)),
        socks=float(rng.uniform(0.15, 0.45)) if rng.random() < 0.35 else 0.0,
        table=rng.random((16, 8)),
    )
