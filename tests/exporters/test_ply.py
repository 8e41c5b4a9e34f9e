"""Gaussians as PLY, read back by gsply, by trimesh, and by our own input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2 import ExportSettings, export
from diffusion2.cameras import ModelFrame, make_cameras
from diffusion2.exporters.axes import GLTF_FROM_WORLD, PLY_FROM_WORLD, turn_points
from diffusion2.gaussians import Asset4D, render
from diffusion2.inputs.models.splats import read_splats, render_splats


@pytest.fixture
def glossy_asset(rising_asset: Asset4D) -> Asset4D:
    """The rising ball with a colour that depends on the direction, up to degree 2."""
    shN = 0.2 * torch.randn(len(rising_asset.gaussians), 8, 3, generator=torch.Generator().manual_seed(1))
    return replace(rising_asset, gaussians=replace(rising_asset.gaussians, shN=shN))


def test_the_axes_are_those_of_gltf_and_of_trained_gaussians() -> None:
    point = torch.tensor([1.0, 2.0, 3.0])
    assert turn_points(point, GLTF_FROM_WORLD).tolist() == [2, 3, 1]
    assert turn_points(point, PLY_FROM_WORLD).tolist() == [-2, -3, 1]


def test_gsply_reads_what_was_written_in_the_same_order(glossy_asset: Asset4D, tmp_path: Path) -> None:
    gsply = pytest.importorskip("gsply", reason="needs gsply (the extra dev)")
    export(glossy_asset, tmp_path / "a.ply", ExportSettings(time=0.5))
    read, ours = gsply.plyread(str(tmp_path / "a.ply")), glossy_asset.at(0.5)
    x, y, z = ours.means.T
    np.testing.assert_array_equal(read.means, torch.stack([-y, -z, x], dim=1))
    np.testing.assert_array_equal(read.scales, ours.log_scales)
    np.testing.assert_array_equal(read.opacities.reshape(-1), ours.opacity_logits)
    np.testing.assert_array_equal(np.asarray(read.sh0).reshape(-1, 3), ours.sh0[:, 0])
    assert np.asarray(read.shN).shape == (len(ours), 8, 3)


def test_trimesh_reads_the_places(rising_asset: Asset4D, tmp_path: Path) -> None:
    import trimesh

    export(rising_asset, tmp_path / "a.ply", ExportSettings(time=1.0))
    cloud = trimesh.load(tmp_path / "a.ply")
    expected = turn_points(rising_asset.at(1.0).means, PLY_FROM_WORLD)
    np.testing.assert_allclose(cloud.vertices, expected, atol=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize("pad_sh", [False, True])
def test_read_back_as_an_input_it_looks_the_same_from_everywhere(
    glossy_asset, tmp_path: Path, pad_sh
) -> None:
    """Its rotations and its colours from each direction are those of the asset, whatever the axes."""
    export(glossy_asset, tmp_path / "a.ply", ExportSettings(time=0.25, pad_sh=pad_sh))
    splats = read_splats(tmp_path / "a.ply")
    assert splats.gaussians.shN is not None
    assert splats.gaussians.shN.shape[1] == (15 if pad_sh else 8)
    to_world = turn_points(torch.eye(3), PLY_FROM_WORLD).numpy()
    cameras = make_cameras([0.0, 130.0], [20.0, -40.0], height=64)
    seen = render_splats(splats, ModelFrame(to_world, np.zeros(3), 1.0), cameras)
    for view in range(2):
        expected = render(glossy_asset, cameras[view], 0.25, background=0.0)
        alpha = seen[view, ..., 3:] / 255
        # Steps of 1/255 in colour and in alpha; and the reader's anti-aliasing.
        np.testing.assert_allclose(alpha, expected.alpha[0], atol=0.02)
        np.testing.assert_allclose(seen[view, ..., :3] / 255 * alpha, expected.rgb[0], atol=0.02)


def test_padding_writes_45_harmonics_and_none_are_written_where_there_are_none(
    rising_asset, tmp_path
) -> None:
    for pad_sh, count in ((False, 0), (True, 45)):
        export(rising_asset, tmp_path / "a.ply", ExportSettings(pad_sh=pad_sh))
        header = (tmp_path / "a.ply").read_bytes().partition(b"end_header")[0]
        assert header.count(b"f_rest_") == count


def test_a_sequence_has_one_order_and_the_motion(rising_asset: Asset4D, tmp_path: Path) -> None:
    export(rising_asset, tmp_path / "run", name="ply")
    paths = sorted((tmp_path / "run").iterdir())
    assert [path.name for path in paths] == [f"frame_{k:03d}.ply" for k in range(5)]
    places = [read_splats(path).gaussians.means for path in paths]
    for k, means in enumerate(places):
        # Up is -y in these files; 0.4 in four steps.
        torch.testing.assert_close(means - places[0], torch.tensor([0, -0.1 * k, 0]).expand_as(means))
