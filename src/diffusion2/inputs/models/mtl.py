"""The materials beside an OBJ: MTL files.

Source: the MTL format as its inventor describes it (Wavefront, Advanced Visualizer, appendix B1), and
what exporters make of it: `map_d` may name the texture whose alpha is meant, and `Kd` beside a texture
is often left as it was.
"""

import posixpath
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.events import Report, Warned
from diffusion2.inputs.models.looks import (
    GAMMA,
    Look,
    TextureFiles,
    alpha_of,
    listed,
    make_texture,
    transparency,
)
from diffusion2.meshes.textures import Texture

NUMBERS = {"-s": 3, "-o": 3, "-t": 3, "-mm": 2, "-bm": 1, "-boost": 1, "-texres": 1}
WORDS = {"-blendu", "-blendv", "-cc", "-clamp", "-imfchan", "-type"}
CHANNELS = {"r": "R", "g": "G", "b": "B", "m": "A"}
MAPS = {"map_kd", "map_d", "map_ke", "map_tr"}
GREY_TOLERANCE = 0.02


@dataclass(frozen=True)
class Map:
    """A picture that a material names, with its options (of those with numbers, the numbers)."""

    name: str
    options: dict[str, list[float]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def pair(self, option: str, default: float) -> tuple[float, float]:
        """Read an option along u and v."""
        u, v, *_ = [*self.options.get(option, []), *[default] * 2][:2]
        return u, v


@dataclass
class MtlMaterial:
    """What a material says, by keyword in small letters."""

    folder: str
    values: dict[str, list[float]] = field(default_factory=dict)
    maps: dict[str, Map] = field(default_factory=dict)

    def color(self, key: str) -> np.ndarray | None:
        """Read a colour, (3,) in [0, 1]; one number stands for all three."""
        numbers = (self.values.get(key) or [])[:3]
        if not numbers:
            return None
        return np.nan_to_num(np.array(numbers * 3 if len(numbers) < 3 else numbers)[:3]).clip(0, 1)


def read_mtl(path: Path, folder: str = "") -> dict[str, MtlMaterial]:
    """Read the materials in a file, by name.

    Args:
        path: the file.
        folder: where it is, below the model's folder: names in it are relative to that.
    """
    found: dict[str, MtlMaterial] = {}
    current: MtlMaterial | None = None
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line in lines:
            key, rest = [*line.split(maxsplit=1), "", ""][:2]
            key, rest = key.lower(), rest.strip()
            if key == "newmtl":
                current = found.setdefault(rest, MtlMaterial(folder))
            elif current is None or key.startswith("#"):
                continue
            elif key in MAPS:
                if (named := _map(rest)) is not None:
                    current.maps[key] = named
            elif key in ("kd", "ke", "d", "tr"):
                current.values[key] = _floats(rest.split())
    return found


def _map(text: str) -> Map | None:
    """Read options and a file's name, which may have spaces; options may also come after it."""
    options: dict[str, list[float]] = {}
    words: dict[str, str] = {}
    name: list[re.Match[str]] = []
    tokens = list(re.finditer(r"\S+", text))
    while tokens:
        token = tokens.pop(0)
        option = token.group().lower()
        if option in NUMBERS:
            numbers: list[float] = []
            while tokens and len(numbers) < NUMBERS[option] and (len(tokens) > 1 or name):
                if not (number := _floats([tokens[0].group()])):
                    break
                numbers += number
                tokens.pop(0)
            options[option] = numbers
        elif option in WORDS and tokens:
            words[option] = tokens.pop(0).group().lower()
        else:
            name.append(token)
    if not name:
        return None
    return Map(text[name[0].start() : name[-1].end()].strip('"'), options, words)


def _floats(words: list[str]) -> list[float]:
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            continue
    return numbers


class Looks:
    """Makes materials ready to be drawn.

    Args:
        path: the model.
        report: takes notes of what is guessed or left out.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self._path, self._report = path, report
        self._pictures = TextureFiles(path, report)
        self._opacities: list[str] = []
        self._ignored: list[str] = []

    def make(self, raw: MtlMaterial) -> Look:
        """Make one."""
        color, opacity = raw.color("kd"), self._opacity(raw)
        emission, glow = self._emission(raw)
        look = Look(
            np.ones(3) if color is None else color**GAMMA,
            opacity,
            emission=emission,
            emission_texture=glow,
        )
        colors, alphas = raw.maps.get("map_kd"), raw.maps.get("map_d") or raw.maps.get("map_tr")
        picture = self._read(raw, colors)
        alpha = self._alpha(raw, colors, picture, alphas)
        if picture is None and alpha is None:
            return replace(look, material=transparency(None, opacity))
        laid = colors if picture is not None and colors is not None else alphas
        assert laid is not None
        if picture is None:
            assert alpha is not None
            picture = Image.new("L", alpha.shape[::-1], 255)
        elif color is None or np.ptp(color) < GREY_TOLERANCE:
            look = replace(look, color=np.ones(3))  # whatever grey an exporter leaves there: 0, 0.4, 0.8
        base, gain = [*laid.options.get("-mm", []), *(0.0, 1.0)[len(laid.options.get("-mm", [])) :]][:2]
        changed = None if (base, gain) == (0.0, 1.0) else lambda pixels: base + gain * pixels
        if "-t" in laid.options:
            self._ignored.append("-t (turbulence)")
        return replace(
            look,
            texture=make_texture(picture, alpha, clamp=laid.words.get("-clamp") == "on", change=changed),
            scale=laid.pair("-s", 1.0),
            offset=laid.pair("-o", 0.0),
            material=transparency(alpha, opacity),
        )

    def tell(self) -> None:
        """Say once what was guessed or left out."""
        self._pictures.tell()
        if self._opacities:
            self._report(
                Warned(
                    f"{self._path}: the alpha of {listed(self._opacities)} is taken as opacity; save such a "
                    "texture without alpha if it means something else"
                )
            )
        if self._ignored:
            self._report(Warned(f"{self._path}: not drawn of its materials: {listed(self._ignored)}"))

    def _read(self, raw: MtlMaterial, named: Map | None) -> Image.Image | None:
        return None if named is None else self._pictures.read(named.name, raw.folder)

    def _opacity(self, raw: MtlMaterial) -> float:
        numbers = raw.values.get("d") or [1 - n for n in raw.values.get("tr", [])] or [1.0]
        return float(np.clip(np.nan_to_num(numbers[-1], nan=1.0), 0, 1))

    def _emission(self, raw: MtlMaterial) -> tuple[np.ndarray | None, Texture | None]:
        color, named = raw.color("ke"), raw.maps.get("map_ke")
        glows = color is not None and bool(color.any())
        picture = self._read(raw, named)
        if picture is None:
            return (color**GAMMA if color is not None and glows and named is None else None), None
        if named is not None and _laid(named) != _laid(raw.maps.get("map_kd")):
            self._ignored.append("-s and -o of map_Ke, which differ from those of map_Kd")
        return (color**GAMMA if color is not None and glows else np.ones(3)), make_texture(picture)

    def _alpha(
        self, raw: MtlMaterial, colors: Map | None, picture: Image.Image | None, named: Map | None
    ) -> np.ndarray | None:
        """Find the opacity (h, w) of the pixels of a texture, or of the map of opacity alone."""
        own = alpha_of(picture)
        if own is not None and not own.any():
            self._ignored.append("an alpha that is transparent all over")
            own = None
        if named is None or (colors is not None and named.name == colors.name):
            if own is not None and named is None and colors is not None:
                self._opacities.append(colors.name)
            return own
        found = self._read(raw, named)
        if found is None:
            return own
        channel = CHANNELS.get(named.words.get("-imfchan", ""))
        opaque = alpha_of(found) if channel in (None, "A") and "-imfchan" not in named.words else None
        if channel is not None and channel in found.convert("RGBA").getbands():
            opaque = np.asarray(found.convert("RGBA").getchannel(channel))
        if opaque is None:
            opaque = np.asarray(found.convert("L"))
        if named is raw.maps.get("map_tr"):  # of transparency, as Tr is
            opaque = 255 - opaque
        if picture is None:
            return opaque
        if _laid(named) != _laid(colors):
            self._ignored.append("-s and -o of map_d, which differ from those of map_Kd")
        fitted = np.asarray(Image.fromarray(opaque).resize(picture.size))
        return fitted if own is None else (own.astype(np.uint16) * fitted // 255).astype(np.uint8)


def _laid(named: Map | None) -> tuple[tuple[float, float], tuple[float, float]]:
    return ((1.0, 1.0), (0.0, 0.0)) if named is None else (named.pair("-s", 1.0), named.pair("-o", 0.0))


def folder_of(found: Path, model: Path) -> str:
    """Tell where a file lies, below the model's folder."""
    return posixpath.normpath(found.parent.relative_to(model.parent).as_posix())
