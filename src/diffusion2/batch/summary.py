"""What became of many runs: `summary.json`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from diffusion2.atomic_files import write_json
from diffusion2.batch.jobs import SUMMARY, Job
from diffusion2.errors import RunsFailed
from diffusion2.runs.run_folder import RunFolder

State = Literal["finished", "failed", "waiting"]


@dataclass(frozen=True)
class Outcome:
    """What became of one run.

    Attributes:
        name: of the run.
        state: "finished", "failed", or "waiting" for its turn.
        seconds: that it took; None where it was finished before.
        error: why it failed, in one line.
        traceback: where, if that was not one of our own errors.
        machine: where it was made; "" where it was finished before.
    """

    name: str
    state: State
    seconds: float | None = None
    error: str = ""
    traceback: str = ""
    machine: str = ""


@dataclass
class BatchSummary:
    """Many runs and what became of each.

    Attributes:
        path: `summary.json` in the folder of their folders, written anew after every run.
        jobs: the runs, in the order of the inputs.
        outcomes: of each, by its name; one that is missing waits for its turn.
        contact_sheets: the pictures that show all results, once there are any.
    """

    path: Path
    jobs: Sequence[Job]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    contact_sheets: list[Path] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def runs(self) -> list[RunFolder]:
        """Return the folders of the runs that are finished."""
        return [RunFolder(job.out) for job in self.jobs if self.outcome(job).state == "finished"]

    @property
    def failed(self) -> list[Outcome]:
        """Return what became of those that failed."""
        return [self.outcome(job) for job in self.jobs if self.outcome(job).state == "failed"]

    def outcome(self, job: Job) -> Outcome:
        """Return what became of a run."""
        return self.outcomes.get(job.name, Outcome(job.name, "waiting"))

    def add(self, outcome: Outcome) -> None:
        """Take what became of a run, and write it down."""
        self.outcomes[outcome.name] = outcome
        self.write()

    def write(self) -> None:
        """Write `summary.json`."""
        states = [self.outcome(job).state for job in self.jobs]
        counts = {state: states.count(state) for state in ("finished", "failed", "waiting")}
        write_json(
            self.path / SUMMARY,
            {
                **counts,
                "seconds": round(time.perf_counter() - self._began, 3),
                "runs": [_to_record(job, self.outcome(job)) for job in self.jobs],
            },
        )

    def check(self) -> None:
        """Say that runs have failed.

        Raises:
            RunsFailed: names the first one, and says where all are.
        """
        failed = self.failed
        if failed:
            raise RunsFailed(
                f"{len(failed)} of {len(self.jobs)} runs failed, {failed[0].name}: {failed[0].error}; all "
                f"are named in {self.path / SUMMARY}, and the same command tries them again"
            )


def _to_record(job: Job, outcome: Outcome) -> dict[str, Any]:
    record = {
        "name": job.name,
        "input": str(job.source),
        "out": str(job.out),
        "preset": job.settings.preset,
        "seed": job.settings.seed,
        "state": outcome.state,
    }
    if outcome.state == "finished":
        record["made"] = "before" if outcome.seconds is None else "now"
    if outcome.seconds is not None:
        record["seconds"] = round(outcome.seconds, 3)
    said = {"error": outcome.error, "traceback": outcome.traceback, "machine": outcome.machine}
    return record | {name: value for name, value in said.items() if value}
