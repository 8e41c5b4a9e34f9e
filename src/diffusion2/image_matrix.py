"""The image matrix (one row per view, one column per frame) and what conditions it."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import (
    Cameras,
    Index,
    ModelFrame,
    azimuths_apart,
    make_cameras,
    orbit,
    positions,
)
from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.pictures import as_written


@dataclass(frozen=True)
class Conditions:
    """The known row and column of the augmented matrix (eq. 6 of the paper).

    Pictures have P channels: RGB on white and, where it is known, alpha.

    Attributes:
        video: (F, P, H, W) float32 in [0, 1], the reference view over time, `I_{.,0}`; frame 0 is
            the reference frame. None where it has to be generated.
        views: (V, P, H, W) float32 in [0, 1], the views at the reference time, `I_{0,.}`; the last
            view is the reference view. None where it has to be generated.
        picture: (P, H, W) float32 in [0, 1], the reference view at the reference time.
        fps: frames per second of the video, where one was given.
        model_frame: where a given 3D model stands in the world.
    """

    picture: Tensor
    video: Tensor | None = None
    views: Tensor | None = None
    fps: float | None = None
    model_frame: ModelFrame | None = None

    def with_channels(self, channels: int) -> "Conditions":
        """Show priors what they know of pictures: leave out alpha (3), or have it as files do (4).

        Raises:
            InputError: alpha is wanted, and a picture has none.
        """

        def changed(images: Tensor) -> Tensor:
            if images.shape[-3] < channels:
                raise InputError(
                    "these weights need pictures with alpha, which whoever wrote these left out: start anew"
                )
            if channels == 4:
                return as_written(images)
            return images if images.shape[-3] == 3 else images[..., :3, :, :].contiguous()

        video, views = (None if images is None else changed(images) for images in (self.video, self.views))
        return replace(self, picture=changed(self.picture), video=video, views=views)

    def as_written(self) -> "Conditions":
        """Return them with video and views as a run's folder holds them, of 8 bits."""
        video, views = (None if images is None else as_written(images) for images in (self.video, self.views))
        return replace(self, video=video, views=views)


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
        reference_view: index of the view that was seen over time first; from the end where negative.
        seen: (V, 1, H, W) bool, where each view's camera saw anything, in all frames; None where it is
            everywhere. What a camera didn't see is white, and says nothing.
    """

    images: Tensor
    cameras: Cameras
    times: Tensor
    fps: float
    alphas: Tensor | None = None
    reference_frame: int = 0
    reference_view: int = -1
    seen: Tensor | None = None

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
        if not -views <= self.reference_view < views:
            raise InputError(f"the reference view is one of {views} from 0 on, not {self.reference_view}")
        object.__setattr__(self, "reference_view", self.reference_view % views)

    def __getitem__(self, index: Index | tuple[Index, Index]) -> "ImageMatrix":
        """Some of the views, or of the views and the frames, in the order asked for: `matrix[views, frames]`.

        Each is chosen on its own; an integer gives a matrix of one row or column. Times and fps stay those of
        the whole sequence. Where the reference frame or view isn't chosen, the nearest that is stands in for
        it: the nearest in time, or in azimuth.

        Raises:
            InputError: there is no such view or frame, or none is chosen.
        """
        if isinstance(index, tuple) and len(index) != 2:
            raise InputError(f"a matrix is indexed by views and frames, not by {len(index)} things")
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        views, frames = positions(rows, self.views, "view"), positions(columns, self.frames, "frame")
        azimuths = self.cameras.azimuths_deg
        turned = azimuths_apart(azimuths[views], azimuths[self.reference_view])
        # a view of the reference's azimuth but another elevation is not the reference
        turned[views == self.reference_view] = -1
        apart = np.abs(np.asarray(self.times)[frames] - float(self.times[self.reference_frame]))
        apart[frames == self.reference_frame] = -1
        cells = np.ix_(views, frames)
        return ImageMatrix(
            self.images[cells],
            self.cameras[views],
            self.times[frames],
            self.fps,
            None if self.alphas is None else self.alphas[cells],
            int(apart.argmin()),
            int(turned.argmin()),
            None if self.seen is None else self.seen[views],
        )

    @property
    def views(self) -> int:
        """Return the number of views, V."""
        return self.images.shape[0]

    @property
    def frames(self) -> int:
        """Return the number of frames, F."""
        return self.images.shape[1]


def frame_times(frames: int) -> Tensor:
    """Return the (F,) times in [0, 1] of a sequence of F frames; one frame is at time 0."""
    return torch.linspace(0, 1, frames) if frames > 1 else torch.zeros(1)


def view_cameras(settings: GenerateSettings) -> Cameras:
    """Return the cameras of a run's views: around the object evenly, or at the azimuths that are set."""
    if not settings.azimuths_deg:
        return orbit(settings.views, settings.elevation_deg, height=settings.size, width=settings.size)
    return make_cameras(list(settings.azimuths_deg), settings.elevation_deg, height=settings.size)


def turn_time(images: Tensor, settings: GenerateSettings, dim: int = 0) -> Tensor:
    """Go from the order of time to that of the priors, who begin with the reference frame; or back."""
    return images.flip(dim) if settings.reference_frame == "last" else images
