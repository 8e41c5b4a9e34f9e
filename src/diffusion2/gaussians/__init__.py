"""Dynamic 3D Gaussians: the moving asset, its file, and pictures of it."""

from diffusion2.gaussians.asset import Asset4D
from diffusion2.gaussians.deformation import DeformationField, DeformationOutput, DeformationSettings
from diffusion2.gaussians.gaussians import Gaussians
from diffusion2.gaussians.loading import load_asset
from diffusion2.gaussians.metadata import AssetMetadata
from diffusion2.gaussians.render import render, render_matrix

__all__ = [
    "Asset4D",
    "AssetMetadata",
    "DeformationField",
    "DeformationOutput",
    "DeformationSettings",
    "Gaussians",
    "load_asset",
    "render",
    "render_matrix",
]
