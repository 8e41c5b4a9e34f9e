"""Who does what, where several processes sample a matrix: as every one of them finds out by itself."""

from dataclasses import dataclass
from typing import Literal

from diffusion2.config import GenerateSettings
from diffusion2.priors.guidance import Guidance
from diffusion2.sampling.composition import multiview_weights
from diffusion2.sampling.conditioning import for_reference_video, video_guidance, views_guidance
from diffusion2.sampling.dealing import Kind, Share, deal
from diffusion2.sampling.joint import JointSchedule

Network = Literal["video", "multiview"]


@dataclass(frozen=True)
class Roles:
    """What each of several processes does.

    Attributes:
        shares: by rank, the matrix's rows and columns.
        video: ranks that sample the reference video.
        views: ranks that sample the reference views.
    """

    shares: list[tuple[Share, Share]]
    video: range
    views: range

    @property
    def idle(self) -> int:
        """Count the processes that have no share of the matrix."""
        return sum(not rows and not columns for rows, columns in self.shares)

    def networks(self, rank: int) -> frozenset[Network]:
        """Say which networks a process needs, where both references are to be sampled."""
        rows, columns = self.shares[rank]
        wanted: dict[Network, bool] = {
            "video": bool(rows) or rank in self.video,
            "multiview": bool(columns) or rank in self.views,
        }
        return frozenset(network for network, is_wanted in wanted.items() if is_wanted)


def assign(settings: GenerateSettings, processes: int) -> Roles:
    """Find out what each process does.

    The references are sampled at the same time, each by up to two processes, one for each half of guidance:
    the video by those that have rows of the matrix, the views by those that have columns.

    Args:
        settings: V, F and how to sample. With `offload`, no process gets rows and columns, nor both
            references, so that it needs one network only.
        processes: how many there are.
    """
    sampling = settings.sampling
    schedule = JointSchedule.from_settings(sampling, settings.views)
    weights = multiview_weights(sampling, settings.views)
    # features are kept of sequences, both halves together
    may_split = sampling.feature_reuse == 1

    def kind(count: int, length: int, guidance: Guidance) -> Kind:
        steps = [float(sigma) for sigma in schedule.sigmas[:-1]]
        levels = steps + steps[: schedule.rollback_steps]
        guided = sum(guidance.acts_at(sigma) for sigma in levels)
        return Kind(count, length * (len(levels) + guided), bool(guided) and may_split)

    rows = kind(
        settings.views if bool((weights != 1).any()) else 0, settings.frames, video_guidance(settings)
    )
    columns = kind(
        settings.frames if bool((weights != 0).any()) else 0, settings.views, views_guidance(settings)
    )
    shares = deal(rows, columns, processes, apart=sampling.offload)
    active = max(1, sum(bool(of_rows) or bool(of_columns) for of_rows, of_columns in shares))
    video, views = _reference_teams(settings, active)
    return Roles(shares, range(video), range(active - views, active))


def _reference_teams(settings: GenerateSettings, processes: int) -> tuple[int, int]:
    """Count the processes that sample the reference video, and the views."""
    halves = [
        2 if bool((guidance.scales != 1).any()) else 1
        for guidance in (video_guidance(for_reference_video(settings)), views_guidance(settings))
    ]
    if processes >= sum(halves):
        return halves[0], halves[1]
    if processes < 3:
        return 1, 1
    costs = [halves[0] * settings.frames, halves[1] * settings.views]
    return (2, 1) if costs[0] >= costs[1] else (1, 2)
