"""STL, in bytes or in words, through trimesh. It has no colours, and normals of flat faces only."""

import warnings
from pathlib import Path

import numpy as np

from diffusion2.inputs.models.looks import GREY_LOOK, Look
from diffusion2.inputs.models.polygons import Polygons


def read_stl(path: Path) -> tuple[Polygons, list[Look]]:
    """Read triangles, in the file's own axes."""
    import trimesh  # takes half a second, which readers of other formats need not wait for

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = trimesh.load_scene(path, file_type="stl", process=False)
        soups = [part.triangles for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
    points = np.concatenate([np.zeros((0, 3)), *(soup.reshape(-1, 3) for soup in soups)])
    count = len(points) // 3
    mesh = Polygons(points, np.arange(len(points)), np.full(count, 3), np.zeros(count, np.int64))
    return mesh, [GREY_LOOK]
