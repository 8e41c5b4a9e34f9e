"""Time on the page: how a motion goes on when it has ended, and the controls of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import viser

from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.presentation import is_loop

STEPS_PER_SECOND = 24


@dataclass(frozen=True)
class Moment:
    """What is shown.

    Attributes:
        time: in [0, 1].
        closing: how far the object has gone from its last frame to its first, in [0, 1).
    """

    time: float
    closing: float = 0.0


@dataclass(frozen=True)
class Cycle:
    """How a motion repeats: round and round where it closes, forth and back where it would jump.

    Attributes:
        duration_s: from time 0 to time 1.
        closing_s: from the last frame to the first, of a loop; None of what goes forth and back.
    """

    duration_s: float
    closing_s: float | None = None

    @staticmethod
    def of(asset: Asset4D) -> Cycle:
        """Choose how an asset repeats, as `viewer.html` does."""
        return Cycle(asset.metadata.duration_s, 1 / asset.metadata.fps if is_loop(asset) else None)

    @property
    def period_s(self) -> float:
        """Seconds until it begins again."""
        return 2 * self.duration_s if self.closing_s is None else self.duration_s + self.closing_s

    def at(self, seconds: float) -> Moment:
        """Return what is shown so many seconds after the beginning."""
        seconds %= self.period_s
        if seconds <= self.duration_s:
            return Moment(seconds / self.duration_s)
        if self.closing_s is None:
            return Moment(2 - seconds / self.duration_s)
        return Moment(1.0, min((seconds - self.duration_s) / self.closing_s, 0.999))


class Playback:
    """The time slider, play, and speed; a thread that lets time pass while somebody looks.

    Args:
        server: whose page gets the controls, in the container that is open.
        show: called with the moment whenever it changes, never by two threads at once.
    """

    def __init__(self, server: viser.ViserServer, show: Callable[[Moment], None]) -> None:
        self._server, self._show = server, show
        self._cycle, self._seconds = Cycle(1.0), 0.0
        self._is_moving = False
        self._lock, self._closing = threading.RLock(), threading.Event()
        self._slider = server.gui.add_slider("Time", 0.0, 1.0, 0.001, 0.0)
        self._speed = server.gui.add_slider("Speed", 0.1, 2.0, 0.1, 1.0, hint="1: as fast as it was")
        self._button = server.gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE)
        self._plays = True
        self._slider.on_update(self._scrub)
        self._button.on_click(lambda _: self.play(not self._plays))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def moment(self) -> Moment:
        """What is shown now."""
        return self._cycle.at(self._seconds)

    def follow(self, asset: Asset4D) -> None:
        """Play another asset from now on; the time stays."""
        with self._lock:
            before = self.moment.time
            self._cycle = Cycle.of(asset)
            self._is_moving = asset.deformation is not None
            self._seconds = before * self._cycle.duration_s
            self._slider.disabled = self._speed.disabled = self._button.disabled = not self._is_moving
            self._show(self.moment)

    def play(self, on: bool) -> None:
        """Let time pass, or stand still."""
        self._plays = on
        self._button.label = "Pause" if on else "Play"
        self._button.icon = viser.Icon.PLAYER_PAUSE if on else viser.Icon.PLAYER_PLAY

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()
        self._thread.join()

    def _scrub(self, event: viser.GuiEvent) -> None:
        """Go to where somebody dragged the slider, and stop there; not where `_run` moved it."""
        if event.client_id is None:
            return
        self.play(False)
        with self._lock:
            self._seconds = self._slider.value * self._cycle.duration_s
            self._show(self.moment)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._closing.wait(1 / STEPS_PER_SECOND):
            now = time.monotonic()
            passed, before = now - before, now
            if not (self._plays and self._is_moving and self._server.get_clients()):
                continue
            with self._lock:
                self._seconds = (self._seconds + passed * self._speed.value) % self._cycle.period_s
                moment = self.moment
                self._slider.value = round(moment.time, 3)
                self._show(moment)
