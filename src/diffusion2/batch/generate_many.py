"""Many inputs become many assets: each a run in a folder of its own, with a summary and a contact sheet."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from diffusion2.batch.contact_sheet import write_contact_sheets
from diffusion2.batch.jobs import SHEET, SUMMARY, Job, read_jobs
from diffusion2.batch.make import is_finished, make_here
from diffusion2.batch.summary import BatchSummary, Outcome
from diffusion2.config import PRESETS, GenerateSettings, InputSettings, check_known
from diffusion2.errors import InputError
from diffusion2.events import Event, Report, ResultWritten, Warned, ignore, stage
from diffusion2.priors.devices import choose_device
from diffusion2.priors.loading import what_is_loaded
from diffusion2.runs.lock import locked, refuse_file
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.weights.catalogue import check_available, choose_preset

EngineName = Literal["local", "ray"]
Engine = Callable[[Sequence[Job], Report, Callable[[str], None]], Iterator[Outcome]]
"""Makes runs and gives what became of each, in any order; the last argument takes what it is doing."""


def generate_many(
    inputs: Iterable[str | Path | Source],
    out: str | Path,
    preset: str | GenerateSettings | None = None,
    *,
    input_settings: InputSettings | None = None,
    overwrite: bool = False,
    engine: EngineName = "local",
    ray_address: str | None = None,
    report: Report = ignore,
) -> BatchSummary:
    """Turn many inputs into moving 3D assets, each in its own folder in `out`; docs/batches.md.

    Runs that are finished are left as they are, interrupted ones go on. One that fails stops no other; the
    summary names it. The networks' weights are loaded once.

    Args:
        inputs: files, patterns such as `*.png`, lists (.txt), tables with settings for each (.csv), sources.
        out: the folder of the runs' folders, of `summary.json` and of the contact sheet.
        preset: of all runs, see `generate`; a table may say otherwise.
        input_settings: how all inputs are read that are no `Source`.
        overwrite: make finished runs anew; each is kept until the new one is complete.
        engine: "local": one after the other in this process; "ray": on the machines of a Ray cluster.
        ray_address: of the cluster; None: what `RAY_ADDRESS` says, or else Ray is started here.
        report: takes the events of the work; the stage "runs" counts them.

    Returns:
        What became of each; its method `check` raises an error where a run failed.

    Raises:
        InputError: inputs are missing, a list can't be meant, two runs would have one folder, or a folder has
            a run that was begun differently. Nothing has been changed then.
        WeightsError: a preset's weights are missing. Nothing has been changed then.
        BackendUnavailable: there is no such device, or Ray is missing.
    """
    out, notes = Path(out), list[Event]()
    settings = _choose_settings(preset)
    check_known("engine", [engine], ("local", "ray"))
    if ray_address is not None and engine != "ray":
        raise InputError("--ray-address is for --engine ray")
    jobs = read_jobs(
        inputs, out, settings, input_settings or InputSettings(), overwrite=overwrite, report=notes.append
    )
    _refuse_folder(out)
    summary = BatchSummary(out, jobs)
    for job in jobs:
        if is_finished(job):
            summary.outcomes[job.name] = Outcome(job.name, "finished")
    todo = [job for job in jobs if job.name not in summary.outcomes]
    work = _prepare(engine, ray_address, todo)
    with locked(out, report):
        for note in notes:
            report(note)
        summary.write()
        _make_all(work, todo, summary, report)
        summary.contact_sheets = sorted(out.glob(f"{SHEET}*.png"))
        if todo or not summary.contact_sheets:
            summary.contact_sheets = write_contact_sheets(summary, report)
        report(ResultWritten("summary", out / SUMMARY))
    return summary


def _choose_settings(preset: str | GenerateSettings | None) -> GenerateSettings:
    if isinstance(preset, GenerateSettings):
        return preset
    name = choose_preset()[0] if preset is None else preset
    check_known("preset", [name], PRESETS)
    return PRESETS[name]


def _refuse_folder(out: Path) -> None:
    """Refuse what can't hold the folders of many runs.

    Raises:
        InputError: it is a file, or itself the folder of a run.
    """
    refuse_file(out)
    if RunFolder(out).holds_run():
        raise InputError(f"{out} holds a run: many inputs need a folder for the folders of their runs")


def _prepare(engine: EngineName, ray_address: str | None, todo: Sequence[Job]) -> Engine:
    """Find the engine, and refuse what can't work for any run before the first one begins.

    Raises:
        WeightsError: weights that a run needs are missing on this machine, where it is to be made.
        BackendUnavailable: so is a device, or Ray.
    """
    if engine == "ray":
        from diffusion2.batch.ray_engine import find_ray, make_on_ray

        find_ray()
        return lambda jobs, report, say: make_on_ray(jobs, report, say, ray_address)
    for settings in {what_is_loaded(job.settings): job.settings for job in todo}.values():
        check_available(settings.priors, settings.weights)
        choose_device(settings.sampling.device, settings.priors)
    return make_here


def _make_all(work: Engine, todo: Sequence[Job], summary: BatchSummary, report: Report) -> None:
    before, total = len(summary.jobs) - len(todo), len(summary.jobs)
    if before:
        report(Warned(f"{before} of {total} runs are finished already"))
    if not todo:
        return
    with stage(report, "runs") as progress:
        progress(before, total)
        for outcome in work(todo, report, lambda now: progress(len(summary.outcomes), total, now)):
            summary.add(outcome)
            if outcome.state == "failed":
                report(Warned(f"{outcome.name} failed: {outcome.error}"))
            progress(len(summary.outcomes), total, outcome.name)
