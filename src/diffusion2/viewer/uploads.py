"""Files that come from the page: how large they may be, where they lie, what they are."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion2.atomic_files import remove
from diffusion2.errors import InputError, in_one_line
from diffusion2.runs.run_folder import INPUT

if TYPE_CHECKING:
    import viser

LARGEST_BYTES = 200_000_000
LONGEST_NAME = 40
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_DRAFTS = itertools.count()


class Draft:
    """A run's folder before there is a run: with its input, under a hidden name.

    Args:
        runs: the folder of all runs.
        name: of the file, as who sent it calls it; it becomes a part of the run's name, and no path.
        content: of the file.

    Raises:
        InputError: it is empty or too large, or can't be written.
    """

    def __init__(self, runs: Path, name: str, content: bytes) -> None:
        if not content:
            raise InputError(f"{name[:LONGEST_NAME]} is empty")
        check_size(name, len(content))
        suffix = Path(name).suffix
        self._runs, self.name = runs, tidy_name(name)
        self.folder = runs / f".draft-{next(_DRAFTS)}.{os.getpid()}.tmp"
        self.file = self.folder / INPUT / f"{self.name}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
        try:
            self.file.parent.mkdir(parents=True)
            self.file.write_bytes(content)
        except OSError as error:
            self.discard()
            raise InputError(
                f"{name[:LONGEST_NAME]} can't be kept in {runs}: {in_one_line(error)}"
            ) from error

    def discard(self) -> None:
        """Remove it."""
        with suppress(OSError):
            remove(self.folder)

    def begin(self) -> tuple[Path, Path]:
        """Make it a run's folder of its own name.

        Returns:
            The folder, and the input in it.

        Raises:
            InputError: the folder can't be renamed.
        """
        run = self._runs / self.name
        for number in itertools.count(2):
            if not run.exists():
                break
            run = self._runs / f"{self.name}-{number}"
        try:
            os.rename(self.folder, run)
        except OSError as error:
            raise InputError(f"{run} can't be made: {in_one_line(error)}") from error
        return run, run / INPUT / self.file.name


def tidy_name(name: str) -> str:
    """Make the name of a folder out of whatever a file is called."""
    stem = Path(name.replace("\\", "/")).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:LONGEST_NAME] or "object"


def check_size(name: str, size: int) -> None:
    """Refuse a file that is too large.

    Raises:
        InputError: it is.
    """
    if size > LARGEST_BYTES:
        raise InputError(
            f"{name[:LONGEST_NAME]} has {size / 1e6:.0f} MB, at most {LARGEST_BYTES / 1e6:.0f} are taken "
            "here: give a smaller one, or use diffusion2 generate"
        )


def refuse_large_uploads(server: viser.ViserServer, refused: Callable[[InputError], None]) -> None:
    """Let a server drop files that are too large when they are announced, before a byte of them is there.

    viser itself keeps whatever it is sent in memory.

    Args:
        server: to guard.
        refused: called with the error.
    """
    from viser._messages import FileTransferPartAck, FileTransferStartUpload

    interface, transfers = server.gui._websock_interface, server.gui._current_file_upload_states

    def announced(client_id: int, message: FileTransferStartUpload) -> None:
        try:
            check_size(message.filename, message.size_bytes)
        except InputError as error:
            transfers.pop(message.transfer_uuid, None)
            acknowledged = FileTransferPartAck(
                message.source_component_uuid, message.transfer_uuid, message.size_bytes, message.size_bytes
            )
            interface.queue_message(acknowledged)  # or the page would wait for it
            refused(error)

    interface.register_handler(FileTransferStartUpload, announced)
