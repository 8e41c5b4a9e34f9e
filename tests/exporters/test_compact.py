"""Compact formats of Gaussians: what comes back differs by their rounding and by nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2 import ExportSettings, export
from diffusion2.exporters.axes import GLTF_FROM_WORLD, PLY_FROM_WORLD, turn_gaussians
from diffusion2.gaussians import Asset4D, Gaussians


def same_rotations(read: np.ndarray, expected: torch.Tensor, atol: float) -> None:
    read = read / np.linalg.norm(read, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs((read * expected.numpy()).sum(1)), 1, atol=atol)


def check_gsply_data(read, expected: Gaussians, tolerances: dict[str, float]) -> None:
    """Compare in the same order; logits by the opacities that they are."""
    np.testing.assert_allclose(read.means, expected.means, atol=tolerances["means"])
    np.testing.assert_allclose(read.scales, expected.log_scales, atol=tolerances["scales"])
    opacities = 1 / (1 + np.exp(-np.asarray(read.opacities).reshape(-1)))
    np.testing.assert_allclose(opacities, expected.opacities, atol=0.6 / 255)  # steps of 1/255
    np.testing.assert_allclose(np.asarray(read.sh0), expected.sh0[:, 0], atol=tolerances["sh0"])
    np.testing.assert_allclose(np.asarray(read.shN), expected.shN, atol=tolerances["shN"])
    same_rotations(np.asarray(read.quats), expected.quats, tolerances["quats"])


def test_a_splat_file_is_32_bytes_a_gaussian(glossy_asset: Asset4D, tmp_path: Path) -> None:
    export(glossy_asset, tmp_path / "a.splat", ExportSettings(time=0.5))
    words = np.fromfile(tmp_path / "a.splat", "<f4").reshape(-1, 8)
    octets = np.fromfile(tmp_path / "a.splat", np.uint8).reshape(-1, 32)
    expected = turn_gaussians(glossy_asset.at(0.5), PLY_FROM_WORLD)
    np.testing.assert_array_equal(words[:, :3], expected.means)
    np.testing.assert_allclose(words[:, 3:6], expected.scales, rtol=1e-6)
    np.testing.assert_allclose(octets[:, 24:27] / 255, expected.colors, atol=0.51 / 255)
    np.testing.assert_allclose(octets[:, 27] / 255, expected.opacities, atol=0.51 / 255)
    # Steps of 1/128 in four numbers: up to 0.008 off in length, half of its square in the cosine.
    same_rotations((octets[:, 28:].astype(np.float32) - 128) / 128, expected.quats, atol=1e-4)


def test_compressed_ply_comes_back_in_order(glossy_asset: Asset4D, tmp_path: Path) -> None:
    gsply = pytest.importorskip("gsply", reason="needs pip install 'diffusion2[splats]'")
    export(glossy_asset, tmp_path / "a.compressed.ply", ExportSettings(time=0.5))
    header = (tmp_path / "a.compressed.ply").read_bytes().partition(b"end_header")[0]
    assert b"packed_position" in header
    expected = turn_gaussians(glossy_asset.at(0.5), PLY_FROM_WORLD)
    # 11, 10 and 11 bits of a chunk's extent (0.5; 3 for the logarithms), 8 bits of a colour and
    # of a harmonic, 10 bits of a quaternion's smaller numbers.
    tolerances = {"means": 5e-4, "scales": 3e-3, "sh0": 0.008, "shN": 0.02, "quats": 1e-5}
    check_gsply_data(gsply.plyread(str(tmp_path / "a.compressed.ply")), expected, tolerances)


@pytest.mark.parametrize("version", [3, 4])
def test_spz_comes_back_in_order_in_the_axes_of_its_specification(glossy_asset, tmp_path, version) -> None:
    gsply = pytest.importorskip("gsply", reason="needs pip install 'diffusion2[splats]'")
    export(glossy_asset, tmp_path / "a.spz", ExportSettings(time=0.5, spz_version=version))
    expected = turn_gaussians(glossy_asset.at(0.5), GLTF_FROM_WORLD)
    x, y, z = glossy_asset.at(0.5).means.T
    np.testing.assert_allclose(expected.means, torch.stack([y, z, x], dim=1), atol=1e-6)
    # Steps of 2**-12 in places, of 1/16 in logarithms, of 1/38 in colours, of 1/8 at most in harmonics (the
    # writer keeps 1/16 or 1/32), of 9 bits in a quaternion's smaller numbers.
    tolerances = {"means": 1.3e-4, "scales": 0.032, "sh0": 0.014, "shN": 0.07, "quats": 1e-5}
    check_gsply_data(gsply.read_spz(str(tmp_path / "a.spz")), expected, tolerances)
