"""The image matrix (one row per view, one column per frame) and what conditions it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.cameras import Cameras, make_cameras, orbit
from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.model_frame import ModelFrame


@dataclass(frozen=True)
class Conditions:
    """The known row and column of the augmented matrix (eq. 6 of the paper).

    Attributes:
        video: (F, 3, H, W) float32 in [0, 1], the reference view over time, `I_{.,0}`; frame 0 is
            the reference frame. None where it has to be generated.
        views: (V, 3, H, W) float32 in [0, 1], the views at the reference time, `I_{0,.}`; the last
            view is the reference view. None where it has to be generated.
        picture: (3, H, W) float32 in [0, 1], the reference view at the reference time.
        fps: frames per second of the video, where one was given.
        model_frame: where a given 3D model stands in the world.
    """

    picture: Tensor
    video: Tensor | None = None
    views: Tensor | None = None
    fps: float | None = None
    model_frame: ModelFrame | None = None


@dataclass(frozen=True)
class ImageMatrix:
    """V views by F frames of an object on white.

    Attributes:
        images: (V, F, 3, H, W) float32 in [0, 1], on a white background.
        cameras: the V cameras, one per row.
        times: (F,) float32 in [0, 1], the time of each column.
        fps: frames per second of the sequence.
        alphas: (V, F, 1, H, W) float32 in [0, 1], where known.
        reference_frame: index of the frame that was seen from all sides first.
    """

    images: Tensor
    cameras: Cameras
    times: Tensor
    fps: float
    alphas: Tensor | None = None
    reference_frame: int = 0

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        if self.images.ndim != 5 or self.images.shape[2] != 3:
            raise InputError(f"an image matrix has shape (V, F, 3, H, W), not {tuple(self.images.shape)}")
        views, frames = self.images.shape[:2]
        if len(self.cameras) != views or len(self.times) != frames:
            raise InputError(
                f"the image matrix has {views} views and {frames} frames, but there are "
                f"{len(self.cameras)} cameras and {len(self.times)} times"
            )
        if not 0 <= self.reference_frame < frames:
            raise InputError(f"the reference frame is one of {frames} from 0 on, not {self.reference_frame}")

    @property
    def views(self) -> int:
        """Give the number of views, V."""
        return self.images.shape[0]

    @property
    def frames(self) -> int:
        """Give the number of frames, F."""
        return self.images.shape[1]


def frame_times(frames: int) -> Tensor:
    """Give the (F,) times in [0, 1] of a sequence of F frames; one frame is at time 0."""
    return torch.linspace(0, 1, frames) if frames > 1 else torch.zeros(1)


def view_cameras(settings: GenerateSettings) -> Cameras:
    """Give the cameras of a run's views: around the object evenly, or at the azimuths that are set."""
    if not settings.azimuths_deg:
        return orbit(settings.views, settings.elevation_deg, height=settings.size, width=settings.size)
    return make_cameras(list(settings.azimuths_deg), settings.elevation_deg, height=settings.size)


def turn_time(images: Tensor, settings: GenerateSettings, dim: int = 0) -> Tensor:
    """Go from the order of time to that of the priors, who begin with the reference frame; or back."""
    return images.flip(dim) if settings.reference_frame == "last" else images
