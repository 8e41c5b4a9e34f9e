"""One run at a time in a folder."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from diffusion2.atomic_files import remove, sweep
from diffusion2.errors import InputError, in_one_line
from diffusion2.events import Report, Warned, ignore
from diffusion2.runs.live import LIVE

LOCK = ".lock"

_UNKNOWN = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems answer that know no locks."""


@contextmanager
def locked(folder: Path, report: Report = ignore) -> Iterator[None]:
    """Keep every other run out of a folder, in this process and in others.

    The operating system holds the lock (flock, or LockFileEx on Windows) and lets it go when the process
    ends, however it ends: what is left of a killed run is an unlocked file. A folder that isn't there is
    made, and removed again where nothing was put into it. What a killed run left half-written is removed.

    Args:
        folder: of the run.
        report: takes a note where the file system knows no locks.

    Raises:
        InputError: another run is at work there, or the folder can't be made or written to.
    """
    refuse_file(folder)
    made = [level for level in (folder, *folder.parents) if not level.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = _acquire(folder / LOCK, report)
        except OSError as error:
            raise InputError(f"can't write to {folder}: {in_one_line(error)}") from error
        try:
            for place in (folder, folder / "conditions", folder / "latents"):
                sweep(place)
            remove(folder / LIVE)
            yield
        finally:
            with suppress(OSError):  # Windows removes no file that is open; the next run takes it as it is
                (folder / LOCK).unlink(missing_ok=True)
            lock.release()
    finally:
        with suppress(OSError):  # of a folder that is not empty
            for level in made:
                level.rmdir()


def refuse_file(folder: Path) -> None:
    """Refuse a file where a run's folder is wanted.

    Raises:
        InputError: it is one.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file: give a folder, new or empty")


def _acquire(path: Path, report: Report) -> FileLock:
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another run is at work in {path.parent}: wait until it ends, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        report(Warned(f"{path.parent} knows no locks: see that no other run is started there meanwhile"))
    return lock
