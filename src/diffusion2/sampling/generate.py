"""Stage 1: from known references to the latents of the matrix and its images."""

import torch
from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.distributed import ALONE, Message, ProcessGroup
from diffusion2.errors import InputError
from diffusion2.events import Report, Warned, ignore, stage
from diffusion2.image_matrix import Conditions, ImageMatrix, frame_times, turn_time, view_cameras
from diffusion2.pictures import split_alpha, with_alpha
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling.conditioning import (
    cell_noise,
    guess_columns,
    mirrored,
    video_sequences,
    view_sequences,
)
from diffusion2.sampling.joint import State, sample_joint
from diffusion2.sampling.noise import MATRIX
from diffusion2.sampling.parallel import Sequences, Workers
from diffusion2.sampling.roles import assign
from diffusion2.sampling.rounds import Keeper, OnCheckpoint, OnEstimate, Redraw, Round, plan_rounds


def sample_matrix(
    pair: PriorPair,
    conditions: Conditions,
    settings: GenerateSettings,
    report: Report = ignore,
    *,
    on_checkpoint: OnCheckpoint | None = None,
    on_estimate: OnEstimate | None = None,
    redraw: Redraw | None = None,
    start: tuple[int, State] | None = None,
    group: ProcessGroup = ALONE,
) -> Tensor:
    """Sample the latents of the whole matrix by both priors (Algorithm 1).

    As in eq. 6, the video of view v starts from the reference column's view v, and the orbit at frame f ends
    at the reference row's frame f.

    Several processes hold the whole matrix each, and estimate the rows and columns that `assign` gives them.

    Args:
        pair: the priors.
        conditions: with video and views; the same in all processes.
        settings: V, F, the elevation, the seed and how to sample.
        report: takes the events of the stage "matrix", whose units are evaluations of the matrix; of one such
            stage for each round.
        on_checkpoint: called with (steps done, state) every `checkpoint_every` steps, or soon after, when the
            next step needs no features of earlier ones; and between two rounds.
        on_estimate: called after each step.
        redraw: what each round but the first begins with. The first process needs it where there are any.
        start: what `on_checkpoint` got, to go on from; the result is the same to the bit. The same in all
            processes, whose number may be another one than before.
        group: the processes that sample it together.

    Returns:
        (V, F, C, h, w) float32, the same in all processes.

    Raises:
        InputError: the conditions are incomplete or do not fit V and F.
        NumericalError: an estimate isn't finite.
    """
    conditions = conditions.with_channels(pair.picture_channels)
    _check(conditions, settings)
    sampling = settings.sampling
    noise = cell_noise(pair, (settings.views, settings.frames), conditions.picture, settings.seed, MATRIX)
    assert conditions.video is not None
    guess = guess_columns(pair, conditions.video, settings, group, conditions.views)
    rounds = plan_rounds(sampling, settings.views, guess.sigma if guess else None)
    rows, columns = _matrix_sequences(pair, conditions, settings, rounds, report, group)
    done, state = start or (0, {})
    keeper = Keeper(sampling.checkpoint_every, done, on_checkpoint, on_estimate)
    for current in rounds:
        if done >= current.end:
            continue
        own = current.goes_on_from((done, state))
        clean = guess.latents if guess and not current.before else None
        if own is None and current.before:
            images = decode_matrix(pair, state["latents"], report, sampling.threads, group)
            clean = _redrawn(pair, images, redraw, group)
        if own is None and clean is not None:
            sigma = float(current.schedule.sigmas[0])
            own = (0, {"latents": clean + sigma * noise(1 + current.before)})
        with (
            stage(report, "matrix") as progress,
            Workers(sampling.batch_size, sampling.threads, group) as workers,
        ):
            on_step = keeper.of(current)
            latents = sample_joint(rows, columns, noise, current.schedule, workers, progress, on_step, own)
        done, state = current.end, {"latents": latents}
    return state["latents"]


def _matrix_sequences(
    pair: PriorPair,
    conditions: Conditions,
    settings: GenerateSettings,
    rounds: list[Round],
    report: Report,
    group: ProcessGroup,
) -> tuple[Sequences, Sequences]:
    """Condition this process's rows and columns of the matrix."""
    roles = assign(settings, group.size)
    if roles.idle:
        report(
            Warned(
                f"{roles.idle} of the {group.size} processes have nothing to do: there are not more pieces"
            )
        )
    pair = mirrored(pair, settings)
    if settings.sampling.feature_reuse > 1:
        pair = pair.reusing_features(frozenset.union(*(each.schedule.fresh_sigmas for each in rounds)))
    of_rows, of_columns = roles.shares[group.rank]
    assert conditions.video is not None
    assert conditions.views is not None
    return (
        video_sequences(pair, conditions.views, settings, of_rows),
        view_sequences(pair, conditions.video, settings, of_columns),
    )


def _redrawn(pair: PriorPair, images: Tensor, redraw: Redraw | None, group: ProcessGroup) -> Tensor:
    """Get the latents (V, F, C, h, w) of what the first process draws of the matrix's images again."""
    message = None
    if group.is_first:
        assert redraw is not None
        latents = [pair.codec.encode_scaled(row) for row in redraw(images)]
        message = Message({"latents": torch.stack(latents)})
    return group.broadcast(message).tensors["latents"]


def decode_matrix(
    pair: PriorPair, latents: Tensor, report: Report = ignore, threads: int = 0, group: ProcessGroup = ALONE
) -> Tensor:
    """Decode the latents of a matrix row by row.

    Args:
        pair: whose codec.
        latents: (V, F, C, h, w), the same in all processes.
        report: takes the events of the stage "decode", whose units are rows.
        threads: rows at once; 0: one per core on a CPU.
        group: the processes that share the rows.

    Returns:
        (V, F, P, H, W) float32 in [0, 1]: on white and, where latents hold it, alpha. In other processes than
        the first, nothing: (0, F, P, H, W).
    """
    views, each = len(latents), -(-len(latents) // group.size)
    mine = latents[group.rank * each : (group.rank + 1) * each]
    with stage(report, "decode") as progress, Workers(1, threads, group) as workers:
        progress(0, views)
        images = []
        for row in workers.map(pair.codec.decode, list(mine)):
            images.append(row)
            progress(min(views, group.size * len(images)), views)
        factor, (frames, _, height, width) = pair.codec.factor, latents.shape[1:]
        shape = (frames, pair.picture_channels, factor * height, factor * width)
        block = torch.stack(images) if images else torch.empty(0, *shape)
        if group.size == 1:
            return block
        parts = group.gather(torch.cat([block, torch.zeros(each - len(block), *shape)]))
    return block[:0] if parts is None else torch.cat(parts)[:views]


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


def matrix_images(matrix: ImageMatrix, settings: GenerateSettings, channels: int) -> Tensor:
    """Undo `assemble_matrix`: images (V, F, P, H, W) of so many channels, the reference frame first."""
    return turn_time(with_alpha(matrix.images, matrix.alphas), settings, dim=1)[:, :, :channels]


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
