"""A run that begins, or goes on."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.distributed import ProcessGroup
from diffusion2.events import Event, Report, RunFinished, RunStarted, Warned, both
from diffusion2.image_matrix import Conditions
from diffusion2.inputs import read_conditions
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.pictures import split_alpha
from diffusion2.pipeline.processes import enlist
from diffusion2.priors.devices import choose_device
from diffusion2.runs.condition_files import read_recorded_conditions, write_conditions
from diffusion2.runs.event_log import EventLog
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import locked
from diffusion2.runs.plan import plan_resumed, plan_run
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.sampling.roles import assign
from diffusion2.weights.catalogue import check_available

LOST_SHARE = 0.05
"""Share of an object that may be missing without a word."""
MINI_DOMAIN = "the mini pair has only seen low-poly toy creatures: other objects run, but will not look good"


class SeesPictures(Protocol):
    """Networks that make something of a picture: a pair of priors, or the lifter."""

    @property
    def picture_channels(self) -> int:
        """Count the channels of a picture that they are shown: 3, RGB on white, or 4, with alpha."""
        ...


Networks = TypeVar("Networks", bound=SeesPictures)


@dataclass(frozen=True)
class Work(Generic[Networks]):
    """A run that has begun: its folder, what it is made of and with, who listens, what shows it meanwhile.

    `networks` is None where the matrix is in the folder already.
    """

    run: RunFolder
    settings: GenerateSettings
    conditions: Conditions
    networks: Networks | None
    report: Report
    group: ProcessGroup
    live: LiveFiles


@contextmanager
def begin(
    source: str | Path | Source,
    out: str | Path,
    preset: str | GenerateSettings | None,
    overwrite: bool,
    resume: bool,
    report: Report,
    group: ProcessGroup,
    load: Callable[[GenerateSettings, Collection[str]], Networks],
    next_step: str = "the same command with --resume goes on from the last checkpoint",
) -> Iterator[Work[Networks]]:
    """Read the conditions and load the networks, which refuses what can't be used; then begin or go on.

    `next_step` is what to do after a disk was full.
    """
    began, early = time.perf_counter(), list[Event]()
    run = RunFolder(Path(out))
    with locked(run.path, report):
        run.check(overwrite=overwrite, resume=resume)
        source = source if isinstance(source, Source) else Source(source)
        plan = plan_resumed(run, source, preset) if resume else plan_run(source, preset)
        settings = plan.settings
        check_available(settings.priors, settings.weights)
        has_matrix = resume and run.has_matrix
        if not has_matrix:
            enlist(group, settings)
        recorded = read_recorded_conditions(run, settings) if resume else None
        conditions = recorded or read_conditions(plan.source, settings, both(report, early.append))
        needed = assign(settings, group.size).networks(group.rank)
        networks = None if has_matrix else load(settings, needed)
        if networks is not None:
            if networks.picture_channels == 3:
                _warn_of_white(conditions.picture, both(report, early.append))
            conditions = conditions.with_channels(networks.picture_channels)
        with run.writing(next_step):
            if not resume:
                run.start(plan.to_config(choose_device(settings.sampling.device, settings.priors)))
            log = EventLog(run.events_path)
            both(report, log)(RunStarted(str(plan.source), run.path, settings.preset, plan.reason))
            for event in early:
                log(event)
            report = both(report, log)
            if settings.priors == "mini":
                report(Warned(MINI_DOMAIN))
            with run.completing(report), LiveFiles(run.path) as live:
                if recorded is None:
                    write_conditions(run, conditions, settings)
                yield Work(run, settings, conditions, networks, report, group, live)
            report(RunFinished(time.perf_counter() - began))


def _warn_of_white(picture: Tensor, report: Report) -> None:
    """Say that much of an object is white, where networks that know no alpha take it for the background."""
    rgb, alpha = split_alpha(picture)
    if alpha is None:
        return
    inside = alpha > 0.5
    lost = inside & (estimate_alphas(rgb[None])[0][0] < 0.5)
    share = float(lost.sum() / inside.sum().clamp(min=1))
    if share > LOST_SHARE:
        report(
            Warned(
                f"{share:.0%} of the object is white up to its outline: these priors take that for the "
                "background, and it will be missing; `diffusion2 preview` keeps it"
            )
        )
