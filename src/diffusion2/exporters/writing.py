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
    before, star, after = pattern.name.partition("*")
    if not star or "*" in after:
        raise ExportError(f"{pattern}: one * in the file's name is where the numbers go")
    digits = max(DIGITS, len(str(count - 1)))
    fits = re.compile(f"{re.escape(before)}[0-9]+{re.escape(after)}")
    with _gathering(pattern.parent, what, fits, shown=pattern) as work:
        yield lambda number: work / f"{before}{number:0{digits}d}{after}"


@contextmanager
def writing_folder(folder: Path, what: str, fits: re.Pattern[str]) -> Iterator[Path]:
    """Yield a temporary folder whose files and folders get into `folder` when the block succeeds.

    Args:
        folder: where they go; made where only it is missing.
        what: what is written, for the message.
        fits: the names that are in such a folder; they are replaced, those that don't come again, too.

    Raises:
        ExportError: it has anything else in it, or can't be written; then nothing is left behind, and what
            was there is.
    """
    if folder.is_dir():
        others = sorted(path.name for path in folder.iterdir() if not fits.fullmatch(path.name))
        if others:
            raise ExportError(
                f"{folder}: {what} can't be written there: it holds other files ({others[0]} …); give a new "
                "or empty folder"
            )
    with _gathering(folder, what, fits, shown=folder) as work:
        yield work


@contextmanager
def _gathering(folder: Path, what: str, fits: re.Pattern[str], shown: Path) -> Iterator[Path]:
    """Yield a temporary folder inside of `folder`; its contents replace what fits when the block succeeds."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: {what} can't be written there: it is a file; give a folder")
    _check_folder(folder, what)
    made = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        work = folder / f".{what.split()[-1]}.{os.getpid()}.tmp"
        try:
            work.mkdir()
            yield work
            earlier = {path.name for path in folder.iterdir() if fits.fullmatch(path.name)}
            new = sorted(work.iterdir(), key=lambda path: (path.is_file(), path.name))  # lists come last
            for path in new:
                if path.is_dir():
                    remove(folder / path.name)
                os.replace(path, folder / path.name)
            for name in earlier - {path.name for path in new}:
                remove(folder / name)
        finally:
            remove(work)
            if made and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise ExportError(f"{shown}: {what} could not be written: {in_one_line(error)}") from error


def _check_folder(path: Path, what: str) -> None:
    if not path.parent.is_dir():
        raise ExportError(f"{path}: {what} can't be written: create the folder {path.parent} first")
