import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationOutput, Gaussians
from diffusion2.gaussians.gaussians import rgb_to_sh0

NODE = Path(__file__).parents[1] / "node"


class Rising(nn.Module):
    """Everything moves up by 0.4 from time 0 to time 1."""

    def forward(self, means: Tensor, times: Tensor) -> DeformationOutput:
        translations = (times[:, None, None] * torch.tensor([0.0, 0.0, 0.4])).expand(-1, len(means), -1)
        rotations = torch.tensor([1.0, 0, 0, 0]).expand(len(times), len(means), 4)
        return DeformationOutput(translations, rotations)


@pytest.fixture
def rising_asset() -> Asset4D:
    """A rising red ball beside the axis, on the +y side; the reference camera sees it on the right."""
    generator = torch.Generator().manual_seed(0)
    count = 60
    means = 0.08 * torch.randn(count, 3, generator=generator) + torch.tensor([0.0, 0.35, -0.2])
    gaussians = Gaussians(
        means,
        torch.randn(count, 4, generator=generator),
        torch.full((count, 3), 0.05).log(),
        torch.full((count,), 3.0),
        rgb_to_sh0(torch.tensor([0.9, 0.1, 0.1]).expand(count, 3)),
    )
    metadata = AssetMetadata(fps=8.0, frames=5, elevation_deg=0.0, radius=2.0, fov_deg=33.8)
    return Asset4D(gaussians, Rising(), metadata)  # type: ignore[arg-type]


@pytest.fixture
def small_files(monkeypatch):
    """Let no file grow beyond 2,000 bytes, which the system reports as it does a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def ask_node() -> Callable:
    """Runs a script of tests/node on a file and gives what it prints, as JSON has it."""

    def ask(script: str, package: str, path: Path):
        if shutil.which("node") is None or not (NODE / "node_modules" / package).is_dir():
            pytest.skip(f"needs node and {package} (npm install --prefix tests/node)")
        command = ["node", str(NODE / script), str(path)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return ask


@pytest.fixture
def glossy_asset(rising_asset: Asset4D) -> Asset4D:
    """The rising ball with Gaussians of unequal sizes and colours that depend on the direction."""
    generator = torch.Generator().manual_seed(1)
    count = len(rising_asset.gaussians)
    gaussians = replace(
        rising_asset.gaussians,
        log_scales=torch.empty(count, 3).uniform_(-6, -3, generator=generator),
        opacity_logits=torch.empty(count).uniform_(-3, 3, generator=generator),
        shN=0.2 * torch.randn(count, 8, 3, generator=generator),
    )
    return replace(rising_asset, gaussians=gaussians)
