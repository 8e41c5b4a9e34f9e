"""One run of many, the same on every engine; and the engine that makes them one after the other, here."""

import ctypes
import gc
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

from diffusion2.batch.jobs import Job
from diffusion2.batch.summary import Outcome
from diffusion2.errors import Diffusion2Error, in_one_line
from diffusion2.events import Report
from diffusion2.pipeline import generate
from diffusion2.priors.loading import KeptPriors, LoadPriors, what_is_loaded
from diffusion2.runs.plan import plan_resumed
from diffusion2.runs.run_folder import RunFolder


def make(job: Job, load: LoadPriors, report: Report) -> Outcome:
    """Make a run, or go on with it where it was interrupted; whatever is wrong with it is its outcome.

    Args:
        job: which run.
        load: gives the pair of priors.
        report: takes the events of the work.
    """
    began, where, machine = time.perf_counter(), "", platform.node()
    try:
        resume = not job.overwrite and RunFolder(job.out).config_path.is_file()
        generate(
            job.source,
            job.out,
            job.settings,
            overwrite=job.overwrite,
            resume=resume,
            report=report,
            load=load,
        )
        return Outcome(job.name, "finished", time.perf_counter() - began, machine=machine)
    except BrokenPipeError:
        raise  # nobody listens any more
    except Diffusion2Error as error:
        said = str(error)
    except Exception as error:
        said, where = f"{type(error).__name__}: {in_one_line(error)}", traceback.format_exc()
    finally:
        _give_memory_back()
    return Outcome(job.name, "failed", time.perf_counter() - began, said, where, machine)


def _give_memory_back() -> None:
    """Free what a run has left behind, so that a thousand runs need no more memory than one.

    The C library of Linux keeps freed memory in many pieces of its own; it is asked to return them.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps nothing
        if trim is not None:
            trim(0)


def make_here(jobs: Sequence[Job], report: Report, say: Callable[[str], None]) -> Iterator[Outcome]:
    """Make runs one after the other in this process; those that share a pair of priors follow each other.

    Args:
        jobs: the runs.
        report: takes the events of each.
        say: takes which run is made.
    """
    load = KeptPriors()
    order = list(dict.fromkeys(what_is_loaded(job.settings) for job in jobs))
    for job in sorted(jobs, key=lambda job: order.index(what_is_loaded(job.settings))):
        say(job.name)
        yield make(job, load, report)


def is_finished(job: Job) -> bool:
    """Tell whether a run is complete, and refuse one that was begun with other settings or another input.

    Raises:
        InputError, AssetFormatError: it was, or its records can't be read.
    """
    run = RunFolder(job.out)
    if job.overwrite or not run.config_path.is_file():
        return False
    plan_resumed(run, job.source, job.settings)
    return run.is_finished
