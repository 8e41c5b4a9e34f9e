import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffusion2.errors import AssetFormatError, InputError
from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationOutput, Gaussians
from diffusion2.gaussians.presentation import filling_fov_deg, is_loop


class Circling(nn.Module):
    """Everything moves on this share of a circle from time 0 to time 1."""

    def __init__(self, share: float, radius: float = 1.0) -> None:
        super().__init__()
        self.share = share
        self.radius = radius

    def forward(self, means: Tensor, times: Tensor) -> DeformationOutput:
        angles = 2 * math.pi * self.share * times
        steps = torch.stack([angles.cos() - 1, angles.sin(), torch.zeros_like(angles)], dim=-1)
        steps = self.radius * steps
        rotations = torch.tensor([1.0, 0, 0, 0]).expand(len(times), len(means), 4)
        return DeformationOutput(steps[:, None].expand(-1, len(means), -1), rotations)


def asset(share: float, **metadata: Any) -> Asset4D:
    count = 3
    gaussians = Gaussians(
        torch.zeros(count, 3),
        torch.ones(count, 4),
        torch.zeros(count, 3),
        torch.zeros(count),
        torch.zeros(count, 1, 3),
    )
    return Asset4D(gaussians, Circling(share), AssetMetadata(**metadata))  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "expected"), [(11 / 12, True), (1.0, True), (0.5, False), (0.1, False)])
def test_a_motion_loops_when_it_ends_about_where_it_begins(share: float, expected: bool) -> None:
    assert is_loop(asset(share, frames=12)) is expected


def test_a_static_object_does_not_loop() -> None:
    assert not is_loop(dataclasses.replace(asset(1.0), deformation=None))


def test_the_object_fills_the_picture_at_any_time() -> None:
    """Three points go half round a circle of radius 0.2: at most 0.4 from where the camera looks."""
    moving = dataclasses.replace(asset(0.5, radius=2.0, fov_deg=60.0), deformation=Circling(0.5, 0.2))
    edge = math.tan(math.asin(0.4 / 2.0))  # where the camera sees the edge of the ball that holds them
    # 1%: the farthest 1% of the points may lie outside
    assert math.tan(math.radians(filling_fov_deg(moving)) / 2) == pytest.approx(edge / 0.9, rel=0.01)


def test_an_object_that_reaches_to_the_camera_is_seen_as_the_metadata_say() -> None:
    assert filling_fov_deg(asset(0.5, radius=2.0, fov_deg=60.0)) == 60.0


def test_the_last_frame_stands_at_time_one() -> None:
    assert AssetMetadata(frames=12, fps=8.0).duration_s == pytest.approx(11 / 8)
    assert AssetMetadata(frames=1, fps=8.0).duration_s > 0


def test_the_reference_camera_is_the_one_of_the_asset() -> None:
    camera = AssetMetadata(elevation_deg=30.0, radius=3.0, fov_deg=40.0).reference_cameras([0.0], 64, 96)
    assert camera.positions[0].tolist() == pytest.approx([3 * math.cos(math.pi / 6), 0, 1.5])
    assert (camera.fov_deg, camera.height, camera.width) == (40.0, 64, 96)


@pytest.mark.parametrize("fps", [0, -8, math.nan, math.inf, "8", None, [8]])
def test_metadata_that_make_no_sense_are_named(fps: object) -> None:
    with pytest.raises(InputError, match="fps"):
        AssetMetadata(fps=fps)  # type: ignore[arg-type]
    with pytest.raises(AssetFormatError, match="fps"):
        AssetMetadata.from_dict({"fps": fps})
