"""Runs on the machines of a Ray cluster: a task an input, which does what is done locally.

A task whose process or machine dies is tried again and goes on from its last checkpoint. What a task raises
is its outcome and is not tried again: it would be the same. How far runs are is read from their logs, which
lie, like all results, on storage that every machine sees.
"""

import json
import logging
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from diffusion2.batch.jobs import Job
from diffusion2.batch.make import make
from diffusion2.batch.summary import Outcome
from diffusion2.config import GenerateSettings
from diffusion2.errors import BackendUnavailable, InputError, in_one_line
from diffusion2.events import Report, ResultWritten, Warned, ignore
from diffusion2.priors.loading import KeptPriors
from diffusion2.runs.lock import LOCK
from diffusion2.runs.plan import package_versions
from diffusion2.weights.catalogue import weights_hashes

TRIES = 3
"""How often a run is begun, or gone on with, before it has failed because its process dies."""
POLL_SECONDS = 2.0
PROBE_SECONDS = 120.0
"""Time that a machine has to say what is installed there; importing may take long on shared storage."""
COMPARED = ("diffusion2", "torch")
"""Packages of which all machines need the same version."""
LOG_TAIL = 4096
"""Bytes at the end of a run's log in which its last event is."""
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With 0, Ray serves 127.0.0.1 alone, as it always does on a Mac, and not this machine's whole network."""

_kept = KeptPriors()
"""In a process of a machine: the pair of its last task. Ray gives a process many tasks."""


def find_ray() -> None:
    """Look whether Ray is here.

    Raises:
        BackendUnavailable: it is not installed.
    """
    if find_spec("ray") is None:
        raise BackendUnavailable("--engine ray needs Ray: pip install 'diffusion2[cluster]'")


def make_on_ray(
    jobs: Sequence[Job], report: Report, say: Callable[[str], None], address: str | None = None
) -> Iterator[Outcome]:
    """Make runs on a cluster.

    Args:
        jobs: the runs, in folders of one folder that is locked here and seen by all machines.
        report: takes notes, and what was written.
        say: takes how far the runs are, again and again.
        address: of the cluster; None: what `RAY_ADDRESS` says, or else Ray is started on this machine alone.

    Raises:
        BackendUnavailable: there is no cluster, or Ray is not installed.
        InputError: a machine does not see the folder, or has other versions or weights.
    """
    folder = jobs[0].out.parent.absolute()
    ray = _connect(address)
    try:
        machines = [node for node in ray.nodes() if node["Alive"]]
        _note_waiting(jobs, machines, report)
        _check_machines(ray, jobs, machines, folder)
        run = ray.remote(max_calls=0, max_retries=TRIES - 1)(_run_task)  # 0: GPUs' processes go on, too
        waiting = {run.options(**resources(job.settings)).remote(_absolute(job), folder): job for job in jobs}
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=POLL_SECONDS)
            for task in done:
                job = waiting.pop(task)
                outcome = _outcome(ray, task, job)
                if outcome.state == "finished":
                    report(ResultWritten("run", job.out))
                yield outcome
            say(said_by_logs(list(waiting.values())))
    finally:
        ray.shutdown()


def resources(settings: GenerateSettings) -> dict[str, float]:
    """Say what a run asks of a machine: a GPU for networks that run on one, or else cores.

    Many runs of one core each do more than one run of many cores after the other; `sampling.threads` asks for
    more.
    """
    on_gpu = settings.sampling.device == "cuda" or (
        settings.sampling.device == "auto" and settings.priors != "mini"
    )
    return {"num_gpus": 1, "num_cpus": 1} if on_gpu else {"num_cpus": settings.sampling.threads or 1}


def fits(asked: Mapping[str, float], has: Mapping[str, float]) -> bool:
    """Tell whether a machine has what a run asks for."""
    return has.get("CPU", 0) >= asked["num_cpus"] and has.get("GPU", 0) >= asked.get("num_gpus", 0)


