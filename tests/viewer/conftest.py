import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationOutput, Gaussians
from diffusion2.gaussians.gaussians import rgb_to_sh0

sys.path.insert(0, str(Path(__file__).parent))  # for what these tests share: chromium.py, pages.py

from chromium import Chromium, find_chromium
from pages import HEIGHT, WIDTH


class Sliding(nn.Module):
    """Everything moves along y by this much from time 0 to time 1."""

    def __init__(self, distance: float) -> None:
        super().__init__()
        self.distance = distance

    def forward(self, means: Tensor, times: Tensor) -> DeformationOutput:
        step = torch.tensor([0.0, self.distance, 0.0])
        translations = (times[:, None, None] * step).expand(-1, len(means), -1)
        rotations = torch.tensor([1.0, 0, 0, 0]).expand(len(times), len(means), 4)
        return DeformationOutput(translations, rotations)


@pytest.fixture(scope="session")
def sliding_asset() -> Asset4D:
    """A red ball with a smaller blue one behind it, as the reference camera sees them; both slide."""
    generator = torch.Generator().manual_seed(0)
    count = 400
    directions = nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    blue = torch.arange(count) % 4 == 0
    means = directions * torch.where(blue, 0.1, 0.2)[:, None]
    means[:, 0] += torch.where(blue, -0.5, 0.1)
    red_rgb, blue_rgb = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])
    gaussians = Gaussians(
        means,
        torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
        torch.full((count, 3), 0.04).log(),
        torch.full((count,), 4.0),
        rgb_to_sh0(torch.where(blue[:, None], blue_rgb, red_rgb)),
    )
    metadata = AssetMetadata(fps=8.0, frames=9, elevation_deg=0.0, radius=2.0, fov_deg=33.8)
    return Asset4D(gaussians, Sliding(0.3), metadata)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("needs Chromium on the PATH (apt-get install chromium)")
    with Chromium(executable, WIDTH, HEIGHT) as chromium:
        yield chromium
