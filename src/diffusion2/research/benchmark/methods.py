"""What is compared: ways to fill an image matrix from what a task gives."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from diffusion2.config import GenerateSettings, RollbackNoise, SamplingSettings, check_known
from diffusion2.errors import InputError
from diffusion2.gaussians import Asset4D, render_matrix
from diffusion2.image_matrix import Conditions, ImageMatrix
from diffusion2.pictures import as_written, split_alpha, to_8_bit, with_alpha
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.feature_blending import with_feature_blending
from diffusion2.priors.prior import PriorPair
from diffusion2.reconstruction import reconstruct_matrix
from diffusion2.research.benchmark.tasks import BenchmarkTask
from diffusion2.sampling import (
    assemble_matrix,
    decode_matrix,
    matrix_images,
    sample_matrix,
    sample_references,
)


@dataclass(frozen=True)
class Sampled:
    """Stage 1: the settings' own sampling, or a variation of it.

    Attributes:
        title: how tables call it.
        multiview_weight: s in every step and view; None: as the settings have it.
        rollbacks: whether there is variance-reducing sampling; None: as the settings have it. Where it is
            wanted and the settings have none, it acts in the first tenth of the steps, as in the paper.
        rollback_noise: see `SamplingSettings`; None: as the settings have it.
        blending: whether the multi-view prior blends attention features over the frames.
    """

    title: str
    multiview_weight: float | None = None
    rollbacks: bool | None = None
    rollback_noise: RollbackNoise | None = None
    blending: bool = False


@dataclass(frozen=True)
class Reconstructed:
    """Stage 2 on another method's matrix: its asset, rendered from the matrix's cameras.

    Attributes:
        title: how tables call it.
        of: the other method's name.
        decoupled: whether texture is decoupled from motion (section 3.4 of the paper). Without, all cells
            weigh alike and the Gaussians keep their learning rate; everything else is the same.
    """

    title: str
    of: str
    decoupled: bool = True


@dataclass(frozen=True)
class Held:
    """The true column, repeated over time: what a result has to beat that gets no motion right."""

    title: str


@dataclass(frozen=True)
class Ceiling:
    """The true matrix, encoded and decoded: no result in this latent space can be expected to beat it."""

    title: str


Method: TypeAlias = Sampled | Reconstructed | Held | Ceiling

METHODS: dict[str, Method] = {
    "preset": Sampled("composed, as the preset"),
    "composed": Sampled("composed", rollbacks=False),
    "composed-vrs": Sampled("composed, VRS", rollbacks=True, rollback_noise="variance-reducing"),
    "composed-preserving": Sampled(
        "composed, rollbacks that keep the noise level", rollbacks=True, rollback_noise="variance-preserving"
    ),
    "multiview": Sampled("multi-view only", 1.0, rollbacks=False),
    "multiview-vrs": Sampled("multi-view only, VRS", 1.0, rollbacks=True, rollback_noise="variance-reducing"),
    "multiview-blend": Sampled("multi-view only, features blended", 1.0, rollbacks=False, blending=True),
    "multiview-vrs-blend": Sampled(
        "multi-view only, VRS, features blended", 1.0, True, rollback_noise="variance-reducing", blending=True
    ),
    "video": Sampled("video only", 0.0, rollbacks=False),
    "preset-asset": Reconstructed("composed, as the preset, reconstructed", "preset"),
    "composed-asset": Reconstructed("composed, reconstructed", "composed"),
    "composed-vrs-asset": Reconstructed("composed, VRS, reconstructed", "composed-vrs"),
    "composed-vrs-coupled": Reconstructed(
        "composed, VRS, reconstructed without decoupling", "composed-vrs", decoupled=False
    ),
    "multiview-coupled": Reconstructed(
        "multi-view only, reconstructed without decoupling", "multiview", decoupled=False
    ),
    "static": Held("static: true column, held"),
    "ceiling": Ceiling("ceiling: truth through the VAE"),
}
"""Every method by its name."""

BASELINES = ("static", "ceiling")
"""Methods that no task and no seed changes. They stand beside all others."""


def check_methods(names: tuple[str, ...]) -> None:
    """Refuse names of methods that are unknown, and none at all.

    Raises:
        InputError: a name is unknown, or there are none.
    """
    check_known("method", names, METHODS)
    if not names:
        raise InputError(f"name at least one method: {', '.join(METHODS)}")


def task_conditions(truth: ImageMatrix, task: BenchmarkTask) -> Conditions:
    """Return what a task lets a method know of the true matrix, rounded as a run's folder holds it."""
    images = to_8_bit(with_alpha(truth.images, truth.alphas))
    video = images[-1] if task in ("video", "completion") else None
    views = images[:, 0].contiguous() if task == "completion" else None
    return Conditions(images[-1, 0], video, views)


