"""What surfaces of OBJ, PLY and STL look like, ready to be drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.errors import InputError
from diffusion2.events import Report, Warned
from diffusion2.meshes.files import find_file
from diffusion2.meshes.materials import Material
from diffusion2.meshes.textures import Texture, decode_picture

GAMMA = 2.2
"""Of the colours in these files; the renderer takes linear ones."""
GREY = 0.6
PARTLY = 0.1
"""Share of pixels that may be partly transparent, as at edges of leaves; with more, a texture is glass."""


@dataclass(frozen=True)
class Look:
    """One material. These formats know no sides: surfaces are seen from both.

    Attributes:
        color: (3,) linear base colour.
        opacity: in [0, 1].
        texture: what the colour is multiplied by, or None.
        scale: along u and v, of the texture's coordinates.
        offset: added to them.
        emission: (3,) linear light that it sends out, or None.
        emission_texture: laid as the texture is, or None.
        material: how it is drawn.
    """

    color: np.ndarray = field(default_factory=lambda: np.full(3, GREY) ** GAMMA)
    opacity: float = 1.0
    texture: Texture | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    emission: np.ndarray | None = None
    emission_texture: Texture | None = None
    material: Material = Material(double_sided=True)


GREY_LOOK = Look()


class TextureFiles:
    """Reads the pictures that a model names, each once, and says in one line each what went wrong.

    Args:
        path: the model.
        report: takes the notes.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self._path, self._report = path, report
        self._read: dict[str, Image.Image | None] = {}
        self._missing: list[str] = []
        self._broken: list[str] = []
        self._elsewhere: list[str] = []

    def read(self, name: str, folder: str = "") -> Image.Image | None:
        """Read a picture; None where it is missing or can't be read, which `tell` says.

        Args:
            name: as the file says it.
            folder: where names are relative to, below the model's folder; the latter is tried, too.
        """
        if name not in self._read:
            self._read[name] = self._find(name, folder)
        return self._read[name]

    def _find(self, name: str, folder: str) -> Image.Image | None:
        around = self._path.parent
        found, as_named = find_file(around, f"{folder}/{name}") if folder not in ("", ".") else (None, False)
        if found is None or not as_named:
            found, as_named = find_file(around, name)
        if found is None:
            self._missing.append(name)
            return None
        if not as_named:
            self._elsewhere.append(f"{found.relative_to(around)} for {name}")
        try:
            return decode_picture(found.read_bytes(), str(found))
        except (InputError, OSError) as error:
            self._broken.append(str(error))
            return None

    def tell(self) -> None:
        """Say what is missing, can't be read, or was taken from elsewhere."""
        if self._missing:
            self._report(
                Warned(
                    f"{self._path} names textures that are not there: {listed(self._missing)}; what they "
                    "belong on has its plain colour: put them beside the model"
                )
            )
        for line in self._broken[:3]:
            self._report(Warned(f"{line}; what it belongs on has its plain colour"))
        if self._elsewhere:
            self._report(Warned(f"{self._path}: taken for textures it names: {listed(self._elsewhere)}"))


def listed(names: list[str], most: int = 4) -> str:
    """List names, the first few."""
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def alpha_of(picture: Image.Image | None) -> np.ndarray | None:
    """Read a picture's alpha, (h, w) uint8; None where it has none or is opaque."""
    if picture is None or "A" not in picture.getbands():
        return None
    alpha = np.asarray(picture.getchannel("A"))
    return None if (alpha == 255).all() else alpha


def make_texture(
    picture: Image.Image,
    alpha: np.ndarray | None = None,
    *,
    clamp: bool = False,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Texture:
    """Make a texture of a picture, with an alpha (h, w) where that counts."""
    pixels = np.asarray(picture.convert("RGB"))
    if change is not None:
        pixels = change(pixels / 255.0).clip(0, 1)
        pixels = (pixels * 255).round().astype(np.uint8)
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    return Texture(pixels, ("clamp", "clamp") if clamp else ("repeat", "repeat"))


def transparency(alpha: np.ndarray | None, opacity: float) -> Material:
    """Choose how what is transparent is drawn: cut out where its alpha is all or nothing, else blended."""
    if alpha is None and opacity >= 1:
        return Material(double_sided=True)
    partly = alpha is not None and float(((alpha > 25) & (alpha < 230)).mean()) > PARTLY
    return Material("BLEND" if partly or opacity < 1 else "MASK", double_sided=True)
