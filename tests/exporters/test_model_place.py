"""Results in the place and size of the model or capture that an asset was made from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2 import ExportSettings, export
from diffusion2.cameras import ModelFrame
from diffusion2.errors import InputError
from diffusion2.exporters.axes import GLTF_FROM_WORLD, PLY_FROM_WORLD, place_gaussians, turn_points
from diffusion2.exporters.glb import lay_out
from diffusion2.gaussians import Asset4D, Gaussians
from diffusion2.inputs.models.splats import read_splats
from diffusion2.meshes import load_model
from diffusion2.quaternions import quats_from_matrices, rotation_matrices

from .moving_ball import ball
from .test_glb import KINDS

TURN = rotation_matrices(torch.tensor([0.3, -0.5, 0.7, 0.4])).double().numpy()
ELSEWHERE = ModelFrame(TURN, np.array([0.3, -2.0, 1.0]), 0.04)
PLACED = ExportSettings(frame="model", time=0.5)


@pytest.fixture
def placed_asset(rising_asset: Asset4D) -> Asset4D:
    return replace(rising_asset, metadata=replace(rising_asset.metadata, model_frame=ELSEWHERE))


def covariances(gaussians: Gaussians) -> torch.Tensor:
    axes = rotation_matrices(gaussians.quats) * gaussians.scales[:, None]
    return axes @ axes.mT


def test_gaussians_stand_where_the_model_stood(placed_asset: Asset4D, tmp_path: Path) -> None:
    export(placed_asset, tmp_path / "a.ply", PLACED)
    read, ours = read_splats(tmp_path / "a.ply").gaussians, placed_asset.at(0.5)
    # float32 near 50, which the model's units make of 2
    np.testing.assert_allclose(ELSEWHERE.to_world(read.means.double().numpy()), ours.means, atol=1e-6)
    turn = torch.from_numpy(TURN).float()
    back = turn @ covariances(read) @ turn.T * ELSEWHERE.scale**2
    torch.testing.assert_close(back, covariances(ours), atol=1e-8, rtol=1e-4)


def test_colours_that_depend_on_the_direction_are_turned_along(placed_asset: Asset4D) -> None:
    shN = torch.randn(len(placed_asset.gaussians), 3, 3, generator=torch.Generator().manual_seed(1))
    glossy = replace(placed_asset.gaussians, shN=shN)
    placed = place_gaussians(glossy, PLY_FROM_WORLD, ELSEWHERE)
    assert placed.shN is not None
    # harmonics of degree 1 are a vector (-y, z, -x), which turns as a place does
    vectors = [torch.stack([-sh[:, 2], -sh[:, 0], sh[:, 1]], dim=1) for sh in (shN, placed.shN)]
    turned = torch.einsum("ji,njc->nic", torch.from_numpy(TURN).float(), vectors[0])
    torch.testing.assert_close(vectors[1], turned, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mesh_stands_and_moves_where_the_model_stood(kind: str, tmp_path: Path, ask_node) -> None:
    mesh = ball(24, 32)
    lay_out(mesh, ExportSettings(**KINDS[kind]), model=ELSEWHERE).save(tmp_path / "a.glb")
    model = load_model(tmp_path / "a.glb")
    time = 0.5
    arguments = () if kind == "still" else ("motion", time * 0.5)
    # our reader gives the world's axes; back to the file's own
    positions, normals = (
        turn_points(torch.from_numpy(a).float(), GLTF_FROM_WORLD).numpy() for a in model.pose(*arguments)[0]
    )
    expected = ELSEWHERE.to_model(mesh.at(time).double().numpy())
    # of a size of 20 in the model's units; bones come close, see test_glb.py
    np.testing.assert_allclose(positions, expected, atol=0.005 / 0.04 if kind == "skin" else 1e-4)
    if kind == "still":
        turned = mesh.normals(mesh.at(time)).double().numpy() @ TURN
        np.testing.assert_allclose(normals, turned, atol=1e-5)
    assert ask_node("validate.cjs", "gltf-validator", tmp_path / "a.glb")["issues"]["messages"] == []


@pytest.mark.parametrize("name", ["a.splat", "a.gltf-splats.glb", "a_*.ply"])
def test_every_format_that_heeds_it_is_changed_by_it(name, placed_asset: Asset4D, tmp_path: Path) -> None:
    path = tmp_path / name.replace("*", "000")
    export(placed_asset, tmp_path / name)
    before = path.read_bytes()
    export(placed_asset, tmp_path / name, ExportSettings(frame="model"))
    assert path.read_bytes() != before


def test_what_has_no_other_place_or_no_room_for_it_is_refused(rising_asset, placed_asset, tmp_path) -> None:
    with pytest.raises(InputError, match="neither a 3D model nor a capture"):
        export(rising_asset, tmp_path / "a.ply", PLACED)
    with pytest.raises(InputError, match="frame changes nothing in spz"):  # its steps are 1/4096, of any unit
        export(placed_asset, tmp_path / "a.spz", PLACED)
    assert list(tmp_path.iterdir()) == []


def test_quaternions_come_back_from_rotation_matrices() -> None:
    generator = torch.Generator().manual_seed(0)
    quats = torch.nn.functional.normalize(torch.randn(1000, 4, generator=generator), dim=1)
    half_turns = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0.6, 0.8, 0]])
    quats = torch.cat([quats, half_turns]).double()
    found = quats_from_matrices(rotation_matrices(quats))
    torch.testing.assert_close((found * quats).sum(1).abs(), torch.ones(1005).double())
    assert bool((found[:, 0] >= 0).all())
