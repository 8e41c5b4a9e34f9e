import pytest

from diffusion2.errors import WeightsError
from diffusion2.weights import MINI_VARIABLE, check_available, choose_preset, list_weights, weights_hashes


def test_missing_mini_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv(MINI_VARIABLE, str(tmp_path))
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "a.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="video, multiview in") as caught:
        check_available("mini")
    assert str(tmp_path) in str(caught.value)
    assert set(weights_hashes("mini")) == {"vae/a.safetensors"}


def test_the_full_size_pair_says_that_it_is_missing_and_what_to_do():
    with pytest.raises(WeightsError, match="--preset mini"):
        check_available("svd-sv3d")


def test_every_network_is_listed_and_the_chosen_preset_says_why():
    assert [entry.pair for entry in list_weights()].count("mini") == 3
    name, reason = choose_preset()
    assert name == "mini"
    assert reason
