"""CLIP similarity with a small network of random weights, and what it says where CLIP is not there."""

import shutil
import socket

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

from diffusion2.errors import InputError, WeightsError
from diffusion2.metrics import clip
from diffusion2.metrics.clip import FOLDER_NAME, load_clip, prepare_pictures
from diffusion2.weights.packaged import FOLDER_VARIABLE

SIZE = 64


@pytest.fixture(scope="module")
def model() -> CLIPModel:
    """Text and image encoder, as they are published together."""
    shared = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
    }
    vision = {**shared, "image_size": SIZE, "patch_size": 16}
    text = {**shared, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=16)).eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / FOLDER_NAME
    model.save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)


@pytest.fixture
def no_connections(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def pixels_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def as_images(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def image_processor(size: int):
    """The preprocessing of transformers that needs no torchvision; it has had two names."""
    name = "CLIPImageProcessorPil" if hasattr(transformers, "CLIPImageProcessorPil") else "CLIPImageProcessor"
    return getattr(transformers, name)(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )


@pytest.mark.parametrize("shape", [(512, 512), (64, 64), (200, 301), (333, 100)])
def test_pictures_are_prepared_as_transformers_does(shape):
    pixels = pixels_of(*shape)
    expected = image_processor(224)(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    found = prepare_pictures(as_images(pixels), 224)[0].numpy()
    # One level of 8 bits is 0.015 here: all pixels are the same, normalised in another order.
    assert np.abs(found - expected).max() < 1e-5


def test_the_similarity_is_the_cosine_of_the_models_own_embeddings(model, folder):
    pictures = [pixels_of(90, 70, seed) // (1 + seed) for seed in range(4)]
    processor = image_processor(SIZE)
    with torch.no_grad():
        values = [processor(Image.fromarray(p), return_tensors="pt")["pixel_values"] for p in pictures]
        projected = model.visual_projection(model.vision_model(pixel_values=torch.cat(values)).pooler_output)
    images = as_images(*pictures)
    found = load_clip(folder)(images, images.roll(1, 0))
    expected = torch.nn.functional.cosine_similarity(projected, projected.roll(1, 0))
    assert torch.allclose(found, expected, atol=1e-5)  # float32
    assert (found < 1 - 1e-4).all()


def test_equal_pictures_have_a_similarity_of_one(folder):
    images = as_images(pixels_of(80, 80), pixels_of(80, 80, 1))
    assert torch.allclose(load_clip(folder)(images, images), torch.ones(2), atol=1e-6)  # float32


def test_similarities_do_not_depend_on_what_is_measured_together(folder, monkeypatch):
    similarity = load_clip(folder)
    images = torch.rand(5, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    together = similarity(images, images.flip(0))
    monkeypatch.setattr(clip, "PICTURES_AT_ONCE", 2)
    assert torch.allclose(similarity(images, images.flip(0)), together, atol=1e-6)  # float32


def test_the_folder_of_the_environment_is_used(folder, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder.parent))
    assert load_clip().source == str(folder)


def test_loading_prints_nothing(folder, capfd):
    load_clip(folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_connections")
@pytest.mark.parametrize("source", ["diffusion2-tests/no-such-clip", "/no/such folder"])
def test_a_network_that_is_not_here_is_not_downloaded(source):
    with pytest.raises(WeightsError, match="not in the Hugging Face cache: run `hf download") as caught:
        load_clip(source)
    assert source in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_connections")
def test_a_network_in_the_cache_is_found_by_its_name(folder, tmp_path, monkeypatch):
    stored = tmp_path / "models--diffusion2-tests--clip"
    shutil.copytree(folder, stored / "snapshots" / "0123")
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text("0123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert load_clip("diffusion2-tests/clip").size == SIZE


@pytest.mark.usefixtures("no_connections")
def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="can't load"):
        load_clip(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "of another size"])
def test_a_damaged_folder_is_refused(folder, tmp_path, damage):
    tensors = load_file(folder / "model.safetensors")
    if damage == "missing":
        del tensors["visual_projection.weight"]
    if damage == "of another size":
        tensors["visual_projection.weight"] = torch.zeros(16, 8)
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, {"format": "pt"})
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(WeightsError) as caught:
        load_clip(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("shape", "other"), [((2, 3, 64, 64), (1, 3, 64, 64)), ((3, 64, 64), (3, 64, 64))])
def test_batches_that_are_not_pairs_of_pictures_are_refused(folder, shape, other):
    with pytest.raises(InputError, match="CLIP compares"):
        load_clip(folder)(torch.zeros(shape), torch.zeros(other))
