"""The release's resize, against numbers of kornia 0.9: its resize, bicubic, corners aligned, antialiased.

`antialiased_resize.npz` holds what became of `picture(height, width)` at sizes `{height}x{width}to{size}`.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion2.priors.antialiased_resize import resize_antialiased

NUMBERS = Path(__file__).parent / "fixtures" / "antialiased_resize.npz"


def picture(height: int, width: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).rand(1, 3, height, width))


@pytest.mark.parametrize("name", np.load(NUMBERS).files)
def test_pictures_are_resized_as_in_the_release(name: str) -> None:
    match = re.fullmatch(r"(\d+)x(\d+)to(\d+)", name)
    assert match
    height, width, size = (int(number) for number in match.groups())
    expected = torch.from_numpy(np.load(NUMBERS)[name])
    got = resize_antialiased(picture(height, width), size)[0]
    # float64, stored as float32
    assert (got - expected).abs().max() <= 1e-6


def test_a_constant_picture_stays_constant() -> None:
    grey = torch.full((1, 3, 90, 70), 0.25)
    assert torch.allclose(resize_antialiased(grey, 24), torch.tensor(0.25), atol=1e-6)