def without_references(matrix: ImageMatrix) -> ImageMatrix:
    """Return what is measured: all but the reference row and the reference column.

    Tasks and baselines are given one or both; pictures that are equal to the truth would rule every mean.
    """
    return matrix[:-1, 1:]


def complete_references(pair: PriorPair, conditions: Conditions, settings: GenerateSettings) -> Conditions:
    """Generate the references that a task does not give; all sampled methods start from the same ones."""
    conditions = sample_references(pair, conditions, settings)
    assert conditions.video is not None
    assert conditions.views is not None
    return replace(conditions, video=as_written(conditions.video), views=as_written(conditions.views))


def vary(sampling: SamplingSettings, method: Sampled, frames: int) -> SamplingSettings:
    """Return the sampling settings with which a method works."""
    if method.multiview_weight is not None:
        sampling = replace(
            sampling,
            multiview_weight=method.multiview_weight,
            last_multiview_weight=None,
            weight_schedule="constant",
            view_factor=False,
        )
    if method.rollbacks is not None:
        tenth = max(1, round(sampling.steps / 10))
        steps = (sampling.rollback_steps or tenth) if method.rollbacks else 0
        sampling = replace(sampling, rollback_steps=steps)
    if method.rollback_noise is not None:
        sampling = replace(sampling, rollback_noise=method.rollback_noise)
    if method.blending:
        sampling = replace(sampling, batch_size=max(sampling.batch_size, frames))
    return sampling


def sample_method(
    method: Sampled,
    pair: PriorPair,
    conditions: Conditions,
    settings: GenerateSettings,
    given: Conditions | None = None,
) -> ImageMatrix:
    """Sample a matrix.

    Args:
        method: the variation.
        pair: the priors.
        conditions: with both references.
        settings: of the preset, before the variation.
        given: a row or a column in it stands in the matrix as it is, as in a run's.
    """
    settings = replace(settings, sampling=vary(settings.sampling, method, settings.frames))
    if method.blending:
        pair = with_feature_blending(pair, settings.frames)
    nothing = Conditions(conditions.picture)
    known = nothing if given is None else given.with_channels(pair.picture_channels)

    def redraw(images: Tensor) -> Tensor:
        matrix = assemble_matrix(images, known, settings)
        asset = reconstruct_matrix(
            matrix, settings.reconstruction, seed=settings.seed, video_given=known.video is not None
        )
        return matrix_images(render_matrix(asset, matrix), settings, images.shape[2])

    latents = sample_matrix(pair, conditions, settings, redraw=redraw)
    images = decode_matrix(pair, latents, threads=settings.sampling.threads)
    return assemble_matrix(images, known, settings)


def rebuild(
    method: Reconstructed, matrix: ImageMatrix, settings: GenerateSettings, *, video_given: bool
) -> tuple[ImageMatrix, Asset4D]:
    """Reconstruct an asset from a matrix, and render it where the matrix's pictures were taken."""
    stage2 = settings.reconstruction
    if not method.decoupled:
        stage2 = replace(stage2, weight_floor=1.0, canonical_rate=1.0, generated_canonical_rate=None)
    asset = reconstruct_matrix(matrix, stage2, seed=settings.seed, video_given=video_given)
    return render_matrix(asset, matrix), asset


def hold(truth: ImageMatrix) -> ImageMatrix:
    """Repeat the true column over time."""
    images = truth.images[:, :1].expand_as(truth.images).contiguous()
    return replace(truth, images=images, alphas=None)


def encode_and_decode(pair: PriorPair, truth: ImageMatrix) -> ImageMatrix:
    """Pass the true matrix through the latent space.

    Raises:
        InputError: the pair's codec can't encode.
    """
    if not isinstance(pair.codec, LatentCodec):
        raise InputError(f"the codec of the pair {pair.name} can't encode pictures")
    images = with_alpha(truth.images, truth.alphas) if pair.picture_channels == 4 else truth.images
    latents = torch.stack([pair.codec.encode_scaled(row) for row in images])
    images, alphas = split_alpha(decode_matrix(pair, latents, threads=1))
    return replace(truth, images=images, alphas=alphas)
