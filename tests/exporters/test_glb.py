"""The mesh as glTF, read back by Khronos' validator, by trimesh, and by our own reader."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2 import ExportSettings, export
from diffusion2.config import MeshSettings
from diffusion2.events import Warned
from diffusion2.exporters.axes import GLTF_FROM_WORLD, turn_points
from diffusion2.exporters.glb import lay_out
from diffusion2.exporters.skin import largest_error, make_skin
from diffusion2.gaussians import Asset4D, AssetMetadata
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.meshes import load_model

from .moving_ball import ball, waving


@pytest.fixture(scope="module")
def mesh() -> Mesh4D:
    return ball(24, 32)


def write(mesh: Mesh4D, path: Path, **settings) -> Path:
    lay_out(mesh, ExportSettings(**settings)).save(path)
    return path


KINDS = {"skin": {}, "morph": {"animation": "morph"}, "still": {"time": 0.5}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_validator_finds_nothing_to_say(mesh: Mesh4D, tmp_path: Path, kind: str, ask_node) -> None:
    report = ask_node("validate.cjs", "gltf-validator", write(mesh, tmp_path / "a.glb", **KINDS[kind]))
    assert report["issues"]["messages"] == []
    info = report["info"]
    assert info["totalVertexCount"] == len(mesh.vertices)
    assert info["totalTriangleCount"] == len(mesh.triangles)
    assert info["hasSkins"] == (kind == "skin")
    assert info["hasMorphTargets"] == (kind == "morph")
    assert info["animationCount"] == (kind != "still")
    assert info["extensionsUsed"] == ["KHR_materials_unlit"]


@pytest.mark.parametrize("kind", ["skin", "morph"])
def test_played_by_a_reader_it_moves_as_the_field_moves_it(mesh: Mesh4D, tmp_path: Path, kind: str) -> None:
    model = load_model(write(mesh, tmp_path / "a.glb", **KINDS[kind]))
    (clip,) = model.clips.values()
    assert (clip.name, clip.duration) == ("motion", 0.5)
    times = torch.linspace(0, 1, 9)  # the frames, and half between them
    for time, expected in zip(times.tolist(), mesh.move(times), strict=True):
        positions, _ = model.pose("motion", time * clip.duration)[0]
        # Bones come close, see the next test; a morph target is what the field says, in float32.
        np.testing.assert_allclose(positions, expected, atol=0.005 if kind == "skin" else 1e-6)
    between, _ = model.pose("motion", 0.0625 * clip.duration)[0]
    around = mesh.move([0.0, 0.125]) if kind == "morph" else mesh.move([0.0625, 0.0625])
    straight = torch.lerp(around[0], around[1], 0.5)
    np.testing.assert_allclose(between, straight, atol=0.005 if kind == "skin" else 1e-6)
    moved = float((mesh.move([0.0]) - mesh.move([0.6])).norm(dim=-1).max())
    assert moved > 0.1, "the motion must be much larger than the tolerance"


def test_bones_come_close_to_the_field_and_say_so_where_they_do_not(mesh: Mesh4D) -> None:
    times = torch.linspace(0, 1, 9)
    assert mesh.deformation is not None
    assert largest_error(make_skin(mesh.vertices, mesh.deformation, times), mesh, times) < 0.005
    events: list = []
    lay_out(mesh, ExportSettings(), events.append)
    assert events == []
    wild = replace(mesh, deformation=waving(mesh.vertices, 8))
    assert wild.deformation is not None
    with torch.no_grad():
        wild.deformation.head.weight.mul_(10)
    lay_out(wild, ExportSettings(), events.append)
    assert [type(event) for event in events] == [Warned]
    assert "--animation morph is exact" in events[0].message


def test_a_field_without_nodes_gets_bones_of_its_own(tmp_path: Path) -> None:
    mesh = ball(24, 32, nodes=0)
    model = load_model(write(mesh, tmp_path / "a.glb"))
    assert len(model.skins[0].joints) == 256
    positions, _ = model.pose("motion", 0.25)[0]
    np.testing.assert_allclose(positions, mesh.at(0.5), atol=0.01)  # between 256 bones, 0.05 apart


@pytest.mark.parametrize("nodes", [1, 3, 64])
def test_weights_sum_to_one_and_bones_without_weight_are_the_first(nodes: int) -> None:
    """As glTF wants it."""
    mesh = ball(24, 32, nodes)
    assert mesh.deformation is not None
    skin = make_skin(mesh.vertices, mesh.deformation, torch.zeros(1))
    assert skin.joints.shape == skin.weights.shape == (len(mesh.vertices), 4)
    torch.testing.assert_close(skin.weights.sum(1), torch.ones(len(mesh.vertices)))
    assert bool((skin.joints[skin.weights == 0] == 0).all())


def test_a_moment_stands_still_where_the_field_puts_it(mesh: Mesh4D, tmp_path: Path) -> None:
    model = load_model(write(mesh, tmp_path / "a.glb", time=0.5))
    assert model.clips == {}
    positions, normals = model.pose()[0]
    np.testing.assert_allclose(positions, mesh.at(0.5), atol=1e-6)
    np.testing.assert_allclose(normals, mesh.normals(mesh.at(0.5)), atol=1e-5)


def test_trimesh_reads_axes_texture_and_triangles(mesh: Mesh4D, tmp_path: Path) -> None:
    import trimesh

    read = trimesh.load(write(mesh, tmp_path / "a.glb", time=0.0), process=False).to_geometry()
    np.testing.assert_allclose(read.vertices, turn_points(mesh.at(0.0), GLTF_FROM_WORLD), atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.triangles)
    picture = np.asarray(read.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_allclose(picture / 255, mesh.texture, atol=0.5 / 255 + 1e-6)
    # trimesh counts v upwards
    np.testing.assert_allclose(
        read.visual.uv, mesh.uvs * torch.tensor([1.0, -1]) + torch.tensor([0, 1.0]), atol=1e-6
    )
    assert read.volume > 0, "triangles are counter-clockwise seen from outside"


def test_20_000_vertices_in_25_frames_take_less_than_4_mb(tmp_path: Path) -> None:
    mesh = replace(ball(100, 198, nodes=256), metadata=AssetMetadata(fps=8.0, frames=25))
    mesh = replace(mesh, texture=torch.rand(512, 512, 3, generator=torch.Generator().manual_seed(0)))
    assert len(mesh.vertices) > 20_000
    size = write(mesh, tmp_path / "a.glb").stat().st_size
    # noise is the worst texture there is: 0.8 MB that no compression gets any smaller
    assert size < 4_000_000


def test_an_asset_becomes_a_file_and_nothing_is_left_of_a_failure(
    rising_asset: Asset4D, tmp_path: Path
) -> None:
    for library in ("skimage", "xatlas", "fast_simplification"):
        pytest.importorskip(library, reason="needs pip install 'diffusion2[mesh]'")
    small = MeshSettings(resolution=16, triangles=300, texture_size=32, picture_size=64)
    still = replace(rising_asset, deformation=None)
    export(still, tmp_path / "a.glb", ExportSettings(mesh=small))
    assert len(load_model(tmp_path / "a.glb").primitives) == 1
    thin = replace(still.gaussians, opacity_logits=still.gaussians.opacity_logits - 20)
    with pytest.raises(Exception, match="transparent"):
        export(replace(still, gaussians=thin), tmp_path / "b.glb", ExportSettings(mesh=small))
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]
