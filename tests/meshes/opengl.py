"""Rendering needs OpenGL without a screen, which not every machine has."""

import importlib.util

import pytest

from diffusion2.errors import BackendUnavailable
from diffusion2.meshes import MeshRenderer


def need_opengl() -> None:
    """Skip the test where there is no off-screen OpenGL."""
    if importlib.util.find_spec("moderngl") is None:
        pytest.skip("needs moderngl: pip install 'diffusion2[models]'")
    try:
        MeshRenderer._shared_context()
    except BackendUnavailable as error:
        pytest.skip(f"needs off-screen OpenGL: {error}")
