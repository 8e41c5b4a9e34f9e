"""Result files: whole or not there, and one clear line when they can't be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusion2.atomic_files import atomic_path
from diffusion2.errors import ExportError, in_one_line


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
    if not path.parent.is_dir():
        raise ExportError(f"{path}: {what} can't be written: create the folder {path.parent} first")
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise ExportError(f"{path}: {what} could not be written: {in_one_line(error)}") from error
