import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from diffusion2.cameras import ModelFrame, orbit, turn
from diffusion2.errors import AssetFormatError, ExportError, InputError
from diffusion2.gaussians import (
    Asset4D,
    AssetMetadata,
    DeformationField,
    DeformationSettings,
    Gaussians,
    render,
)
from diffusion2.gaussians.gaussians import rgb_to_sh0, sh0_to_rgb
from diffusion2.gaussians.splats import splats_at, splats_over

METADATA = AssetMetadata(fps=7.0, frames=11, radius=2.5, fov_deg=30.0, elevation_deg=15.0)


def make_gaussians(count: int = 5, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Gaussians(
        0.3 * randn(count, 3), randn(count, 4), randn(count, 3) - 3, randn(count), randn(count, 1, 3)
    )


def make_asset(moving: bool = True, scales: bool = False) -> Asset4D:
    if not moving:
        return Asset4D(make_gaussians(), None, METADATA)
    field = DeformationField(
        DeformationSettings(depth=6, width=8, position_frequencies=2, time_frequencies=2, scales=scales)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        field.head.weight.copy_(torch.randn(field.head.weight.shape, generator=generator))
    return Asset4D(make_gaussians(), field, METADATA)


def header_of(path):
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


@pytest.mark.parametrize(("moving", "scales"), [(True, False), (True, True), (False, False)])
def test_asset_survives_its_file(tmp_path, moving, scales):
    asset = make_asset(moving, scales)
    asset.save(tmp_path / "asset.safetensors")
    loaded = Asset4D.load(tmp_path / "asset.safetensors")
    assert loaded.metadata == METADATA
    for time in (0.0, 0.37, 1.0):
        for name, tensor in asset.at(time).tensors().items():
            # Matrix products may round by where tensors lie in memory.
            torch.testing.assert_close(loaded.at(time).tensors()[name], tensor, atol=1e-6, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["asset.safetensors"]


def test_an_asset_that_says_little_or_more_than_is_known_still_loads(tmp_path):
    make_asset().save(tmp_path / "a.safetensors")
    old = {"fps": 5, "frames": 9, "elevation_deg": 0.0, "radius": 2.0, "fov_deg": 33.8, "mood": "calm"}
    rewrite(tmp_path / "a.safetensors", metadata=json.dumps(old))
    loaded = Asset4D.load(tmp_path / "a.safetensors").metadata
    assert loaded == AssetMetadata(fps=5.0, frames=9, elevation_deg=0.0)
    assert loaded.views is None
    rewrite(tmp_path / "a.safetensors", metadata="{}")
    assert Asset4D.load(tmp_path / "a.safetensors").metadata == AssetMetadata()


def test_where_a_model_stands_survives_the_file(tmp_path):
    frame = ModelFrame(turn(30), np.array([0.0, 1.0, 2.0]), 0.5)
    asset = make_asset()
    replace(asset, metadata=replace(METADATA, model_frame=frame)).save(tmp_path / "a.safetensors")
    found = Asset4D.load(tmp_path / "a.safetensors").metadata.model_frame
    assert found is not None
    assert found.to_dict() == frame.to_dict()


def test_asset_without_deformation_stands_still():
    asset = make_asset(moving=False)
    assert torch.equal(asset.at(0.0).means, asset.at(1.0).means)


def test_asset_moves_with_its_deformation():
    asset = make_asset()
    assert not torch.equal(asset.at(0.0).means, asset.at(1.0).means)
    assert torch.equal(asset.at(0.0).opacities, asset.at(1.0).opacities)


def test_gaussians_may_grow_and_are_drawn_so():
    asset = make_asset(scales=True)
    assert not torch.equal(asset.at(0.0).log_scales, asset.at(1.0).log_scales)
    assert torch.equal(make_asset().at(0.0).log_scales, make_asset().at(1.0).log_scales)
    cameras = orbit(2, height=24)
    at_once = render(asset, cameras, [0.2, 0.9])
    for view, time in enumerate((0.2, 0.9)):
        still = render(Asset4D(asset.at(time)), cameras)
        torch.testing.assert_close(at_once.rgb[view], still.rgb[view], atol=1e-5, rtol=0)
        (splats,) = splats_over(asset, torch.tensor([time]))
        frozen = splats_at(Asset4D(asset.at(time)), 0.0)
        torch.testing.assert_close(splats.covariances, frozen.covariances)


@pytest.mark.parametrize("time", [-0.1, 1.5, float("nan")])
def test_asset_has_no_time_outside_the_sequence(time):
    with pytest.raises(InputError, match=r"a time lies in \[0, 1\]"):
        make_asset().at(time)


def test_missing_file_is_no_asset(tmp_path):
    with pytest.raises(AssetFormatError, match="no such file"):
        Asset4D.load(tmp_path / "asset.safetensors")


def test_folder_is_no_asset(tmp_path):
    with pytest.raises(AssetFormatError):
        Asset4D.load(tmp_path)


def test_foreign_safetensors_is_no_asset(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(AssetFormatError, match="not an asset of diffusion2"):
        Asset4D.load(tmp_path / "other.safetensors")


def rewrite(path, change_tensors=None, **changed):
    """Write an asset's file anew, with other contents but a right checksum."""
    from diffusion2.runs.atomic_tensors import hash_tensors

    header, tensors = header_of(path), load_file(path)
    if change_tensors:
        change_tensors(tensors)
    header = {**header, "checksum": hash_tensors(tensors), **changed}
    save_file(tensors, path, {key: value for key, value in header.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "2"}, "upgrade diffusion2"),
        ({"format_version": "x"}, "not a number"),
        ({"checksum": None}, "checksum"),
        ({"metadata": "{"}, "not an asset this version can read"),
        ({"metadata": "[]"}, "not a table"),
        ({"metadata": None}, "not an asset this version can read"),
        ({"metadata": '{"fps": 0}'}, "its metadata: fps must lie between 0.001 and 10000.0, not 0"),
        ({"metadata": '{"fps": NaN}'}, "fps must lie between"),
        ({"metadata": '{"frames": 2.5}'}, "frames must be a whole number, not 2.5"),
        ({"metadata": '{"frames": true}'}, "frames must be a whole number, not True"),
        ({"metadata": '{"frames": null}'}, "frames must be a whole number, not None"),
        ({"metadata": '{"views": "many"}'}, "views must be a whole number, not 'many'"),
        ({"metadata": '{"model_frame": {"scale": 1}}'}, "no place of a model"),
        ({"deformation": None}, "unexpected tensor"),
        ({"deformation": "{}"}, "deformation's tensor"),
        ({"deformation": '{"depth": 100000}'}, "deformation.depth must lie between 1 and 64"),
        ({"deformation": '{"depth": 1.5}'}, "whole number"),
        ({"deformation": '{"deep": 4}'}, "unknown setting deformation.deep .did you mean depth"),
        ({"deformation": '{"layers": 2}'}, "not an asset this version can read"),
        ({"change_tensors": lambda tensors: tensors.pop("gaussians.sh0")}, "sh0 is missing"),
        (
            {"change_tensors": lambda tensors: tensors.update({"x": torch.zeros(1)})},
            "x is missing, unexpected",
        ),
        ({"change_tensors": lambda tensors: tensors.update({"gaussians.quats": torch.zeros(5, 3)})}, "quats"),
        ({"change_tensors": lambda tensors: tensors["gaussians.means"].fill_(float("nan"))}, "not finite"),
    ],
)
def test_wrong_contents_are_refused_with_one_line(tmp_path, changes, message):
    path = tmp_path / "asset.safetensors"
    make_asset().save(path)
    rewrite(path, **changes)
    with pytest.raises(AssetFormatError, match=message) as caught:
        Asset4D.load(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=50)
@given(position=st.floats(0, 1), value=st.integers(0, 255))
def test_no_changed_byte_goes_unnoticed(tmp_path_factory, position, value):
    path = tmp_path_factory.mktemp("asset") / "asset.safetensors"
    asset = make_asset()
    asset.save(path)
    raw = bytearray(path.read_bytes())
    index = min(int(position * len(raw)), len(raw) - 1)
    raw[index] = value
    path.write_bytes(raw)
    try:
        loaded = Asset4D.load(path)
    except AssetFormatError:
        return
    for name, tensor in asset.gaussians.tensors().items():
        assert torch.equal(tensor, loaded.gaussians.tensors()[name])


@settings(max_examples=50)
@given(length=st.integers(0, 3000))
def test_cut_file_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("asset") / "asset.safetensors"
    make_asset().save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(AssetFormatError):
        Asset4D.load(path)


def test_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(ExportError, match="could not be written"):
        make_asset().save(tmp_path / "missing" / "asset.safetensors")
    (tmp_path / "asset.safetensors").mkdir()
    with pytest.raises(ExportError):
        make_asset().save(tmp_path / "asset.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["asset.safetensors"]


def test_gaussians_refuse_parts_that_do_not_belong_together():
    parts = make_gaussians().tensors()
    with pytest.raises(InputError, match=r"quats of shape \(5, 4\), not \(4, 4\)"):
        Gaussians(**{**parts, "quats": parts["quats"][:4]})


def test_colours_survive_the_harmonics():
    rgb = torch.rand(9, 3)
    # float32 rounding of a division and a multiplication.
    torch.testing.assert_close(sh0_to_rgb(rgb_to_sh0(rgb)), rgb, atol=1e-6, rtol=0)
