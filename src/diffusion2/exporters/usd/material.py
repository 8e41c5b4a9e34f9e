"""A texture that is seen as it is, whatever light there may be, as `UsdPreviewSurface`."""

# pyright: reportAttributeAccessIssue=false
# pxr makes its names when it is imported, where pyright can't see them.
from __future__ import annotations

from typing import TYPE_CHECKING

from diffusion2.exporters.usd.scene import ROOT

if TYPE_CHECKING:
    from pxr import Usd, UsdGeom

UVS = "st"
"""The primvar with the texture coordinates."""


def add_material(stage: Usd.Stage, shown: UsdGeom.Mesh, texture: str) -> None:
    """Give a mesh a texture, whose file is named as seen from the stage's."""
    from pxr import Sdf, UsdShade

    types = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, f"{ROOT}/material")
    uvs = UsdShade.Shader.Define(stage, f"{ROOT}/material/uvs")
    uvs.CreateIdAttr("UsdPrimvarReader_float2")
    uvs.CreateInput("varname", types.String).Set(UVS)

    picture = UsdShade.Shader.Define(stage, f"{ROOT}/material/texture")
    picture.CreateIdAttr("UsdUVTexture")
    picture.CreateInput("file", types.Asset).Set(texture)
    picture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    for side in ("wrapS", "wrapT"):
        picture.CreateInput(side, types.Token).Set("clamp")
    picture.CreateInput("st", types.Float2).ConnectToSource(uvs.CreateOutput("result", types.Float2))

    surface = UsdShade.Shader.Define(stage, f"{ROOT}/material/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    emitted = surface.CreateInput("emissiveColor", types.Color3f)
    emitted.ConnectToSource(picture.CreateOutput("rgb", types.Float3))
    surface.CreateInput("diffuseColor", types.Color3f).Set((0, 0, 0))
    surface.CreateInput("useSpecularWorkflow", types.Int).Set(1)
    surface.CreateInput("specularColor", types.Color3f).Set((0, 0, 0))
    surface.CreateInput("roughness", types.Float).Set(1)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    UsdShade.MaterialBindingAPI.Apply(shown.GetPrim()).Bind(material)
