"""Materials of glTF, as far as the renderer shows them: base colour, opacity, own light, whether light acts.

Source: glTF 2.0 specification, section 3.9, and the extensions KHR_texture_transform,
KHR_materials_unlit, KHR_materials_emissive_strength, KHR_materials_pbrSpecularGlossiness, EXT_texture_webp
and EXT_texture_avif. Metal, roughness and normal maps are not shown.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from diffusion2.errors import InputError
from diffusion2.meshes.document import Document
from diffusion2.meshes.textures import Texture, Wrap, decode_picture

WRAPS: dict[int, Wrap] = {10497: "repeat", 33648: "mirror", 33071: "clamp"}
NEAREST = 9728
OLD_MATERIAL = "KHR_materials_pbrSpecularGlossiness"
STRENGTH = "KHR_materials_emissive_strength"
BRIGHTEST = 1e3
PICTURE_FORMATS = ("EXT_texture_webp", "EXT_texture_avif")


@dataclass(frozen=True)
class Material:
    """How a primitive is drawn.

    Attributes:
        alpha_mode: "OPAQUE"; "MASK": what is less opaque than the cutoff is left out; "BLEND".
        alpha_cutoff: for "MASK".
        unlit: light does not act on it.
        double_sided: it has a back.
    """

    alpha_mode: Literal["OPAQUE", "MASK", "BLEND"] = "OPAQUE"
    alpha_cutoff: float = 0.5
    unlit: bool = False
    double_sided: bool = False


@dataclass(frozen=True)
class TextureLayer:
    """A texture and where a material lays it.

    Attributes:
        texture: the picture.
        uv_set: number of the texture coordinates.
        uv_transform: (2, 3) affine map of the texture coordinates, or None.
    """

    texture: Texture
    uv_set: int = 0
    uv_transform: np.ndarray | None = None


@dataclass(frozen=True)
class TexturedMaterial:
    """A material with its colours and textures.

    Attributes:
        base: (4,) linear base colour and opacity.
        colors: its texture, or None.
        emission: (3,) linear light that it sends out; None where it sends out none.
        emission_colors: the texture that the emission is multiplied by, or None.
        material: how it is drawn.
    """

    base: np.ndarray
    colors: TextureLayer | None = None
    emission: np.ndarray | None = None
    emission_colors: TextureLayer | None = None
    material: Material = Material()


class Materials:
    """The materials of a document; each picture is read once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._pictures: dict[tuple[int, bool], np.ndarray] = {}

    def surface(self, index: int | None) -> TexturedMaterial:
        """Return a material; white where a primitive has none."""
        if index is None:
            return TexturedMaterial(np.ones(4))
        raw = self._document.entry("materials", index)
        extensions = raw.get("extensions", {})
        if OLD_MATERIAL in extensions:
            old = extensions[OLD_MATERIAL]
            factor, reference = old.get("diffuseFactor"), old.get("diffuseTexture")
        else:
            pbr = raw.get("pbrMetallicRoughness", {})
            factor, reference = pbr.get("baseColorFactor"), pbr.get("baseColorTexture")
        mode = raw.get("alphaMode", "OPAQUE")
        material = Material(
            mode if mode in ("MASK", "BLEND") else "OPAQUE",
            raw.get("alphaCutoff", 0.5),
            "KHR_materials_unlit" in extensions,
            raw.get("doubleSided", False),
        )
        base = np.array([1, 1, 1, 1] if factor is None else factor, np.float64)
        colors = None if reference is None else self._layer(reference, material.alpha_mode != "OPAQUE")
        emission = self._emission(raw)
        if material.unlit or not emission.any():
            return TexturedMaterial(base, colors, material=material)
        reference = raw.get("emissiveTexture")
        emitted = None if reference is None else self._layer(reference, with_alpha=False)
        return TexturedMaterial(base, colors, emission, emitted, material)

    def _emission(self, raw: dict[str, Any]) -> np.ndarray:
        strength = raw.get("extensions", {}).get(STRENGTH, {}).get("emissiveStrength", 1.0)
        factor = np.array(raw.get("emissiveFactor", [0, 0, 0]), np.float64).reshape(3)
        return np.nan_to_num(factor * float(strength)).clip(0, BRIGHTEST)

    def _layer(self, reference: dict[str, Any], with_alpha: bool) -> TextureLayer:
        raw = self._document.entry("textures", reference["index"])
        sampler = self._document.entry("samplers", raw["sampler"]) if "sampler" in raw else {}
        extensions = raw.get("extensions", {})
        chosen = next((extensions[name] for name in PICTURE_FORMATS if name in extensions), raw)
        source = chosen.get("source")
        if source is None:
            raise InputError(
                f"{self._document.path}: texture {reference['index']} is in a format that can't be read: "
                "save it with PNG or JPEG textures"
            )
        transform = reference.get("extensions", {}).get("KHR_texture_transform", {})
        texture = Texture(
            self._picture(source, with_alpha),
            (
                WRAPS.get(sampler.get("wrapS", 10497), "repeat"),
                WRAPS.get(sampler.get("wrapT", 10497), "repeat"),
            ),
            sampler.get("magFilter") == NEAREST,
        )
        uv_set = transform.get("texCoord", reference.get("texCoord", 0))
        return TextureLayer(texture, uv_set, uv_transform(transform))

    def _picture(self, index: int, with_alpha: bool) -> np.ndarray:
        if (index, with_alpha) not in self._pictures:
            document, image = self._document, self._document.entry("images", index)
            inside = "bufferView" in image
            data = document.view(image["bufferView"]) if inside else document.resource(image["uri"])
            picture = decode_picture(data, f"{document.path}: its picture {index}")
            self._pictures[index, with_alpha] = np.asarray(picture.convert("RGBA" if with_alpha else "RGB"))
        return self._pictures[index, with_alpha]


def uv_transform(transform: dict[str, Any]) -> np.ndarray | None:
    """Make KHR_texture_transform a (2, 3) matrix; None where it changes nothing.

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
