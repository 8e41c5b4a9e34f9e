"""Loading a pair from a folder, and what is said about folders that hold no pair."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file, save_file

from diffusion2.errors import InputError, WeightsError
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.devices import choose_dtype
from diffusion2.priors.mini import WEIGHTS_FILE, load_pair
from diffusion2.priors.patch_autoencoder import PatchAutoencoder

from ..tiny_networks import VAE


def test_a_pair_loads_as_it_was_written(pair_folder: Path) -> None:
    pair = load_pair("mini", pair_folder, precision="float32")
    written = load_file(pair_folder / "video" / WEIGHTS_FILE)
    loaded = pair.video.network.state_dict()
    assert loaded.keys() == written.keys()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in written.items())
    assert not pair.video.network.training
    assert pair.codec.factor == 4
    assert pair.codec.channels == 4
    assert pair.codec.scale == 0.5


def test_the_environment_names_the_folder(pair_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSION2_MINI_WEIGHTS", str(pair_folder))
    assert load_pair().name == "mini"


def test_precision_is_a_choice() -> None:
    assert choose_dtype("float32") == torch.float32
    assert choose_dtype("bfloat16") == torch.bfloat16
    assert choose_dtype("auto") in (torch.float32, torch.bfloat16)


def damage_missing(folder: Path) -> None:
    (folder / "video" / WEIGHTS_FILE).unlink()


def damage_config_missing(folder: Path) -> None:
    (folder / "vae" / "config.json").unlink()


def damage_config_garbage(folder: Path) -> None:
    (folder / "video" / "config.json").write_text("{")


def damage_config_foreign(folder: Path) -> None:
    (folder / "video" / "config.json").write_text(json.dumps({"block_out_channels": [32], "layers": 2}))


def damage_truncated(folder: Path) -> None:
    path = folder / "multiview" / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1000])


def damage_exchanged(folder: Path) -> None:
    (folder / "video" / WEIGHTS_FILE).write_bytes((folder / "multiview" / WEIGHTS_FILE).read_bytes())


def damage_tensor_missing(folder: Path) -> None:
    path = folder / "video" / WEIGHTS_FILE
    tensors = load_file(path)
    del tensors["conv_in.bias"]
    save_file(tensors, path)


def damage_not_finite(folder: Path) -> None:
    path = folder / "vae" / WEIGHTS_FILE
    tensors = load_file(path)
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_missing, "video.*does not exist"),
        (damage_config_missing, "vae.*does not exist"),
        (damage_config_garbage, "not readable as JSON"),
        (damage_config_foreign, "does not describe a SpatioTemporalUNet"),
        (damage_truncated, "multiview.*damaged"),
        (damage_exchanged, r"add_embedding\.linear_1\.weight should be \(128, 48\), is \(128, 80\)"),
        (damage_tensor_missing, r"conv_in\.bias should be \(32,\), is absent"),
        (damage_not_finite, "not finite"),
    ],
)
def test_damage_is_named(pair_folder: Path, damage, said: str) -> None:
    damage(pair_folder)
    with pytest.raises(WeightsError, match=said) as caught:
        load_pair("mini", pair_folder)
    assert "\n" not in str(caught.value)


def test_networks_of_another_latent_space_are_refused(pair_folder: Path) -> None:
    config = json.loads((pair_folder / "video" / "config.json").read_text())
    tensors = load_file(pair_folder / "video" / WEIGHTS_FILE)
    config["out_channels"] = 3
    tensors["conv_out.weight"], tensors["conv_out.bias"] = (
        tensors["conv_out.weight"][:3],
        tensors["conv_out.bias"][:3],
    )
    (pair_folder / "video" / "config.json").write_text(json.dumps(config))
    save_file(tensors, pair_folder / "video" / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match="another pair"):
        load_pair("mini", pair_folder)


def test_a_pair_that_is_not_here_is_refused() -> None:
    with pytest.raises(WeightsError, match="svd-sv3d"):
        load_pair("svd-sv3d")


@pytest.mark.parametrize("part", ["video", "multiview"])
def test_networks_that_are_shown_something_else_are_refused(pair_folder: Path, part: str) -> None:
    config = json.loads((pair_folder / part / "config.json").read_text())
    tensors = load_file(pair_folder / part / WEIGHTS_FILE)
    config["in_channels"] += 1
    tensors["conv_in.weight"] = F.pad(tensors["conv_in.weight"], (0, 0, 0, 0, 0, 1))
    (pair_folder / part / "config.json").write_text(json.dumps(config))
    save_file(tensors, pair_folder / part / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match=f"{part} is of another pair: it takes"):
        load_pair("mini", pair_folder)


def test_the_configuration_says_which_autoencoder_it_is(pair_folder: Path) -> None:
    codec = load_pair("mini", pair_folder).codec
    assert isinstance(codec, LatentCodec)
    assert isinstance(codec.vae, PatchAutoencoder)
    path = pair_folder / "vae" / "config.json"
    config = json.loads(path.read_text())
    for name, said in (("AutoencoderKL", "encoder"), ("AsymmetricAutoencoderKL", "Asymmetric.*, not one of")):
        path.write_text(json.dumps({**config, "_class_name": name}))
        with pytest.raises(WeightsError, match=said):
            load_pair("mini", pair_folder)


def test_shipped_latents_can_be_mirrored() -> None:
    codec = load_pair("mini").codec
    ramps = torch.linspace(0, 1, 128)
    picture = torch.stack(
        [ramps.expand(128, 128), ramps[:, None] * ramps, 1 - ramps.square().expand(128, 128)]
    )
    picture[:, 40:90, 50:70] = torch.tensor([0.9, 0.2, 0.1])[:, None, None]
    picture = torch.cat([picture, ramps.roll(9).expand(1, 128, 128)])  # and alpha
    latents = codec.encode_mode(picture[None])
    expected = codec.encode_mode(picture[None].flip(-1))
    error = (codec.mirror(latents) - expected).square().mean().sqrt()
    assert error < 0.02 * expected.square().mean().sqrt()
    assert (codec.mirror(codec.mirror(latents)) - latents).abs().max() < 0.02 * latents.abs().max()


def test_latents_of_a_convolutional_encoder_are_not_mirrored() -> None:
    with pytest.raises(InputError, match=r"set --sampling\.no-mirror"):
        LatentCodec(AutoencoderKL(**VAE)).mirror(torch.zeros(1, 4, 8, 8))
