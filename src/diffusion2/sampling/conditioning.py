"""What rows and columns are conditioned on, and the noise they start from, as a run's settings say it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diffusion2.config import GenerateSettings, SamplingSettings
from diffusion2.distributed import Message, ProcessGroup
from diffusion2.errors import InputError
from diffusion2.image_matrix import view_cameras
from diffusion2.priors.guidance import Guidance, constant_scale, linear_scale, triangle_scale
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling.dealing import Share
from diffusion2.sampling.joint import JointSchedule
from diffusion2.sampling.mirroring import mirroring
from diffusion2.sampling.noise import CellNoise
from diffusion2.sampling.parallel import Sequences


def mirrored(pair: PriorPair, settings: GenerateSettings) -> PriorPair:
    """Make the pair see mirror images where the settings want that.

    Raises:
        InputError: its latents can't be mirrored.
    """
    schedule = JointSchedule.from_settings(settings.sampling, settings.views)
    return mirroring(pair, schedule.alternate_sigmas) if settings.sampling.mirror else pair


def video_sequences(
    pair: PriorPair, pictures: Tensor, settings: GenerateSettings, share: Share | None = None
) -> Sequences:
    """Condition videos on pictures (N, P, H, W), their first frames; only those of a share."""
    share = Share(0, 2 * len(pictures)) if share is None else share
    sampling = settings.sampling
    guidance = video_guidance(settings)
    if not share:
        return Sequences(pair.video, (), share, guidance)
    condition = pair.video.prepare(
        pictures[share.sequences],
        guidance,
        fps_id=sampling.fps_id,
        motion_bucket_id=sampling.motion_bucket_id,
        cond_aug=sampling.video_cond_aug,
        seed=settings.seed,
        first=share.sequences.start,
    )
    return Sequences(pair.video, condition, share, guidance)


def view_sequences(
    pair: PriorPair, pictures: Tensor, settings: GenerateSettings, share: Share | None = None
) -> Sequences:
    """Condition orbits on pictures (N, P, H, W), their last views; only those of a share."""
    share = Share(0, 2 * len(pictures)) if share is None else share
    guidance = views_guidance(settings)
    if not share:
        return Sequences(pair.multiview, (), share, guidance)
    condition = pair.multiview.prepare(
        pictures[share.sequences],
        view_cameras(settings),
        guidance,
        cond_aug=settings.sampling.views_cond_aug,
        seed=settings.seed,
        first=share.sequences.start,
    )
    return Sequences(pair.multiview, condition, share, guidance)


@dataclass(frozen=True)
class Guess:
    """What sampling begins with, under noise.

    Attributes:
        latents: (V, F, C, h, w) float32.
        sigma: the noise level that hides what is wrong in them.
    """

    latents: Tensor
    sigma: float


def guess_columns(
    pair: PriorPair,
    pictures: Tensor,
    settings: GenerateSettings,
    group: ProcessGroup,
    first: Tensor | None = None,
) -> Guess | None:
    """Guess a matrix whose columns end at pictures (F, P, H, W).

    The first column, where it is known, shows what the pair can't; how the pair's guesses of the others
    differ from that of the first shows about how each view moves. So this change is added to it. How far the
    guess of the first is off shows how much noise the others need: a column that was sampled from such a
    guess needs little, one that was given more.

    The first process of a group does it, and all get the same. None where the pair can't, or the settings do
    not want it.

    Args:
        pair: the priors.
        pictures: see above.
        settings: the cameras, and whether to guess.
        group: the processes that need it.
        first: (V, P, H, W), the first column.
    """
    if pair.guess is None or settings.sampling.guess_sigma is None:
        return None
    message = None
    if group.is_first:
        guess = pair.guess(pictures, view_cameras(settings)).transpose(0, 1)
        sigma = torch.tensor(settings.sampling.guess_sigma)
        if first is not None:
            error = pair.codec.encode_scaled(first) - guess[:, 0]
            guess = guess + error[:, None]
            sigma = sigma.maximum(settings.sampling.guess_error_factor * error.square().mean().sqrt())
        message = Message({"latents": guess.contiguous(), "sigma": sigma})
    told = group.broadcast(message).tensors
    return Guess(told["latents"], float(told["sigma"]))


def video_guidance(settings: GenerateSettings) -> Guidance:
    """Get the guidance of a video's frames."""
    sampling = settings.sampling
    scales = linear_scale(settings.frames, sampling.video_guidance, sampling.last_video_guidance)
    return _within(scales, sampling)


def views_guidance(settings: GenerateSettings) -> Guidance:
    """Get the guidance of an orbit's views."""
    sampling = settings.sampling
    if sampling.views_guidance_shape == "triangle":
        return _within(triangle_scale(settings.views, 1.0, sampling.views_guidance), sampling)
    return _within(constant_scale(settings.views, sampling.views_guidance), sampling)


def _within(scales: Tensor, sampling: SamplingSettings) -> Guidance:
    return Guidance(scales, sampling.guidance_sigma_low, sampling.guidance_sigma_high)


def for_reference_video(settings: GenerateSettings) -> GenerateSettings:
    """Get the settings with which the reference video is made: it may have its own guidance."""
    scale = settings.sampling.reference_video_guidance
    if scale is None:
        return settings
    sampling = replace(settings.sampling, video_guidance=scale, last_video_guidance=scale)
    return replace(settings, sampling=sampling)


def cell_noise(pair: PriorPair, cells: tuple[int, int], picture: Tensor, seed: int, stream: int) -> CellNoise:
    """Get the noise of (V, F) cells whose pictures are like this one, (P, H, W).

    Raises:
        InputError: its size does not fit the priors.
    """
    height, width = picture.shape[-2:]
    factor = pair.codec.factor
    if height % factor or width % factor:
        raise InputError(f"pictures must be multiples of {factor} pixels, not {width}x{height}")
    return CellNoise(seed, (*cells, pair.codec.channels, height // factor, width // factor), stream)
