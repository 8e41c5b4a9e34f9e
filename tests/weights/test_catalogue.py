"""What is found where, and what is said about what is not."""

import json
from pathlib import Path

import pytest

from diffusion2.errors import WeightsError
from diffusion2.weights import catalogue as weights
from diffusion2.weights.catalogue import (
    FOLDER_VARIABLE,
    HASHES_NAME,
    MINI_VARIABLE,
    SV3D,
    SVD,
    SVD_PARTS,
    check_available,
    choose_preset,
    find_full_size,
    full_size_paths,
    list_weights,
    missing_parts,
    network_files,
    noted_hash,
    weights_hashes,
)


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """Let no weights that this machine may have be found."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in (FOLDER_VARIABLE, SVD.variable, SV3D.variable):
        monkeypatch.delenv(name, raising=False)


def write_svd(folder: Path, parts=SVD_PARTS) -> Path:
    """Write what is looked for by name: contents matter to `weights check` alone."""
    for part in parts:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text("{}")
        (folder / part / "model.fp16.safetensors").write_bytes(b"x")
    return folder


def write_pair(folder: Path) -> Path:
    write_svd(folder / "svd_xt")
    (folder / "sv3d_p.safetensors").write_bytes(b"y")
    return folder


def write_snapshot(cache: Path, hub_id: str) -> Path:
    model = cache / f"models--{hub_id.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("abc")
    (model / "snapshots" / "abc").mkdir(parents=True)
    return model / "snapshots" / "abc"


def test_missing_mini_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv(MINI_VARIABLE, str(tmp_path))
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "a.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="video, multiview in") as caught:
        check_available("mini")
    assert str(tmp_path) in str(caught.value)
    assert set(weights_hashes("mini")) == {"vae/a.safetensors"}


def test_the_full_size_pair_says_what_is_missing_and_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match=r"SVD-XT and SV3D_p .* weights fetch.*--preset mini") as caught:
        check_available("svd-sv3d")
    assert "https://huggingface.co/stabilityai/sv3d" in str(caught.value)
    (tmp_path / "sv3d_p.safetensors").write_bytes(b"y")
    with pytest.raises(WeightsError, match=r"weights of SVD-XT are not here, in"):
        check_available("svd-sv3d", tmp_path)


def test_an_incomplete_folder_is_named_with_what_it_lacks(tmp_path):
    write_svd(tmp_path / "svd_xt", ("unet", "vae"))
    assert missing_parts(SVD, tmp_path / "svd_xt") == [
        "image_encoder/config.json",
        "image_encoder/*.safetensors",
    ]
    with pytest.raises(WeightsError, match=r"svd_xt lacks image_encoder/config.json"):
        full_size_paths(tmp_path)


def test_weights_are_found_in_a_folder_that_an_option_or_the_environment_names(tmp_path, monkeypatch):
    folder = write_pair(tmp_path / "weights")
    expected = (folder / "svd_xt", folder / "sv3d_p.safetensors")
    assert full_size_paths(folder) == expected
    assert find_full_size(SVD) is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    assert full_size_paths() == expected
    with pytest.raises(WeightsError):
        full_size_paths(tmp_path)  # an option goes before the environment


def test_a_variable_of_its_own_names_a_model_by_path_or_by_id(tmp_path, monkeypatch):
    other = write_svd(tmp_path / "mine")
    monkeypatch.setenv(FOLDER_VARIABLE, str(write_pair(tmp_path / "weights")))
    monkeypatch.setenv(SVD.variable, str(other))
    assert find_full_size(SVD) == other
    monkeypatch.setenv(SVD.variable, "someone/svd-copy")
    assert find_full_size(SVD) is None
    snapshot = write_svd(write_snapshot(tmp_path / "hub", "someone/svd-copy"))
    assert find_full_size(SVD) == snapshot
    assert SVD.page == "https://huggingface.co/someone/svd-copy"


def test_weights_are_found_in_the_hubs_cache(tmp_path):
    svd = write_svd(write_snapshot(tmp_path / "hub", SVD.hub_id))
    sv3d = write_snapshot(tmp_path / "hub", SV3D.hub_id)
    assert find_full_size(SVD) == svd
    assert find_full_size(SV3D) is None
    (sv3d / "sv3d_p.safetensors").write_bytes(b"y")
    assert full_size_paths() == (svd, sv3d / "sv3d_p.safetensors")


def test_what_the_hubs_cache_lacks_is_named(tmp_path):
    snapshot = write_svd(write_snapshot(tmp_path / "hub", SVD.hub_id), ("unet", "vae"))
    with pytest.raises(WeightsError, match=r"lacks image_encoder/config.json") as caught:
        full_size_paths()
    assert str(snapshot) in str(caught.value)


def test_full_precision_goes_before_half_and_one_file_before_several(tmp_path):
    with pytest.raises(WeightsError, match=r"no .safetensors file"):
        network_files(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "part-1", "b": "part-2"}})
    )
    with pytest.raises(WeightsError, match=r"names part-1, which does not exist"):
        network_files(tmp_path)
    for name in ("part-1", "part-2"):
        (tmp_path / name).write_bytes(b"x")
    assert network_files(tmp_path) == [tmp_path / "part-1", tmp_path / "part-2"]
    (tmp_path / "model.fp16.safetensors").write_bytes(b"x")
    assert network_files(tmp_path) == [tmp_path / "model.fp16.safetensors"]
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert network_files(tmp_path) == [tmp_path / "model.safetensors"]


def test_hashes_of_the_full_size_pair_are_by_part(tmp_path):
    hashes = weights_hashes("svd-sv3d", write_pair(tmp_path))
    assert set(hashes) == {
        *(f"video (SVD-XT)/{part}/model.fp16.safetensors" for part in SVD_PARTS),
        "multiview (SV3D_p)/sv3d_p.safetensors",
    }


def test_the_hash_that_the_hub_named_is_found(tmp_path):
    blob = tmp_path / "blobs" / ("a" * 64)
    blob.parent.mkdir()
    blob.write_bytes(b"x")
    (tmp_path / "linked").symlink_to(blob)
    assert noted_hash(tmp_path / "linked") == "a" * 64
    file = tmp_path / "svd_xt" / "unet" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    assert noted_hash(file) is None
    (tmp_path / "svd_xt" / HASHES_NAME).write_text(json.dumps({"unet/model.safetensors": "b" * 64}))
    assert noted_hash(file) == "b" * 64
    assert noted_hash(tmp_path / "svd_xt" / "vae" / "model.safetensors") is None


def test_every_network_is_listed():
    assert [entry.pair for entry in list_weights()] == ["mini"] * 4 + ["svd-sv3d"] * 2


@pytest.mark.parametrize(
    ("has_weights", "gpu", "preset", "said"),
    [
        (False, (80e9, ""), "mini", "are not here"),
        (True, (0, "there is no GPU that CUDA can use"), "mini", "here, but there is no GPU"),
        (True, (8e9, ""), "mini", "wants 20 GB of a GPU's memory, this one has 8"),
        (True, (80e9, ""), "paper", "a GPU with 80 GB"),
    ],
)
def test_the_preset_is_what_weights_and_gpu_allow(tmp_path, monkeypatch, has_weights, gpu, preset, said):
    monkeypatch.setattr(weights, "gpu_memory", lambda: gpu)
    folder = write_pair(tmp_path / "weights") if has_weights else tmp_path
    name, reason = choose_preset(folder)
    assert name == preset
    assert said in reason
