import math

import pytest
import torch

from diffusion2.cameras import orbit
from diffusion2.errors import InputError
from diffusion2.gaussians import Asset4D, Gaussians, render
from diffusion2.gaussians.gaussians import SH_C0
from diffusion2.gaussians.harmonics import basis, coefficients, degree_of, turn_harmonics


def sphere(count: int = 20_000) -> torch.Tensor:
    """Directions spread evenly (a Fibonacci lattice)."""
    k = torch.arange(count, dtype=torch.float64) + 0.5
    z, turn = 1 - 2 * k / count, math.pi * (1 + 5**0.5) * k
    r = (1 - z * z).sqrt()
    return torch.stack([r * turn.cos(), r * turn.sin(), z], dim=1)


def test_harmonics_are_orthonormal():
    directions = sphere()
    values = torch.cat([torch.full((len(directions), 1), SH_C0).double(), basis(directions, 3)], dim=1)
    products = values.T @ values * (4 * math.pi / len(directions))
    # The lattice integrates these polynomials of degree 6 to about 1 / count.
    torch.testing.assert_close(products, torch.eye(16).double(), atol=1e-3, rtol=0)


def test_lower_degrees_are_a_beginning_of_the_higher():
    directions = sphere(50)
    for degree in range(4):
        assert basis(directions, degree).shape == (50, coefficients(degree))
        torch.testing.assert_close(basis(directions, 3)[:, : coefficients(degree)], basis(directions, degree))
        assert degree_of(coefficients(degree)) == degree


def one_gaussian(shN: torch.Tensor | None) -> Gaussians:
    still = torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), -2.0), torch.tensor([5.0])
    return Gaussians(*still, torch.zeros(1, 1, 3), shN)


def test_a_colour_is_seen_from_its_side():
    """Red along +x: the harmonic -x of degree 1, negated, since directions point away from the camera."""
    shN = torch.zeros(1, 3, 3)
    shN[0, 2, 0] = 0.4
    cameras = orbit(4, 0.0, height=33)  # at 90, 180, 270 and 360 degrees
    red = render(Asset4D(one_gaussian(shN)), cameras).rgb[:, 16, 16, 0]
    assert float(red[3]) == pytest.approx(0.5 + 0.4 * 0.4886, abs=0.01)
    assert float(red[1]) == pytest.approx(0.5 - 0.4 * 0.4886, abs=0.01)
    assert float(red[0]) == pytest.approx(0.5, abs=0.01)


def test_harmonics_survive_the_assets_file_and_a_selection(tmp_path):
    shN = torch.randn(1, 15, 3)
    Asset4D(one_gaussian(shN)).save(tmp_path / "asset.safetensors")
    loaded = Asset4D.load(tmp_path / "asset.safetensors").gaussians
    assert loaded.shN is not None
    assert torch.equal(loaded.shN, shN)
    assert loaded.select(torch.tensor([True])).shN is not None
    assert Asset4D(loaded).at(0.5).shN is not None


@pytest.mark.parametrize("shape", [(1, 4, 3), (2, 3, 3), (1, 3, 1), (1, 9)])
def test_harmonics_of_no_degree_are_refused(shape):
    with pytest.raises(InputError):
        one_gaussian(torch.zeros(shape))


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_turned_harmonics_show_along_turned_directions_what_was_seen_before(degree):
    generator = torch.Generator().manual_seed(degree)
    shN = torch.randn(5, coefficients(degree), 3, generator=generator)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=1)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    rotation = rotation * rotation.det()
    before = torch.einsum("ek,nkc->nec", basis(directions, degree), shN)
    after = torch.einsum("ek,nkc->nec", basis(directions @ rotation.T, degree), turn_harmonics(shN, rotation))
    # Sums of 15 products in float32.
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
