"""LPIPS against known numbers."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2.errors import WeightsError
from diffusion2.evaluation.lpips import LPIPS, _ArraysOnly, load_lpips

METRICS = Path(__file__).parents[3] / "shared" / "metrics"


def _picture(name: str) -> torch.Tensor:
    pixels = np.asarray(Image.open(METRICS / name).convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def test_known_distances_are_reproduced():
    if not METRICS.is_dir():
        pytest.skip("needs the optional folder ../shared/metrics")
    try:
        network = load_lpips()
    except WeightsError as error:
        pytest.skip(str(error))
    known = json.loads((METRICS / "lpips.json").read_text())["alexnet"]
    for name, expected in known.items():
        distance = float(network(_picture("ex_ref.png"), _picture(f"ex_{name}.png")))
        assert distance == pytest.approx(expected, abs=2e-6)  # the known numbers have six digits


def test_a_picture_is_at_no_distance_from_itself():
    generator = torch.Generator().manual_seed(0)
    shapes = [(64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3)]
    kernels = [torch.randn(shape, generator=generator) / 30 for shape in shapes]
    heads = [torch.rand(shape[0], 1, 1, generator=generator) for shape in shapes]
    network = LPIPS(kernels, [torch.zeros(shape[0]) for shape in shapes], heads)
    a, b = torch.rand(2, 3, 64, 64, generator=generator).split(1)
    assert float(network(a, a)) == 0
    assert float(network(a, b)) > 0


def test_a_foreign_weight_file_is_refused(tmp_path):
    (tmp_path / "alexnet.ckpt").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256"):
        load_lpips(tmp_path / "alexnet.ckpt")


def test_only_arrays_can_be_unpickled(tmp_path):
    (tmp_path / "evil").write_bytes(pickle.dumps(pytest.raises))
    with (tmp_path / "evil").open("rb") as file, pytest.raises(WeightsError, match="not a numpy array"):
        _ArraysOnly(file).load()
