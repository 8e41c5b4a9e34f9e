"""What a run would see of an input, found out in a process of its own.

Readers of pictures, videos and models are large libraries; whatever a file does to one of them, the page
stays.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from diffusion2.config import GenerateSettings
from diffusion2.errors import Diffusion2Error, InputError

LONGEST_S = 120.0
PICTURES = 3
SQUARE_PX = 8
"""Side of the squares behind what is transparent."""


@dataclass(frozen=True)
class CutOut:
    """An input as a run sees it.

    Attributes:
        picture: (H, W, 3) uint8: the object, or up to three frames or views of it, on a checkerboard.
        told: what it is, in a few words.
        notes: what the user should know.
    """

    picture: np.ndarray
    told: str
    notes: tuple[str, ...]


class CutOuts:
    """The process that reads inputs; it starts when it is first needed, and again when it was ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._line: Connection | None = None

    def look(self, path: Path, settings: GenerateSettings) -> CutOut:
        """Read an input.

        Raises:
            InputError: it can't be used; or its reader crashed, or took more than two minutes.
        """
        with self._lock:
            line = self._start()
            try:
                line.send((path, settings))
                if not line.poll(LONGEST_S):
                    self._end()
                    raise InputError(f"{path.name} was not read within {LONGEST_S:.0f} s: give a smaller one")
                answer = line.recv()
            except (EOFError, OSError):
                self._end()
                raise InputError(f"{path.name} can't be read: the program that reads it crashed") from None
        if isinstance(answer, str):
            raise InputError(answer)
        return answer

    def close(self) -> None:
        """End the process, also while it reads."""
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end()

    def _start(self) -> Connection:
        if self._line is not None and self._process is not None and self._process.is_alive():
            return self._line
        context = multiprocessing.get_context("spawn")
        line, theirs = context.Pipe()
        process = context.Process(target=_answer, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._line, self._process = line, process
        return line

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._line is not None:
            self._line.close()
        self._process = self._line = None


def _answer(line: Connection) -> None:
    """Read one input after the other, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C in the terminal; the page ends this process
    while True:
        try:
            path, settings = line.recv()
        except EOFError:
            return
        try:
            answer: CutOut | str = read_cut_out(path, settings)
        except Diffusion2Error as error:
            answer = str(error)
        except Exception as error:
            answer = f"{path.name} can't be read: {type(error).__name__}: {error}"
        line.send(answer)


def read_cut_out(path: Path, settings: GenerateSettings) -> CutOut:
    """Read an input as a run with these settings would.

    Raises:
        Diffusion2Error: what `read_conditions` raises.
    """
    from diffusion2.events import Event, Warned
    from diffusion2.inputs import read_conditions
    from diffusion2.pictures import to_pixels
    from diffusion2.runs.source import Source

    events: list[Event] = []
    found = read_conditions(Source(path), settings, events.append)
    if found.video is not None:
        shown, told = found.video, f"a video, {len(found.video)} frames of it"
    elif found.views is not None:
        shown, told = found.views, f"a 3D model, {len(found.views)} views of it"
    else:
        shown, told = found.picture[None], "a picture"
    chosen = shown[np.linspace(0, len(shown) - 1, min(PICTURES, len(shown))).round().astype(int)]
    pictures = [_on_squares(to_pixels(one[:3]), to_pixels(one[3:].expand(3, -1, -1))) for one in chosen]
    notes = tuple(event.message for event in events if isinstance(event, Warned))
    return CutOut(np.concatenate(pictures, axis=1), told, notes)


def _on_squares(on_white: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Take a picture (H, W, 3) on white off the white, and lay it on a checkerboard."""
    rows, columns = np.indices(on_white.shape[:2]) // SQUARE_PX
    squares = np.where((rows + columns) % 2, 225, 245)[..., None]
    behind = 1 - alpha / 255
    return (on_white - behind * (255 - squares)).clip(0, 255).astype(np.uint8)
