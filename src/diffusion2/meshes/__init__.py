"""Textured and skinned 3D models: reading glTF, posing, framing, off-screen rendering."""

from diffusion2.meshes.animation import Clip
from diffusion2.meshes.framing import Framing, frame_points, frame_reference
from diffusion2.meshes.gltf import load_model
from diffusion2.meshes.lighting import Lighting
from diffusion2.meshes.model import AnimatedModel, Primitive, stretch
from diffusion2.meshes.renderer import MeshRenderer

__all__ = [
    "AnimatedModel",
    "Clip",
    "Framing",
    "Lighting",
    "MeshRenderer",
    "Primitive",
    "frame_points",
    "frame_reference",
    "load_model",
    "stretch",
]
