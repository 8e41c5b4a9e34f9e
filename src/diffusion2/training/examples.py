"""What the video and the multi-view network learn from: sequences as latents, and what is shown beside them.

An example is drawn when it is needed; see `scenes`. What the network is shown of it is made by the functions
that show it a user's picture.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.embeddings import orbit_vector, video_vector
from diffusion2.priors.lifted_views import lifted_views, with_lifted
from diffusion2.priors.lifter import Lifter
from diffusion2.training.scenes import Clip, DrawOf, Orbit
from diffusion2.training.vae import with_alpha

VALUE_WIDTH = 64
"""Numbers that embed one value of the added vector."""
TYPICAL_MOTION = 0.23
"""Of clips, see `motion_bucket`."""


class Example(NamedTuple):
    """A sequence of T images, and what a network is told of it.

    Attributes:
        clean: (T, C, h, w) latents.
        condition: (T or 1, C', h, w), first the latents of the picture that is given.
        vector: (T, A), the added vectors.
    """

    clean: Tensor
    condition: Tensor
    vector: Tensor


DrawExample = DrawOf[Example]


class OrbitExamples:
    """Orbits, which end at the picture that is given.

    Args:
        draw: draws an orbit.
        codec: pictures to latents.
        lifter: shows what the picture may look like from the other cameras.
    """

    def __init__(self, draw: DrawOf[Orbit], codec: LatentCodec, lifter: Lifter) -> None:
        self._draw, self._codec, self._lifter = draw, codec, lifter

    def __call__(self, rng: np.random.Generator) -> Example:
        """Draw an orbit."""
        orbit = self._draw(rng)
        pictures, cameras = with_alpha(orbit.pictures), orbit.cameras
        clean = self._codec.encode_scaled(pictures)
        lifted = lifted_views(self._lifter, self._codec.encode_mode, pictures[-1:], cameras)
        condition = with_lifted(self._codec.encode_mode(pictures[-1:]), lifted)[0]
        degrees = np.stack([np.broadcast_to(90 - cameras.elevations_deg, len(cameras)), cameras.azimuths_deg])
        polars, azimuths = torch.from_numpy(np.deg2rad(degrees))
        return Example(clean, condition, orbit_vector(polars, azimuths, 0.0, VALUE_WIDTH))


class ClipExamples:
    """Clips, which begin with the picture that is given.

    Args:
        draw: draws a clip.
        codec: pictures to latents.
    """

    def __init__(self, draw: DrawOf[Clip], codec: LatentCodec) -> None:
        self._draw, self._codec = draw, codec

    def __call__(self, rng: np.random.Generator) -> Example:
        """Draw a clip."""
        clip = self._draw(rng)
        pictures = with_alpha(clip.pictures)
        vector = video_vector(clip.fps, motion_bucket(pictures), 0.0, VALUE_WIDTH)
        condition = self._codec.encode_mode(pictures[:1])
        return Example(self._codec.encode_scaled(pictures), condition, vector.expand(len(pictures), -1))


def motion_bucket(pictures: Tensor) -> float:
    """Measure how much a clip moves, as a motion bucket in [0, 255].

    The mean difference to the first frame, as a share of the object's area, is squashed so that a typical
    clip gets 127.5: 255 m / (m + 0.23). Differences are means of those on white and on black, so that a white
    object moves, too.

    Args:
        pictures: (T, 4, H, W) RGB on white and alpha, in [0, 1].
    """
    white, alpha = pictures[:, :3], pictures[:, 3:]
    black = white - (1 - alpha)
    differences = [(shown[1:] - shown[:1]).abs().mean() for shown in (white, black)]
    motion = float(sum(differences)) / 2 / max(float(alpha.mean()), 1e-3)
    return 255 * motion / (motion + TYPICAL_MOTION)
