"""What tells made pictures from true ones, and teaches the lifter so."""

import pytest
import torch

from diffusion2.metrics.lpips import LPIPS, load_rounded_lpips
from diffusion2.training import adversary
from diffusion2.training.adversary import Adversary

SMALL = 48


def boxes(count: int) -> torch.Tensor:
    """Draw boxes of one colour on another."""
    pictures = torch.rand(count, 3, 1, 1).repeat(1, 1, SMALL, SMALL)
    for picture in pictures:
        top, left = torch.randint(4, 20, (2,)).tolist()
        picture[:, top : top + 24, left : left + 20] = torch.rand(3, 1, 1)
    return pictures


def dusty(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures + 0.15 * torch.randn_like(pictures)).clamp(0, 1)


@pytest.fixture(scope="module")
def network() -> LPIPS:
    return load_rounded_lpips()


def taught(network: LPIPS, steps: int) -> Adversary:
    torch.manual_seed(0)
    made = Adversary([len(head) for head in network.heads])
    for _ in range(steps):
        made.learn(list(network.features(dusty(boxes(8)))), list(network.features(boxes(8))))
    return made


def test_it_learns_alone_first(network, monkeypatch):
    monkeypatch.setattr(adversary, "ALONE_STEPS", 2)
    maps = list(network.features(dusty(boxes(2))))
    assert taught(network, 1).loss(maps) == 0
    assert taught(network, 2).loss(maps) != 0


def test_it_tells_dust_from_what_is_true_and_pulls_towards_that(network, monkeypatch):
    monkeypatch.setattr(adversary, "ALONE_STEPS", 20)
    judge = taught(network, 30)
    true = boxes(8)
    made = dusty(true).requires_grad_()
    looks_made = judge.loss(list(network.features(made)))
    assert looks_made > judge.loss(list(network.features(true))) + 0.1
    looks_made.backward()
    with torch.no_grad():
        better = made - 0.05 * made.grad / made.grad.abs().max()
        assert judge.loss(list(network.features(better))) < looks_made
        assert (better - true).square().mean() < (made - true).square().mean()


def test_what_made_the_maps_learns_nothing_while_the_adversary_learns(network):
    made = [maps.requires_grad_() for maps in network.features(boxes(2))]
    torch.manual_seed(0)
    judge = Adversary([len(head) for head in network.heads])
    judge.learn(made, list(network.features(boxes(2))))
    assert all(maps.grad is None for maps in made)
