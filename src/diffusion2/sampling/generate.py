"""Stage 1: from a picture, or known references, to the latents of the matrix and its images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

import torch
from torch import Tensor

from diffusion2.config import GenerateSettings, SamplingSettings
from diffusion2.errors import InputError
from diffusion2.events import Progress, Report, ignore, stage
from diffusion2.image_matrix import Conditions, ImageMatrix, frame_times, turn_time, view_cameras
from diffusion2.pictures import split_alpha
from diffusion2.priors.guidance import Guidance, constant_scale, linear_scale, triangle_scale
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling.joint import JointSchedule, State, sample_joint
from diffusion2.sampling.mirroring import mirroring
from diffusion2.sampling.noise import MATRIX, REFERENCE_VIDEO, REFERENCE_VIEWS, CellNoise
from diffusion2.sampling.parallel import Sequences, Workers, allowed_threads

OnCheckpoint = Callable[[int, dict[str, Tensor]], None]


def sample_references(
    pair: PriorPair, conditions: Conditions, settings: GenerateSettings, report: Report = ignore
) -> Conditions:
    """Generate the reference video and the reference views where they are not known.

    Each is a matrix of one row, or one column, sampled by one prior alone and without rollbacks, as nothing
    has to be reconciled. They do not depend on each other and are sampled side by side.

    Args:
        pair: the priors.
        conditions: the picture, and what else is known.
        settings: V, F, the elevation, the seed and how to sample.
        report: takes the events of the stage "references", whose units are steps of either.

    Returns:
        The conditions with video (F, P, H, W) and views (V, P, H, W), float32 in [0, 1]; the picture itself
        is the first frame and the last view. P is what the pair's codec has.

    Raises:
        InputError: the picture's size does not fit the priors, or they need alpha and it has none.
        NumericalError: an estimate isn't finite.
    """
    conditions = conditions.with_channels(pair.codec.picture_channels)
    picture = conditions.picture
    pair = mirrored(pair, settings)
    jobs: dict[str, _Reference] = {}
    if conditions.video is None:
        noise = _noise(pair, (1, settings.frames), picture, settings.seed, REFERENCE_VIDEO)
        rows = video_sequences(pair, picture[None], _for_reference_video(settings))
        jobs["video"] = _Reference(rows, None, noise)
    if conditions.views is None:
        noise = _noise(pair, (settings.views, 1), picture, settings.seed, REFERENCE_VIEWS)
        jobs["views"] = _Reference(None, view_sequences(pair, picture[None], settings), noise)
    if not jobs:
        return conditions
    threads = min(settings.sampling.threads or allowed_threads(), len(jobs))
    with stage(report, "references") as progress, Workers(1, threads) as workers:
        listeners = _share(progress, len(jobs))

        def run(job: tuple[_Reference, Progress]) -> Tensor:
            return pair.codec.decode(job[0].sample(settings.sampling, job[1]))

        images = list(workers.map(run, zip(jobs.values(), listeners, strict=True)))
    made = dict(zip(jobs, images, strict=True))
    for name, at in (("video", 0), ("views", -1)):
        if name in made:
            made[name][at] = picture  # the prior was given it, and makes it a little different
    return replace(conditions, **made)


def sample_matrix(
    pair: PriorPair,
    conditions: Conditions,
    settings: GenerateSettings,
    report: Report = ignore,
    *,
    on_checkpoint: OnCheckpoint | None = None,
    start: tuple[int, State] | None = None,
) -> Tensor:
    """Sample the latents of the whole matrix by both priors (Algorithm 1).

    As in eq. 6, the video of view v starts from the reference column's view v, and the orbit at frame f ends
    at the reference row's frame f.

    Args:
        pair: the priors.
        conditions: with video and views.
        settings: V, F, the elevation, the seed and how to sample.
        report: takes the events of the stage "matrix", whose units are evaluations of the matrix.
        on_checkpoint: called with (steps done, state) every `checkpoint_every` steps, or soon after, when the
            next step needs no features of earlier ones.
        start: what `on_checkpoint` got, to go on from; the result is the same to the bit.

    Returns:
        (V, F, C, h, w) float32

    Raises:
        InputError: the conditions are incomplete or do not fit V and F.
        NumericalError: an estimate isn't finite.
    """
    conditions = conditions.with_channels(pair.codec.picture_channels)
    _check(conditions, settings)
    assert conditions.video is not None
    assert conditions.views is not None
    sampling = settings.sampling
    schedule = JointSchedule.from_settings(sampling, settings.views)
    pair = mirrored(pair, settings)
    if sampling.feature_reuse > 1:
        pair = pair.reusing_features(schedule.fresh_sigmas)
    rows = video_sequences(pair, conditions.views, settings)
    columns = view_sequences(pair, conditions.video, settings)
    saved = start[0] if start else 0

    def on_step(step: int, state: State) -> None:
        nonlocal saved
        is_due = step - saved >= sampling.checkpoint_every and step < schedule.steps
        if on_checkpoint and is_due and schedule.is_fresh(step):
            on_checkpoint(step, dict(state))
            saved = step

    with stage(report, "matrix") as progress, _workers(settings) as workers:
        return sample_joint(
            rows,
            columns,
            _noise(pair, (settings.views, settings.frames), conditions.picture, settings.seed, MATRIX),
            schedule,
            workers,
            progress,
            on_step,
            start=start,
        )


def decode_matrix(pair: PriorPair, latents: Tensor, report: Report = ignore, threads: int = 0) -> Tensor:
    """Decode the latents of a matrix row by row.

    Args:
        pair: whose codec.
        latents: (V, F, C, h, w).
        report: takes the events of the stage "decode", whose units are rows.
        threads: rows at once; 0: as many as `Workers` takes.

    Returns:
        (V, F, P, H, W) float32 in [0, 1]: on white and, where latents hold it, alpha
    """
    with stage(report, "decode") as progress, Workers(1, threads) as workers:
        progress(0, len(latents))
        images = []
        for row in workers.map(pair.codec.decode, list(latents)):
            images.append(row)
            progress(len(images), len(latents))
    return torch.stack(images)


def assemble_matrix(images: Tensor, given: Conditions, settings: GenerateSettings) -> ImageMatrix:
    """Make the image matrix of its decoded images.

    Args:
        images: (V, F, P, H, W) in [0, 1], the reference frame first; what was given is written into them.
        given: what was known before anything was sampled. A row or column that was given stands in the matrix
            as it was given, to the pixel.
        settings: of the run.
    """
    if given.views is not None:
        images[:, 0] = given.views
    if given.video is not None:
        images[-1] = given.video
    rgb, alphas = split_alpha(turn_time(images, settings, dim=1))
    return ImageMatrix(
        rgb,
        view_cameras(settings),
        frame_times(settings.frames),
        given.fps or settings.fps,
        alphas,
        reference_frame=0 if settings.reference_frame == "first" else settings.frames - 1,
    )


def mirrored(pair: PriorPair, settings: GenerateSettings) -> PriorPair:
    """Make the pair see mirror images where the settings want that.

    Raises:
        InputError: its latents can't be mirrored.
    """
    schedule = JointSchedule.from_settings(settings.sampling, settings.views)
    return mirroring(pair, schedule.alternate_sigmas) if settings.sampling.mirror else pair


def video_sequences(pair: PriorPair, pictures: Tensor, settings: GenerateSettings) -> Sequences:
    """Condition a video on each of the pictures (N, P, H, W), its first frame."""
    sampling = settings.sampling
    scales = linear_scale(settings.frames, sampling.video_guidance, sampling.last_video_guidance)
    condition = pair.video.prepare(
        pictures,
        _guidance(scales, sampling),
        fps_id=sampling.fps_id,
        motion_bucket_id=sampling.motion_bucket_id,
        cond_aug=sampling.video_cond_aug,
        seed=settings.seed,
    )
    return Sequences(pair.video, condition)


def view_sequences(pair: PriorPair, pictures: Tensor, settings: GenerateSettings) -> Sequences:
    """Condition an orbit on each of the pictures (N, P, H, W), its last view."""
    sampling = settings.sampling
    if sampling.views_guidance_shape == "triangle":
        scales = triangle_scale(settings.views, 1.0, sampling.views_guidance)
    else:
        scales = constant_scale(settings.views, sampling.views_guidance)
    condition = pair.multiview.prepare(
        pictures,
        view_cameras(settings),
        _guidance(scales, sampling),
        cond_aug=sampling.views_cond_aug,
        seed=settings.seed,
    )
    return Sequences(pair.multiview, condition)


def _for_reference_video(settings: GenerateSettings) -> GenerateSettings:
    scale = settings.sampling.reference_video_guidance
    if scale is None:
        return settings
    sampling = replace(settings.sampling, video_guidance=scale, last_video_guidance=scale)
    return replace(settings, sampling=sampling)


def _guidance(scales: Tensor, sampling: SamplingSettings) -> Guidance:
    return Guidance(scales, sampling.guidance_sigma_low, sampling.guidance_sigma_high)


def _workers(settings: GenerateSettings) -> Workers:
    return Workers(settings.sampling.batch_size, settings.sampling.threads)


def _noise(pair: PriorPair, cells: tuple[int, int], picture: Tensor, seed: int, stream: int) -> CellNoise:
    height, width = picture.shape[-2:]
    factor = pair.codec.factor
    if height % factor or width % factor:
        raise InputError(f"pictures must be multiples of {factor} pixels, not {width}x{height}")
    return CellNoise(seed, (*cells, pair.codec.channels, height // factor, width // factor), stream)


@dataclass(frozen=True)
class _Reference:
    """One row, or one column, that its prior samples alone."""

    rows: Sequences | None
    columns: Sequences | None
    noise: CellNoise

    def sample(self, sampling: SamplingSettings, progress: Progress) -> Tensor:
        """Sample its latents, (T, C, h, w)."""
        alone = "video" if self.columns is None else "multiview"
        schedule = JointSchedule.from_settings(sampling, self.noise.shape[0], alone)
        return sample_joint(self.rows, self.columns, self.noise, schedule, Workers(), progress).flatten(0, 1)


def _share(progress: Progress, jobs: int) -> list[Progress]:
    """Make listeners for jobs that run side by side; what they did is added up for one listener."""
    counts, lock = [0] * jobs, Lock()

    def listener(job: int) -> Progress:
        def listen(done: int, total: int, detail: str = "") -> None:
            with lock:
                counts[job] = done
                progress(sum(counts), jobs * total, detail)

        return listen

    return [listener(job) for job in range(jobs)]


def _check(conditions: Conditions, settings: GenerateSettings) -> None:
    for name, images, count in (
        ("reference video", conditions.video, settings.frames),
        ("reference views", conditions.views, settings.views),
    ):
        if images is None or len(images) != count:
            found = "none" if images is None else str(len(images))
            raise InputError(f"the matrix needs {count} pictures as {name}, there are {found}")
        if images.shape[1:] != conditions.picture.shape:
            sizes = f"{tuple(images.shape[1:])}, not {tuple(conditions.picture.shape)}"
            raise InputError(f"the {name}'s pictures differ from the reference picture in shape: {sizes}")
