"""Pictures of an asset one after the other: where the camera stands and which moment is seen in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.config import ExportSettings
from diffusion2.errors import InputError
from diffusion2.exporters.camera_path import read_camera_path
from diffusion2.gaussians import Asset4D, AssetMetadata, render
from diffusion2.gaussians.presentation import is_loop
from diffusion2.gaussians.rasterize import Rendering

ORBIT_S = 6.0
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Film:
    """T pictures to be taken.

    Attributes:
        cameras: T of them.
        times: T moments of the object, each in [0, 1].
        fps: pictures per second.
    """

    cameras: Cameras
    times: Sequence[float]
    fps: float

    def __len__(self) -> int:
        """Return the number of pictures, T."""
        return len(self.times)


def plan_film(asset: Asset4D, settings: ExportSettings) -> Film:
    """Choose cameras and moments as the settings say.

    The sequence plays at its own speed, as often as fits best into the time asked for. In an orbit the camera
    starts at the reference view and goes round once; so that where motion and camera both end where they
    began, a video can be played in a loop.

    Raises:
        InputError: the camera path can't be read, or says what a setting says, too.
    """
    if settings.camera_path is not None:
        return _follow_path(asset, settings)
    cycle = _cycle(asset, settings)
    seconds = settings.seconds
    if seconds is None:
        seconds = ORBIT_S if settings.camera == "orbit" else 0.0
    times = cycle * max(1, round(seconds * settings.fps / len(cycle)))
    azimuths = 360.0 * np.arange(len(times)) / len(times) * (settings.camera == "orbit")
    cameras = asset.metadata.reference_cameras(azimuths.tolist(), settings.size, settings.size)
    return Film(cameras, times, settings.fps)


def _follow_path(asset: Asset4D, settings: ExportSettings) -> Film:
    path, known = settings.camera_path, asset.metadata
    assert path is not None
    keys = read_camera_path(path)
    seconds = keys.seconds(settings.fps)
    if keys.has_times:
        for name, usual in (("time", None), ("loop", "auto")):
            if getattr(settings, name) != usual:
                raise InputError(f"{path} says the object's times; {name} says them, too: leave one out")
        times = keys.values("time", seconds, 0.0).clip(0, 1).tolist()
    else:
        cycle = _cycle(asset, settings)
        times = [cycle[k % len(cycle)] for k in range(len(seconds))]
    cameras = Cameras(
        keys.values("azimuth_deg", seconds, known.azimuth_deg),
        keys.values("elevation_deg", seconds, known.elevation_deg),
        keys.values("radius", seconds, known.radius),
        keys.fov_deg or known.fov_deg,
        settings.size,
        settings.size,
    )
    return Film(cameras, times, settings.fps)


def _cycle(asset: Asset4D, settings: ExportSettings) -> list[float]:
    """List the moments until the motion begins again; one where nothing moves, or one is asked for."""
    if settings.time is not None or asset.deformation is None:
        return [settings.time or 0.0]
    if settings.loop == "pingpong" or (settings.loop == "auto" and not is_loop(asset)):
        return forth_and_back(asset.metadata, settings.fps)
    return round_and_round(asset.metadata, settings.fps, closes=is_loop(asset))


def forth_and_back(metadata: AssetMetadata, fps: float) -> list[float]:
    """List the moments from 0 to 1 and back, without the last, which is the first of the next time."""
    period = max(2, round(2 * metadata.duration_s * fps))
    return [2 * min(step, period - step) / period for step in range(period)]


def round_and_round(metadata: AssetMetadata, fps: float, *, closes: bool) -> list[float]:
    """List the moments from 0 to 1; of a motion that closes so that after the last one comes the first."""
    if closes:
        frames = metadata.frames
        period = max(2, round(metadata.duration_s * frames / (frames - 1) * fps))
        return [step / period for step in range(period)]
    return np.linspace(0, 1, max(2, round(metadata.duration_s * fps) + 1)).tolist()


def take(asset: Asset4D, film: Film, background: Colour | float) -> Iterator[Rendering]:
    """Render a film's pictures, each with dimension C = 1."""

    @lru_cache(128)
    def still(time: float) -> Asset4D:
        """Return the object as it is at a time; most times are met more than once."""
        return Asset4D(asset.at(time))

    for camera, time in zip(film.cameras, film.times, strict=True):
        yield render(still(time), camera, background=background)


def take_pictures(asset: Asset4D, film: Film, background: Colour | None) -> Iterator[Tensor]:
    """Render a film as pictures (H, W, 3), or where there is no background (H, W, 4) with straight alpha."""
    for rendering in take(asset, film, 0.0 if background is None else background):
        yield rendering.rgb[0] if background is not None else with_straight_alpha(rendering)


def with_straight_alpha(rendering: Rendering) -> Tensor:
    """Turn one picture on black into (H, W, 4), whose colours are not multiplied by alpha."""
    rgb, alpha = rendering.rgb[0], rendering.alpha[0]
    colours = torch.where(alpha > 0, rgb / alpha.clamp_min(1e-6), 0.0)
    return torch.cat([colours.clamp(0, 1), alpha], dim=-1)
