"""Extensions of glTF: which are read, which change no picture, and what is said of the others."""

from collections.abc import Iterable, Iterator
from typing import Any

READ = {
    "EXT_mesh_gpu_instancing",
    "EXT_meshopt_compression",
    "EXT_texture_avif",
    "EXT_texture_webp",
    "KHR_draco_mesh_compression",
    "KHR_materials_emissive_strength",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_unlit",
    "KHR_mesh_quantization",
    "KHR_meshopt_compression",
    "KHR_node_visibility",
    "KHR_texture_transform",
}
NO_PICTURE = (
    *("CESIUM_primitive_outline", "EXT_instance_features", "EXT_mesh_features", "EXT_structural_metadata"),
    *(
        "FB_geometry_metadata",
        "GODOT_single_root",
        "KHR_audio",
        "KHR_interactivity",
        "KHR_materials_variants",
    ),
    *(
        "KHR_node_hoverability",
        "KHR_node_selectability",
        "KHR_physics",
        "KHR_xmp",
        "MSFT_lod",
        "MSFT_physics",
    ),
    *("MSFT_packing", "MX_", "OMI_", "VRMC_node_constraint", "VRMC_springBone", "VRMC_vrm"),
)
"""Beginnings of the names of those that change nothing that is seen; of variants the first look is drawn."""
AVATAR = "VRM"
"""Version 0 of VRM, whose models look along -z."""
OF_TEXTURES = ("KHR_texture_basisu", "MSFT_texture_dds")
"""Other formats of a picture; where a texture has no usual one beside it, that is an error of its own."""
ADDED = {
    "EXT_lights_ies": "lights",
    "EXT_lights_image_based": "lights",
    "KHR_animation_pointer": "moving colours",
    "KHR_gaussian_splatting": "Gaussians",
    "KHR_lights_punctual": "lights",
    "KHR_materials_anisotropy": "brushed metal",
    "KHR_materials_clearcoat": "varnish",
    "KHR_materials_diffuse_transmission": "light through leaves",
    "KHR_materials_dispersion": "rainbows in glass",
    "KHR_materials_ior": "strength of reflections",
    "KHR_materials_iridescence": "iridescence",
    "KHR_materials_sheen": "velvet",
    "KHR_materials_specular": "strength of reflections",
    "KHR_materials_subsurface": "light inside the surface",
    "KHR_materials_transmission": "clear glass",
    "KHR_materials_volume": "thickness of glass",
    "VRMC_materials_mtoon": "toon shading",
}
AMOUNTS = {
    "KHR_materials_anisotropy": ("anisotropyStrength", 0),
    "KHR_materials_clearcoat": ("clearcoatFactor", 0),
    "KHR_materials_diffuse_transmission": ("diffuseTransmissionFactor", 0),
    "KHR_materials_dispersion": ("dispersion", 0),
    "KHR_materials_ior": ("ior", 1.5),
    "KHR_materials_iridescence": ("iridescenceFactor", 0),
    "KHR_materials_sheen": ("sheenColorFactor", [0, 0, 0]),
    "KHR_materials_transmission": ("transmissionFactor", 0),
    "KHR_materials_volume": ("thicknessFactor", 0),
}
"""What says how much of an effect there is, and its default, at which there is none."""


def unsupported(names: Iterable[str]) -> list[str]:
    """Name those extensions that change the picture and are not read."""
    known = {*READ, AVATAR}
    return [name for name in names if name not in known and not name.startswith(NO_PICTURE)]


def not_drawn(content: dict[str, Any]) -> list[str]:
    """Name the extensions that a file uses and that a picture of it lacks, each with what it adds.

    Those count that stand somewhere in the file and have an effect there, and those that are only
    declared if nothing is known of them.
    """
    found = {name for name, value in _used(content) if _acts(name, value)}
    declared = {name for name in map(str, content.get("extensionsUsed", [])) if name not in ADDED}
    names = unsupported(sorted(found | declared - set(OF_TEXTURES)))
    return [f"{name} ({ADDED[name]})" if name in ADDED else name for name in names if name not in OF_TEXTURES]


def _used(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every extension in the tables of a file, with its value."""
    stack: list[Any] = [value for name, value in content.items() if name != "extensions"]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
            if isinstance(extensions := value.get("extensions"), dict):
                yield from extensions.items()


def _acts(name: str, value: Any) -> bool:
    if name not in AMOUNTS or not isinstance(value, dict):
        return True
    key, default = AMOUNTS[name]
    return value.get(key, default) != default
