"""Loading SVD-XT and SV3D_p from the layouts in which they come, with tiny networks of random weights."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffusion2.cameras import orbit
from diffusion2.errors import WeightsError
from diffusion2.priors.clip_image_encoder import MEAN, STD, ClipImageEncoder
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.full_size import load_full_size, read_sv3d, read_svd
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.stored_network import StoredNetwork

from .full_size_files import CONFIGS, UNET, FullSizeFiles

ROUNDING = 2e-5  # of the largest number: float32 sums in another order, through all layers


@pytest.fixture(scope="module")
def made() -> FullSizeFiles:
    return FullSizeFiles()


@pytest.fixture(scope="module")
def place(made: FullSizeFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full_size")
    made.write_svd_file(folder / "svd_xt.safetensors")
    made.write_sv3d_file(folder / "sv3d_p.safetensors")
    made.write_svd_folder(folder / "svd_xt")
    return folder


def error(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.abs().max())


def load_parts(parts: dict[str, StoredNetwork]) -> dict:
    return {name: stored.load() for name, stored in parts.items()}


@pytest.fixture(scope="module")
def parts(place: Path) -> dict:
    return load_parts(read_svd(place / "svd_xt.safetensors", CONFIGS))


def test_condition_latents_are_the_releases(parts: dict, made: FullSizeFiles) -> None:
    pictures = torch.rand(3, 3, 32, 48)
    got = LatentCodec(parts["vae"]).encode_mode(pictures)
    assert error(got, made.condition_encoder(pictures * 2 - 1)) <= ROUNDING


def test_decoded_pictures_are_the_releases(parts: dict, made: FullSizeFiles) -> None:
    latents = torch.randn(7, 4, 8, 12)
    got = LatentCodec(parts["vae"], batch_size=4).decode(latents)
    by_chunks = [made.decoder(chunk / 0.18215) for chunk in latents.split(4)]
    assert error(got, ((torch.cat(by_chunks) + 1) / 2).clamp(0, 1)) <= ROUNDING


def test_embeddings_are_the_releases(parts: dict, made: FullSizeFiles) -> None:
    pictures = torch.rand(3, 3, 28, 28)  # as large as the encoder wants them: resizing has its own test
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    got = ClipImageEncoder(parts["image_encoder"], batch_size=2)(pictures, torch.empty(0))
    assert got.shape == (3, 1, 24)
    assert error(got[:, 0], made.vision((pictures - mean) / std)) <= ROUNDING


def test_networks_in_released_files_are_those_of_diffusers(parts: dict, place: Path, made) -> None:
    multiview = read_sv3d(place / "sv3d_p.safetensors", UNET).load()
    for loaded, written in ((parts["unet"], made.video), (multiview, made.multiview)):
        got, expected = loaded.state_dict(), written.state_dict()
        assert got.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in got.items())


def test_a_folder_of_diffusers_holds_the_same(parts: dict, place: Path) -> None:
    for name, network in load_parts(read_svd(place / "svd_xt")).items():
        state = parts[name].state_dict()
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[key].half().float()), key


def test_weights_in_several_files_are_found_by_their_index(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "svd_xt", tmp_path / "svd")
    unet = tmp_path / "svd" / "unet"
    tensors = load_file(unet / "diffusion_pytorch_model.fp16.safetensors")
    (unet / "diffusion_pytorch_model.fp16.safetensors").unlink()
    names = sorted(tensors)
    index = {}
    for part, keys in enumerate((names[::2], names[1::2]), 1):
        file = f"diffusion_pytorch_model.fp16-0000{part}-of-00002.safetensors"
        save_file({key: tensors[key] for key in keys}, unet / file)
        index |= dict.fromkeys(keys, file)
    index_path = unet / "diffusion_pytorch_model.safetensors.index.fp16.json"
    index_path.write_text(json.dumps({"weight_map": index}))
    loaded = read_svd(tmp_path / "svd")["unet"].load()
    assert all(torch.equal(t, tensors[name].float()) for name, t in loaded.state_dict().items())
    (unet / file).unlink()
    with pytest.raises(WeightsError, match=r"00002-of-00002.safetensors, which does not exist"):
        read_svd(tmp_path / "svd")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_matrices_are_narrow_and_norms_are_not(place: Path, dtype: torch.dtype) -> None:
    pair = load_full_size(place / "svd_xt", place / "sv3d_p.safetensors", dtype=dtype)
    network = pair.multiview.network
    assert network.conv_in.weight.dtype == dtype
    assert network.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q.weight.dtype == dtype
    assert network.conv_norm_out.weight.dtype == torch.float32
    assert not any(p.requires_grad or p.is_meta for p in network.parameters())
    assert pair.codec.vae.dtype == pair.video.encoder.network.dtype == torch.float32
    assert (pair.codec.factor, pair.codec.channels, pair.codec.scale) == (2, 4, 0.18215)


def test_a_pair_in_released_files_alone_needs_no_configuration(tmp_path: Path, made: FullSizeFiles) -> None:
    """The configuration is that of the full size, so tiny networks are refused, by their first parameters."""
    svd, sv3d = (
        made.write_svd_file(tmp_path / "a.safetensors"),
        made.write_sv3d_file(tmp_path / "b.safetensors"),
    )
    with pytest.raises(
        WeightsError, match=r"the network of SVD-XT: add_embedding.linear_1.bias should be \(1280,"
    ):
        load_full_size(svd, sv3d)


def truncate(place: Path) -> None:
    path = place / "sv3d_p.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def exchange(place: Path) -> None:
    shutil.copy(place / "svd_xt.safetensors", place / "sv3d_p.safetensors")


def lose_part(place: Path) -> None:
    shutil.rmtree(place / "svd_xt" / "image_encoder")


def lose_tensor(place: Path) -> None:
    path = place / "sv3d_p.safetensors"
    tensors = load_file(path)
    del tensors["model.diffusion_model.out.2.bias"]
    save_file(tensors, path)


def rename_tensor(place: Path) -> None:
    path = place / "sv3d_p.safetensors"
    tensors = load_file(path)
    tensors["model.diffusion_model.out.7.bias"] = tensors.pop("model.diffusion_model.out.2.bias")
    save_file(tensors, path)


def not_finite(place: Path) -> None:
    path = place / "sv3d_p.safetensors"
    tensors = load_file(path)
    tensors["model.diffusion_model.out.2.bias"] *= 1e30
    save_file(tensors, path)


def other_file(place: Path) -> None:
    save_file({"lora.up.weight": torch.zeros(2)}, place / "sv3d_p.safetensors")


def text_file(place: Path) -> None:
    (place / "sv3d_p.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def other_vector(place: Path) -> None:
    shutil.copytree(place / "svd_xt" / "unet", place / "sv3d" / "unet")
    (place / "sv3d_p.safetensors").unlink()
    (place / "sv3d").rename(place / "sv3d_p.safetensors")


def other_embeddings(place: Path) -> None:
    path = place / "svd_xt" / "image_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "projection_dim": 30}))


def only_pickles(place: Path) -> None:
    path = place / "svd_xt" / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    path.rename(path.with_suffix(".bin"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, r"sv3d_p.safetensors is damaged"),
        (exchange, r"SV3D_p: add_embedding.linear_1.weight should be \(128, 80\), is \(128, 48\)"),
        (lose_part, r"image_encoder.config.json does not exist"),
        (lose_tensor, r"conv_out.bias should be \(4,\), is absent"),
        (rename_tensor, r"out.7.bias' is no parameter"),
        (not_finite, r"not finite as torch.float16: conv_out.bias"),
        (other_file, r"not a released checkpoint"),
        (text_file, r"sv3d_p.safetensors is damaged or not a safetensors file"),
        (other_vector, r"is not SV3D_p: its added vector has 48 numbers, SV3D_p's 80"),
        (other_embeddings, r"of another pair: it works on 4 channels and embeddings of 24"),
        (only_pickles, r"diffusion_pytorch_model.fp16.bin, a pickle"),
    ],
)
def test_damage_is_named(place: Path, tmp_path: Path, damage, said: str) -> None:
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    damage(tmp_path)
    with pytest.raises(WeightsError, match=said) as caught:
        load_full_size(tmp_path / "svd_xt", tmp_path / "sv3d_p.safetensors", dtype=torch.float16)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
@pytest.mark.parametrize("offload", [False, True])
def test_a_gpu_gives_what_the_cpu_gives(place: Path, offload: bool) -> None:
    outputs = []
    for device in ("cpu", "cuda"):
        pair = load_full_size(place / "svd_xt", place / "sv3d_p.safetensors", device=device, offload=offload)
        pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        condition = pair.multiview.prepare(pictures, orbit(4, 10.0), Guidance(constant_scale(4, 2.5)))
        latents = torch.randn(2, 4, 4, 16, 16, generator=torch.Generator().manual_seed(1))
        denoised = pair.multiview.denoise(latents, 1.5, condition)
        assert denoised.device.type == "cpu"
        outputs.append((denoised, pair.codec.decode(denoised[0])))
    for cpu, gpu in zip(*outputs, strict=True):
        assert error(gpu, cpu) <= 1e-2  # a GPU's float32 products may keep ten bits
