"""Gaussians as KHR_gaussian_splatting, read back by three.js, Khronos' validator, trimesh, and by hand."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2 import ExportSettings, export
from diffusion2.exporters.axes import GLTF_FROM_WORLD, turn_gaussians
from diffusion2.gaussians import Asset4D, Gaussians
from diffusion2.quaternions import rotation_matrices

EXTENSION = "KHR_gaussian_splatting"


@pytest.fixture
def written(glossy_asset: Asset4D, tmp_path: Path) -> tuple[Path, Gaussians]:
    """The file, and what it should hold."""
    export(glossy_asset, tmp_path / "a.gltf-splats.glb", ExportSettings(time=0.5))
    return tmp_path / "a.gltf-splats.glb", turn_gaussians(glossy_asset.at(0.5), GLTF_FROM_WORLD)


def read_by_hand(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The only primitive of a file, and its attributes, by glTF's layout alone; all are float32."""
    data = path.read_bytes()
    magic, version, size, length, _ = struct.unpack_from("<4sIIII", data)
    assert (magic, version, size) == (b"glTF", 2, len(data))
    content = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    assert content["extensionsUsed"][0] == EXTENSION
    ((primitive,),) = [mesh["primitives"] for mesh in content["meshes"]]
    values = {}
    for name, number in primitive["attributes"].items():
        accessor = content["accessors"][number]
        assert accessor["componentType"] == 5126
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = content["bufferViews"][accessor["bufferView"]]["byteOffset"]
        values[name] = np.frombuffer(binary, "<f4", accessor["count"] * width, start).reshape(-1, width)
    return primitive, values


def test_attributes_are_those_of_the_extension(written) -> None:
    path, expected = written
    primitive, values = read_by_hand(path)
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION] == {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    w, x, y, z = expected.quats.T
    np.testing.assert_array_equal(values[f"{EXTENSION}:ROTATION"], torch.stack([x, y, z, w], dim=1))
    np.testing.assert_allclose(np.linalg.norm(values[f"{EXTENSION}:ROTATION"], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(values[f"{EXTENSION}:SCALE"], expected.log_scales.exp(), rtol=1e-6)
    np.testing.assert_allclose(values[f"{EXTENSION}:OPACITY"][:, 0], expected.opacity_logits.sigmoid())
    np.testing.assert_array_equal(values[f"{EXTENSION}:SH_DEGREE_0_COEF_0"], expected.sh0[:, 0])
    names = [f"{EXTENSION}:SH_DEGREE_1_COEF_{n}" for n in range(3)]
    names += [f"{EXTENSION}:SH_DEGREE_2_COEF_{n}" for n in range(5)]
    assert expected.shN is not None
    np.testing.assert_array_equal(np.stack([values[name] for name in names], axis=1), expected.shN)
    assert len(values) == 6 + 8


def test_the_fallback_of_points_is_the_colour_in_linear_light(written) -> None:
    path, expected = written
    colours = read_by_hand(path)[1]["COLOR_0"]
    seen = np.where(
        colours[:, :3] <= 0.0031308, 12.92 * colours[:, :3], 1.055 * colours[:, :3] ** (1 / 2.4) - 0.055
    )
    np.testing.assert_allclose(seen, expected.colors, atol=1e-4)  # two constants of sRGB are rounded
    np.testing.assert_allclose(colours[:, 3], expected.opacities, atol=1e-6)


def test_three_js_reads_the_same_gaussians_in_the_same_order(written, ask_node) -> None:
    path, expected = written
    (read,) = ask_node("read_splats.mjs", "three", path)
    np.testing.assert_array_equal(np.reshape(read["position"], (-1, 3)), expected.means)
    axes = rotation_matrices(expected.quats) * expected.scales[:, None]
    rows, columns = np.triu_indices(3)
    covariances = (axes @ axes.mT)[:, rows, columns]
    np.testing.assert_allclose(np.reshape(read["covariance"], (-1, 6)), covariances, atol=1e-8)
    seen = torch.cat([expected.colors, expected.opacities[:, None]], dim=1)
    np.testing.assert_allclose(np.reshape(read["color"], (-1, 4)) / 255, seen, atol=0.51 / 255)
    assert {"sphericalHarmonics1", "sphericalHarmonics2"} <= read.keys()


def test_the_validator_finds_nothing_but_an_extension_that_it_does_not_know(written, ask_node) -> None:
    """Its newest version, 2.0.0-dev.3.10, takes the colon in the extension's attributes for a fault."""
    report = ask_node("validate.cjs", "gltf-validator", written[0])
    for message in report["issues"]["messages"]:
        named = f"/attributes/{EXTENSION}:" in message["pointer"]
        assert message["code"] == ("MESH_PRIMITIVE_INVALID_ATTRIBUTE" if named else "UNSUPPORTED_EXTENSION")
    assert report["info"]["totalVertexCount"] == len(written[1])


def test_a_program_without_the_extension_shows_points(written) -> None:
    import trimesh

    cloud = trimesh.load(written[0]).to_geometry()
    np.testing.assert_allclose(cloud.vertices, written[1].means, atol=1e-6)


def test_as_splats_says_it_of_a_plain_suffix(rising_asset: Asset4D, tmp_path: Path) -> None:
    export(rising_asset, tmp_path / "a.glb", name="splats")
    assert read_by_hand(tmp_path / "a.glb")[1]["POSITION"].shape == (60, 3)