def refuse_unlike(machines: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse machines that don't see the folder of the results, or have not all the same installed.

    Args:
        machines: what each says of itself, see `_probe`, by its name; the first is what the others are
            compared with.

    Raises:
        InputError: it names the machine.
    """
    if not machines:
        return
    first, expected = next(iter(machines.items()))
    for name, said in machines.items():
        if not said["sees"]:
            raise InputError(
                f"the machine {name} does not see {said['folder']}: give an --out on storage that all "
                "machines share, under the same path"
            )
        for part in ("versions", "weights"):
            for what in {**expected[part], **said[part]}:
                here, there = expected[part].get(what, "none"), said[part].get(what, "none")
                if here != there:
                    raise InputError(
                        f"the machines {first} and {name} differ in {what}: {here[:16]} and {there[:16]}; "
                        "install the same on both"
                    )


def said_by_logs(jobs: Sequence[Job], most: int = 3) -> str:
    """Say how far runs are that are at work, by the last lines of their logs."""
    found = [f"{job.name} {line}" for job in jobs if (line := _last_progress(job.out / "events.jsonl"))]
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _last_progress(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
            lines = file.read().splitlines()
        records = [json.loads(line) for line in lines[-2:] if line.startswith(b"{") and line.endswith(b"}")]
    except (OSError, ValueError):
        return ""  # not begun, or just being written
    event = records[-1] if records else {}
    if event.get("event") == "StageProgress":
        return f"{event['stage']} {event['done']}/{event['total']}"
    return str(event.get("stage", ""))


def _connect(address: str | None) -> Any:
    """Join the cluster, and return Ray; the tasks get the variables that say where weights are.

    Raises:
        BackendUnavailable: there is none at the address.
    """
    variables = {name: value for name, value in os.environ.items() if name.startswith("DIFFUSION2_")}
    at = address or os.environ.get("RAY_ADDRESS", "")
    if not at or at.split(":")[0] in ("127.0.0.1", "localhost"):
        os.environ.setdefault(LOOPBACK, "0")
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": variables},
            include_dashboard=None if at else False,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise BackendUnavailable(
            f"there is no Ray cluster{at and f' at {at}'}: {in_one_line(error)}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray's own would end the process without a word
    return ray


def _note_waiting(jobs: Sequence[Job], machines: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Say what runs will wait for. More machines may join, so that is no error."""
    for asked in {tuple(sorted(resources(job.settings).items())): None for job in jobs}:
        if not any(fits(dict(asked), machine["Resources"]) for machine in machines):
            wanted = "a GPU" if dict(asked).get("num_gpus") else f"{dict(asked)['num_cpus']:.0f} cores"
            report(Warned(f"no machine of the cluster has {wanted}: runs wait until one joins"))


def _check_machines(
    ray: Any, jobs: Sequence[Job], machines: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    """Ask every machine that will get a run what it has, and compare.

    Raises:
        InputError: see `refuse_unlike`; or a machine does not answer.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pairs = sorted({(job.settings.priors, job.settings.weights) for job in jobs}, key=str)
    probe, asked = ray.remote(num_cpus=0, max_retries=0)(_probe), {}
    for machine in machines:
        if any(fits(resources(job.settings), machine["Resources"]) for job in jobs):
            there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
            name = f"{machine['NodeManagerHostname']} ({machine['NodeID'][:8]})"
            asked[name] = probe.options(scheduling_strategy=there).remote(folder, pairs)
    answers = {}
    for name, answer in asked.items():
        try:
            answers[name] = ray.get(answer, timeout=PROBE_SECONDS)
        except ray.exceptions.RayError as error:
            raise InputError(f"the machine {name} can't work for us: {_cause(error)}") from error
    refuse_unlike(answers)


def _probe(folder: Path, pairs: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """Say on a machine what is there."""
    versions = package_versions()
    weights: dict[str, str] = {}
    for pair, place in pairs:
        weights |= weights_hashes(pair, place)
    return {
        "folder": str(folder),
        "sees": (folder / LOCK).exists(),
        "versions": {name: versions[name] for name in COMPARED},
        "weights": weights,
    }


def _run_task(job: Job, folder: Path) -> Outcome:
    """Make one run on a machine, on as many cores as it asked for."""
    import torch

    cores = max(1, int(resources(job.settings)["num_cpus"]))
    os.environ["OMP_NUM_THREADS"] = str(cores)
    torch.set_num_threads(cores)
    if not (folder / LOCK).exists():  # of a machine that joined later
        return Outcome(job.name, "failed", 0.0, f"the machine {platform.node()} does not see {folder}")
    return make(job, _kept, ignore)


def _absolute(job: Job) -> Job:
    """Name files as other machines, and other folders, find them."""
    parts = {part: path.absolute() for part, path in job.source.files.items()}
    return replace(job, out=job.out.absolute(), source=replace(job.source, **parts))


def _outcome(ray: Any, task: Any, job: Job) -> Outcome:
    """Get what became of a run, also where its process died as often as it was tried."""
    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        return Outcome(job.name, "failed", 0.0, f"its process died {TRIES} times: {_cause(error)}")


def _cause(error: BaseException) -> str:
    """Say in one line what Ray says on many."""
    return in_one_line(getattr(error, "cause", None) or error)
