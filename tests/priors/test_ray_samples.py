"""What other views see of the reference picture along their rays."""

import numpy as np
import torch

from diffusion2.cameras import Cameras, make_cameras, orbit
from diffusion2.priors.ray_samples import DEPTHS, REACH, ray_samples, sampled_channels, with_ray_samples


def blob(camera: Cameras, point: np.ndarray, size: int, width: float = 0.06) -> torch.Tensor:
    """A picture, (1, 1, size, size), of a bright spot at a point of the world."""
    seen = camera.viewmats[0] @ np.append(point, 1.0)
    x, y, _ = camera.Ks[0] @ (seen[:3] / seen[2])
    at = (np.stack([x, y]) / camera.width * 2 - 1).astype(np.float32)
    place = (torch.arange(size) + 0.5) / size * 2 - 1
    distance = (place[None, :] - at[0]) ** 2 + (place[:, None] - at[1]) ** 2
    return torch.exp(-distance / (2 * width**2))[None, None]


def test_a_point_is_found_at_its_pixel_and_its_depth() -> None:
    cameras, size = orbit(12, 20.0), 64
    half = np.tan(np.deg2rad(cameras.fov_deg) / 2)
    for view in (0, 2, 5, 8):
        camera = cameras[view]
        # on the ray of this view's middle, at the depth of sample 5
        z = 2.0 * (1 + half * REACH * np.linspace(-1, 1, DEPTHS)[5])
        point = camera.positions[0] * (1 - z / 2.0)
        samples = ray_samples(blob(cameras[-1], point, size), cameras)[0, view]
        middle = samples[:, size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1].mean((1, 2))
        assert float(middle[5]) > 0.8
        assert int(middle.argmax()) == 5


def test_the_reference_view_sees_its_own_picture_at_every_depth() -> None:
    latents = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    samples = ray_samples(latents, orbit(4, 10.0))[:, -1].view(2, 3, DEPTHS, 8, 8)
    assert torch.allclose(samples, latents[:, :, None].expand_as(samples), atol=1e-5)


def test_from_behind_the_picture_is_mirrored() -> None:
    # far away there is no perspective
    cameras = make_cameras([180.0, 360.0], 0.0, radius=2.0, fov_deg=0.01)
    latents = torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    samples = ray_samples(latents, cameras)[:, 0].view(1, 2, DEPTHS, 6, 6)
    assert torch.allclose(samples, latents.flip(-1)[:, :, None].expand_as(samples), atol=2e-3)


def test_nothing_is_seen_outside_the_picture() -> None:
    samples = ray_samples(torch.ones(1, 1, 16, 16), orbit(4, 0.0))
    side = samples[0, 0]  # from the right: its nearest samples lie left or right of the reference's middle
    assert float(side.amin()) == 0
    assert float(side[:, 8, 8].amin()) > 0.5


def test_a_network_without_room_for_samples_gets_the_picture_alone() -> None:
    released = {"in_channels": 8, "out_channels": 4}
    assert sampled_channels(released) == 0
    latents = torch.randn(3, 4, 8, 8)
    assert torch.equal(with_ray_samples(latents, orbit(6), 0), latents[:, None])
    shown = with_ray_samples(latents, orbit(6), 2)
    assert shown.shape == (3, 6, 4 + 2 * DEPTHS, 8, 8)
    assert torch.equal(shown[:, 3, :4], latents)
    assert sampled_channels({"in_channels": 8 + 2 * DEPTHS, "out_channels": 4}) == 2
