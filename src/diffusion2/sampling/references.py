"""The reference video and the reference views, where they are not known: each by one prior alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.distributed import ALONE, Message, ProcessGroup
from diffusion2.events import Progress, Report, ignore, stage
from diffusion2.image_matrix import Conditions
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling.conditioning import (
    Guess,
    cell_noise,
    for_reference_video,
    guess_columns,
    mirrored,
    video_sequences,
    view_sequences,
)
from diffusion2.sampling.dealing import Share
from diffusion2.sampling.joint import JointSchedule, sample_joint
from diffusion2.sampling.noise import REFERENCE_VIDEO, REFERENCE_VIEWS, CellNoise
from diffusion2.sampling.parallel import Sequences, Workers, allowed_threads
from diffusion2.sampling.roles import assign


def sample_references(
    pair: PriorPair,
    conditions: Conditions,
    settings: GenerateSettings,
    report: Report = ignore,
    group: ProcessGroup = ALONE,
) -> Conditions:
    """Generate the reference video and the reference views where they are not known.

    Each is a matrix of one row, or one column, sampled by one prior alone and without rollbacks, as nothing
    has to be reconciled. They do not depend on each other and are sampled side by side.

    Args:
        pair: the priors.
        conditions: the picture, and what else is known; the same in all processes.
        settings: V, F, the elevation, the seed and how to sample.
        report: takes the events of the stage "references", whose units are steps of either.
        group: the processes that sample them together; see `assign`.

    Returns:
        The conditions with video (F, P, H, W) and views (V, P, H, W), float32 in [0, 1]; the picture itself
        is the first frame and the last view. P is what the pair's codec has. The same in all processes.

    Raises:
        InputError: the picture's size does not fit the priors, or they need alpha and it has none.
        NumericalError: an estimate isn't finite.
    """
    conditions = conditions.with_channels(pair.picture_channels)
    picture = conditions.picture
    roles = assign(settings, group.size)
    ranks: dict[str, range] = {}
    if conditions.video is None:
        ranks["video"] = roles.video
    if conditions.views is None:
        ranks["views"] = roles.views
    if not ranks:
        return conditions
    makers = {"video": _reference_video, "views": _reference_views}
    teams = dict(zip(ranks, group.split(list(ranks.values())), strict=True))
    pair = mirrored(pair, settings)
    jobs = {
        name: makers[name](pair, picture, settings, team) for name, team in teams.items() if team is not None
    }
    threads = min(settings.sampling.threads or allowed_threads(group.local_size), len(jobs))
    with stage(report, "references") as progress, Workers(1, max(1, threads)) as workers:
        listeners = _share(progress, len(jobs))

        def run(job: tuple[_Reference, Progress]) -> Tensor | None:
            return job[0].sample(pair, settings, job[1])

        done = list(workers.map(run, zip(jobs.values(), listeners, strict=True)))
        images = dict(zip(jobs, done, strict=True))
        made = {name: _told(group, images.get(name), ranks[name][0]) for name in ranks}
    for name, at in (("video", 0), ("views", -1)):
        if name in made:
            made[name][at] = picture  # the prior was given it, and makes it a little different
    return replace(conditions, **made)


def _told(group: ProcessGroup, images: Tensor | None, source: int) -> Tensor:
    """Get a reference from the process that has it."""
    message = None if images is None else Message({"images": images})
    return group.broadcast(message, source).tensors["images"]


@dataclass(frozen=True)
class _Reference:
    """One row, or one column, that its prior samples alone, and the processes that sample it together."""

    rows: Sequences | None
    columns: Sequences | None
    noise: CellNoise
    team: ProcessGroup
    guess: Guess | None = None

    def sample(self, pair: PriorPair, settings: GenerateSettings, progress: Progress) -> Tensor | None:
        """Sample its latents, and in the first process of its team decode them: (T, P, H, W)."""
        alone = "video" if self.columns is None else "multiview"
        schedule = JointSchedule.from_settings(settings.sampling, self.noise.shape[0], alone)
        start = None
        if self.guess is not None:
            schedule = schedule.below(self.guess.sigma)
            start = (0, {"latents": self.guess.latents + float(schedule.sigmas[0]) * self.noise(0)})
        workers = Workers(group=self.team)
        latents = sample_joint(self.rows, self.columns, self.noise, schedule, workers, progress, start=start)
        return pair.codec.decode(latents.flatten(0, 1)) if self.team.is_first else None


def _reference_video(
    pair: PriorPair, picture: Tensor, settings: GenerateSettings, team: ProcessGroup
) -> _Reference:
    noise = cell_noise(pair, (1, settings.frames), picture, settings.seed, REFERENCE_VIDEO)
    rows = video_sequences(pair, picture[None], for_reference_video(settings), _half(team))
    return _Reference(rows, None, noise, team)


def _reference_views(
    pair: PriorPair, picture: Tensor, settings: GenerateSettings, team: ProcessGroup
) -> _Reference:
    noise = cell_noise(pair, (settings.views, 1), picture, settings.seed, REFERENCE_VIEWS)
    guess = guess_columns(pair, picture[None], settings, team)
    return _Reference(None, view_sequences(pair, picture[None], settings, _half(team)), noise, team, guess)


def _half(team: ProcessGroup) -> Share:
    """Get a process's share of one sequence: all of it, or one half of guidance."""
    return Share(0, 2) if team.size == 1 else Share(team.rank, team.rank + 1)


def _share(progress: Progress, jobs: int) -> list[Progress]:
    """Make listeners for jobs that run side by side; what they did is added up for one listener."""
    counts, lock = [0] * jobs, Lock()

    def listener(job: int) -> Callable[..., None]:
        def listen(done: int, total: int, detail: str = "") -> None:
            with lock:
                counts[job] = done
                progress(sum(counts), jobs * total, detail)

        return listen

    return [listener(job) for job in range(jobs)]
