"""A mesh for each frame as OBJ, read back by trimesh."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from diffusion2 import export
from diffusion2.exporters.axes import GLTF_FROM_WORLD, turn_points
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.mesh import Mesh4D


def square(asset: Asset4D) -> Mesh4D:
    """Two triangles that share an edge, along which the texture has a seam: six vertices, four places."""
    places = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0], [0, 1, 1], [0, 0, 1]]) * 0.3
    uvs = torch.tensor([[0.0, 1], [0.5, 1], [0.5, 0], [0.6, 1], [1.0, 0], [0.6, 0]])
    texture = torch.rand(8, 16, 3, generator=torch.Generator().manual_seed(0))
    triangles, welded = torch.arange(6).reshape(2, 3), torch.tensor([0, 1, 2, 0, 2, 3])
    return Mesh4D(places, triangles, uvs, texture, welded, asset.deformation, asset.metadata)


@pytest.fixture(autouse=True)
def extracted(monkeypatch, rising_asset: Asset4D) -> Mesh4D:
    for library in ("skimage", "xatlas", "fast_simplification"):
        pytest.importorskip(library, reason="needs pip install 'diffusion2[mesh]'")
    mesh = square(rising_asset)
    monkeypatch.setattr(
        "diffusion2.exporters.obj.extract_mesh",
        lambda asset, *_: replace(mesh, deformation=asset.deformation),
    )
    return mesh


def test_trimesh_reads_every_frame_with_the_one_texture(
    rising_asset, extracted: Mesh4D, tmp_path: Path
) -> None:
    events: list = []
    export(rising_asset, tmp_path / "fox_*.obj", report=events.append)
    assert "5 meshes, to be played at 8 a second" in events[-1].message
    numbered = [f"fox_{k:03d}.obj" for k in range(5)]
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [*numbered, "fox_texture.mtl", "fox_texture.png"]
    for k, name in enumerate(numbered):
        read = trimesh.load(tmp_path / name, process=False)
        expected = turn_points(extracted.at(k / 4), GLTF_FROM_WORLD)
        corners = np.asarray(read.vertices)[read.faces]  # type: ignore[union-attr]
        np.testing.assert_allclose(corners, expected[extracted.triangles], atol=1e-5)
        u, v = extracted.uvs[extracted.triangles].unbind(-1)
        seen = np.asarray(read.visual.uv)[read.faces]  # type: ignore[union-attr]
        np.testing.assert_allclose(seen, torch.stack([u, 1 - v], dim=-1), atol=1e-6)
        picture = np.asarray(read.visual.material.image.convert("RGB"))  # type: ignore[union-attr]
        np.testing.assert_allclose(picture / 255, extracted.texture, atol=0.51 / 255)


def test_vertices_along_a_seam_are_one(rising_asset: Asset4D, tmp_path: Path) -> None:
    export(rising_asset, tmp_path / "new", name="obj")
    lines = (tmp_path / "new" / "frame_000.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == 4
    assert sum(line.startswith("vt ") for line in lines) == 6
    assert (tmp_path / "new" / "frame_texture.png").is_file()


def test_a_still_asset_is_one_mesh(rising_asset: Asset4D, tmp_path: Path) -> None:
    events: list = []
    export(replace(rising_asset, deformation=None), tmp_path / "a_*.obj", report=events.append)
    assert [path.name for path in tmp_path.glob("*.obj")] == ["a_000.obj"]
    assert "1 mesh: nothing moves" in events[-1].message
