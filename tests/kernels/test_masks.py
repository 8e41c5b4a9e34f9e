import torch

from diffusion2.kernels.masks import estimate_alphas


def disc(size: int, radius: float) -> torch.Tensor:
    steps = torch.arange(size) - (size - 1) / 2
    return (steps[:, None].square() + steps[None].square()).sqrt() < radius


def picture(mask: torch.Tensor, color: float = 0.3) -> torch.Tensor:
    return torch.where(mask, torch.tensor(color), torch.tensor(1.0)).expand(1, 3, -1, -1).clone()


def test_a_white_picture_shows_nothing():
    alphas, known = estimate_alphas(torch.ones(2, 3, 20, 30))
    assert float(alphas.max()) == 0
    assert float(known.min()) == 1


def test_an_object_on_white_is_found():
    mask = disc(40, 12)
    alphas, known = estimate_alphas(picture(mask))
    assert torch.equal(alphas[0, 0], mask.float())
    assert float(known[0, 0, 20, 20]) == 1
    assert float(known[0, 0, 0, 0]) == 1
    assert float(known[0, 0, 20, 20 - 12]) == 0  # the outline


def test_white_inside_an_object_belongs_to_it_but_is_not_trusted():
    ring = disc(40, 12) & ~disc(40, 5)
    alphas, known = estimate_alphas(picture(ring))
    assert torch.equal(alphas[0, 0], disc(40, 12).float())
    assert float(known[0, 0, 20, 20]) == 0


def test_a_winding_way_leads_to_the_background():
    """White in a spiral is background as far as it is open to the border."""
    mask = torch.zeros(31, 31, dtype=torch.bool)
    mask[5:26, 5:26] = True
    mask[8:23, 8:23] = False
    mask[8:20, 14:17] = True
    mask[5:8, 9:12] = False
    alphas, _ = estimate_alphas(picture(mask))
    assert torch.equal(alphas[0, 0], mask.float())


def test_specks_and_a_nearly_white_background_are_not_objects():
    image = picture(disc(40, 12))
    image[image == 1] = 0.96
    image[:, :, 2, 3] = 0.2
    alphas, _ = estimate_alphas(image)
    assert torch.equal(alphas[0, 0], disc(40, 12).float())


def test_thin_parts_of_an_object_are_kept():
    mask = disc(40, 8)
    mask[20, 25:38] = True
    alphas, _ = estimate_alphas(picture(mask))
    assert torch.equal(alphas[0, 0], mask.float())
