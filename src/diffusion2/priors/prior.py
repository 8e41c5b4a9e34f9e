"""What the sampler knows of priors: protocols that networks and closed forms fulfil."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.priors.guidance import Guidance


class Condition(Protocol):
    """What N sequences are conditioned on; `condition[a:b]` is that of some of them."""

    def __len__(self) -> int:
        """Return the number of sequences."""
        ...

    def __getitem__(self, sequences: slice, /) -> "Condition":
        """Return the condition of some of the sequences."""
        ...


class Prior(Protocol):
    """Estimates clean sequences from noisy ones."""

    def denoise(self, latents: Tensor, sigma: float, condition: Any) -> Tensor:
        """Estimate the clean latents, with guidance where the prior has any.

        Args:
            latents: (N, T, C, h, w) float32, clean latents plus noise of standard deviation sigma.
            sigma: the noise level, > 0.
            condition: what the prior's own `prepare` gave, for these N sequences.

        Returns:
            (N, T, C, h, w) float32. Sequences do not depend on each other.
        """
        ...


class ConditionedPrior(Prior, Protocol):
    """A prior that prepares its own conditions."""

    def reusing_features(self, fresh: frozenset[float]) -> Self:
        """Get a prior that, at other noise levels than these, may use what it computed at the last of them.

        What it keeps belongs to the conditions that it prepares. One that keeps nothing gives itself.
        """
        ...

    def half(self, condition: Any, *, conditional: bool) -> Condition:
        """Get a condition under which `denoise` gives one of the two estimates that guidance combines.

        One without guidance gives the condition itself: both estimates are the same.
        """
        ...


class VideoPrior(ConditionedPrior, Protocol):
    """A prior of videos that start from a picture."""

    def prepare(
        self,
        pictures: Tensor,
        guidance: Guidance,
        *,
        fps_id: float,
        motion_bucket_id: float,
        cond_aug: float,
        seed: int,
        first: int = 0,
    ) -> Condition:
        """Prepare what N videos are conditioned on.

        Args:
            pictures: (N, P, H, W) float32 in [0, 1], P as the codec has it, the first frame of each video.
            guidance: scales of the F frames.
            fps_id: frames per second.
            motion_bucket_id: amount of motion, 0 to 255.
            cond_aug: standard deviation of the noise added to the pictures, in pixels from -1 to 1.
            seed: of that noise.
            first: the first picture's number among all videos' pictures, which tells its noise.
        """
        ...


class MultiviewPrior(ConditionedPrior, Protocol):
    """A prior of orbits that end at a picture."""

    def prepare(
        self,
        pictures: Tensor,
        cameras: Cameras,
        guidance: Guidance,
        *,
        cond_aug: float,
        seed: int,
        first: int = 0,
    ) -> Condition:
        """Prepare what N orbits are conditioned on.

        Args:
            pictures: (N, P, H, W) float32 in [0, 1], P as the codec has it, the last view of each orbit.
            cameras: the V cameras of the orbit; azimuths count from the picture's camera.
            guidance: scales of the V views.
            cond_aug: standard deviation of the noise added to the pictures, in pixels from -1 to 1.
            seed: of that noise.
            first: the first picture's number among all orbits' pictures, which tells its noise.
        """
        ...


class Codec(Protocol):
    """Pictures to latents and back."""

    @property
    def factor(self) -> int:
        """Return the number of pixels per latent along a side."""
        ...

    @property
    def channels(self) -> int:
        """Return the number of channels of a latent."""
        ...

    @property
    def picture_channels(self) -> int:
        """Count the channels P of a picture: 3, RGB on white, or 4, with alpha."""
        ...

    def encode_scaled(self, images: Tensor) -> Tensor:
        """Encode pictures (N, P, H, W) in [0, 1] as the latents that are diffused, (N, C, h, w)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Decode one sequence of latents, (T, C, h, w), to pictures (T, P, H, W) in [0, 1]."""
        ...

    def mirror(self, latents: Tensor) -> Tensor:
        """Return the latents (..., C, h, w) of the pictures flipped left to right.

        Raises:
            InputError: latents of this kind can't be mirrored.
        """
        ...


GuessOrbits = Callable[[Tensor, Cameras], Tensor]
"""Guesses the clean latents (N, V, C, h, w) of orbits that end at pictures (N, P, H, W)."""


@dataclass(frozen=True)
class PriorPair:
    """The two priors of one latent space, and the way into it and back.

    Attributes:
        name: "mini" or "svd-sv3d".
        video: scores the rows of the matrix.
        multiview: scores its columns.
        codec: pictures to latents and back.
        guess: what is known of orbits without sampling, where anything is.
    """

    name: str
    video: VideoPrior
    multiview: MultiviewPrior
    codec: Codec
    guess: GuessOrbits | None = None

    @property
    def picture_channels(self) -> int:
        """Count the channels of a picture; see `Codec`."""
        return self.codec.picture_channels

    def reusing_features(self, fresh: frozenset[float]) -> "PriorPair":
        """Return the pair with both priors as `ConditionedPrior.reusing_features` gives them."""
        video, multiview = self.video.reusing_features(fresh), self.multiview.reusing_features(fresh)
        return replace(self, video=video, multiview=multiview)
