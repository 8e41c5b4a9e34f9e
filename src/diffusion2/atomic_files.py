"""Files that are either whole or not there."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEFT = re.compile(r"\..+\.\d+\.(tmp(\.[^.]+)?|old)|\.write-test-\d+")
"""The names of what is being written, removed or tried, with the number of the process."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; move it to `path` when the block succeeds.

    The temporary path has the suffix of `path`. If the block raises, it is removed and `path` stays
    as it was. Works for a folder, too, where `path` does not exist yet.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically; not-a-number is refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def check_writable(folder: Path) -> None:
    """Try to write a file in a folder, which need not be there yet; leave nothing behind.

    For finding out before minutes of work. Only the attempt tells: access rights say nothing of read-only
    disks, and nothing at all to the superuser.

    Raises:
        OSError: it can't be written.
    """
    made: list[Path] = []
    probe = folder / f".write-test-{os.getpid()}"
    try:
        for level in reversed([folder, *folder.parents]):
            if not level.exists():
                level.mkdir()
                made.append(level)
        probe.write_bytes(b"")
        probe.unlink()
    finally:
        for level in reversed(made):
            level.rmdir()


def remove(path: Path) -> None:
    """Remove a file or folder if it is there; a link is removed, not what it points to.

    A folder goes at once, under another name, so that a killed process leaves no half of one.
    """
    if path.is_dir() and not path.is_symlink():
        going = path.with_name(f".{path.name}.{os.getpid()}.old")
        os.replace(path, going)
        shutil.rmtree(going)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written, or half-removed, in a folder, which need not be there.

    Only for a folder that no other process is writing to.
    """
    if folder.is_dir():
        for path in folder.iterdir():
            if _LEFT.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
