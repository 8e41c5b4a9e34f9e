"""Result files: whole or not there, and one clear line when they can't be written."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusion2.atomic_files import atomic_path, remove
from diffusion2.errors import ExportError, in_one_line

DIGITS = 3


@contextmanager
def writing(path: str | Path, what: str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block succeeds.

    Args:
        path: where the file goes; its folder must exist; a file that is there is replaced.
        what: what is written, for the message, e.g. "the video".

    Raises:
        ExportError: when the file can't be written; nothing is left behind then.
    """
    path = Path(path)
    if path.is_dir():
        raise ExportError(f"{path}: {what} can't be written there: it is a folder; give a file name")
    _check_folder(path, what)
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise ExportError(f"{path}: {what} could not be written: {in_one_line(error)}") from error


@contextmanager
def writing_numbered(pattern: Path, what: str, count: int) -> Iterator[Callable[[int], Path]]:
    """Yield what gives temporary paths for numbers from 0; all become files when the block succeeds.

    Args:
        pattern: such as `fox_*.ply`; the number takes the star's place. Its folder is made where only that is
            missing. Numbered files that fit the pattern are replaced, those beyond the new ones, too, so that
            two sequences never mix.
        what: what is written, for the message.
        count: how many files there will be; all numbers have the digits of the largest, and at least three.

    Raises:
        ExportError: when they can't be written; then nothing is left behind, and what was there is.
    """
    folder = pattern.parent
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: {what} can't be written there: it is a file; give a folder")
    before, star, after = pattern.name.partition("*")
    if not star or "*" in after:
        raise ExportError(f"{pattern}: one * in the file's name is where the numbers go")
    _check_folder(folder, what)
    digits = max(DIGITS, len(str(count - 1)))
    fits = re.compile(f"{re.escape(before)}[0-9]+{re.escape(after)}")
    made = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        work = folder / f".{what.split()[-1]}.{os.getpid()}.tmp"
        try:
            work.mkdir()
            yield lambda number: work / f"{before}{number:0{digits}d}{after}"
            earlier = [path for path in folder.iterdir() if fits.fullmatch(path.name)]
            new = sorted(work.iterdir())
            for path in new:
                os.replace(path, folder / path.name)
            for path in {path.name for path in earlier} - {path.name for path in new}:
                (folder / path).unlink()
        finally:
            remove(work)
            if made and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise ExportError(f"{pattern}: {what} could not be written: {in_one_line(error)}") from error


def _check_folder(path: Path, what: str) -> None:
    if not path.parent.is_dir():
        raise ExportError(f"{path}: {what} can't be written: create the folder {path.parent} first")
