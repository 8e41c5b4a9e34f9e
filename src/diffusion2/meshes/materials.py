"""Materials of glTF, as far as the renderer shows them: base colour, opacity, whether light acts.

Source: glTF 2.0 specification, section 3.9, and the extensions KHR_texture_transform,
KHR_materials_unlit, KHR_materials_pbrSpecularGlossiness and EXT_texture_webp. Metal, roughness,
normal maps and emission are not shown.
"""

import io
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from diffusion2.errors import InputError
from diffusion2.meshes.document import Document
from diffusion2.pictures import as_rgb

Wrap = Literal["repeat", "mirror", "clamp"]
WRAPS: dict[int, Wrap] = {10497: "repeat", 33648: "mirror", 33071: "clamp"}
NEAREST = 9728
MAX_TEXTURE_PX = 1 << 27
OLD_MATERIAL = "KHR_materials_pbrSpecularGlossiness"


@dataclass(frozen=True)
class Material:
    """How a primitive is drawn.

    Attributes:
        alpha_mode: "OPAQUE"; "MASK": what is less opaque than the cutoff is left out; "BLEND".
        alpha_cutoff: for "MASK".
        unlit: light does not act on it.
        wrap: what the texture does beyond its edges, along u and v.
        nearest: the texture is enlarged in squares.
        double_sided: it has a back.
    """

    alpha_mode: Literal["OPAQUE", "MASK", "BLEND"] = "OPAQUE"
    alpha_cutoff: float = 0.5
    unlit: bool = False
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    nearest: bool = False
    double_sided: bool = False


@dataclass(frozen=True)
class Surface:
    """A material with its colours and where its texture lies.

    Attributes:
        base: (4,) linear base colour and opacity.
        texture: (h, w, 3) uint8, (h, w, 4) where its alpha counts, or None.
        uv_set: number of the texture coordinates.
        uv_transform: (2, 3) affine map of the texture coordinates, or None.
        material: how it is drawn.
    """

    base: np.ndarray
    texture: np.ndarray | None = None
    uv_set: int = 0
    uv_transform: np.ndarray | None = None
    material: Material = Material()


class Materials:
    """The materials of a document; each picture is read once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._pictures: dict[tuple[int, bool], np.ndarray] = {}

    def surface(self, index: int | None) -> Surface:
        """Give a material; white where a primitive has none."""
        if index is None:
            return Surface(np.ones(4))
        raw = self._document.entry("materials", index)
        extensions = raw.get("extensions", {})
        if OLD_MATERIAL in extensions:
            old = extensions[OLD_MATERIAL]
            factor, reference = old.get("diffuseFactor"), old.get("diffuseTexture")
        else:
            pbr = raw.get("pbrMetallicRoughness", {})
            factor, reference = pbr.get("baseColorFactor"), pbr.get("baseColorTexture")
        mode = raw.get("alphaMode", "OPAQUE")
        mode = mode if mode in ("MASK", "BLEND") else "OPAQUE"
        base = np.array([1, 1, 1, 1] if factor is None else factor, np.float64)
        material = Material(
            mode,
            raw.get("alphaCutoff", 0.5),
            "KHR_materials_unlit" in extensions,
            double_sided=raw.get("doubleSided", False),
        )
        if reference is None:
            return Surface(base, material=material)
        return self._textured(base, reference, material)

    def _textured(self, base: np.ndarray, reference: dict[str, Any], material: Material) -> Surface:
        raw = self._document.entry("textures", reference["index"])
        sampler = self._document.entry("samplers", raw["sampler"]) if "sampler" in raw else {}
        source = raw.get("extensions", {}).get("EXT_texture_webp", raw).get("source")
        if source is None:
            raise InputError(
                f"{self._document.path}: texture {reference['index']} is in a format that can't be read: "
                "save it with PNG or JPEG textures"
            )
        transform = reference.get("extensions", {}).get("KHR_texture_transform", {})
        material = replace(
            material,
            wrap=(
                WRAPS.get(sampler.get("wrapS", 10497), "repeat"),
                WRAPS.get(sampler.get("wrapT", 10497), "repeat"),
            ),
            nearest=sampler.get("magFilter") == NEAREST,
        )
        return Surface(
            base,
            self._picture(source, material.alpha_mode != "OPAQUE"),
            transform.get("texCoord", reference.get("texCoord", 0)),
            uv_transform(transform),
            material,
        )

    def _picture(self, index: int, with_alpha: bool) -> np.ndarray:
        if (index, with_alpha) not in self._pictures:
            image = self._document.entry("images", index)
            document = self._document
            inside = "bufferView" in image
            data = document.view(image["bufferView"]) if inside else document.resource(image["uri"])
            try:
                picture = Image.open(io.BytesIO(data))
                if picture.width * picture.height > MAX_TEXTURE_PX:
                    raise InputError(
                        f"{document.path}: a texture of {picture.width} x {picture.height} px is too large"
                    )
                pixels = np.asarray(as_rgb(picture).convert("RGBA" if with_alpha else "RGB"))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                reason = "its format is unknown" if isinstance(error, UnidentifiedImageError) else error
                raise InputError(
                    f"{document.path}: its picture {index} can't be read ({reason}): save it with PNG or "
                    "JPEG textures"
                ) from error
            self._pictures[index, with_alpha] = pixels
        return self._pictures[index, with_alpha]


def uv_transform(transform: dict[str, Any]) -> np.ndarray | None:
    """Give KHR_texture_transform as (2, 3); None where it changes nothing.

    The rotation is counter-clockwise as seen, with v down, as in the specification's words and its
    example; the formula printed there turns the other way.
    """
    offset, scale = transform.get("offset", [0, 0]), transform.get("scale", [1, 1])
    angle = transform.get("rotation", 0.0)
    if list(offset) == [0, 0] and list(scale) == [1, 1] and angle == 0:
        return None
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([turn * scale, offset])
