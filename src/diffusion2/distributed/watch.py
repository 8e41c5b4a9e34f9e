"""Sees that all processes of a group stop when one of them does, and says which one it was.

Every process writes to the store that torchrun keeps, once a second, that it is alive; and looks whether
the others do. One that ended is known at once by those that torchrun started beside it, one that hangs, or
whose machine is gone, when its beat has failed to come for `LOST_AFTER`.
"""

import _thread
import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

from diffusion2.errors import ProcessError, in_one_line

BEAT, LOST_AFTER = 1.0, 20.0
"""Seconds between two beats, and after which a process is given up that gives none."""
GRACE = 5.0
"""Seconds in which a process has to end once another one is gone; then it is ended."""
LEFT = b"left"
INTERRUPTED = "was interrupted"
GO_ON = "the same command with --resume goes on, also with another number of processes"


class Watch:
    """One process's eye on the others.

    Args:
        store: that all of them share, by a connection that nothing else uses.
        rank: which one this is.
        size: how many there are.
        agent: tells apart the machines, or rather the torchruns, that started them.
    """

    def __init__(self, store: Store, rank: int, size: int, agent: str) -> None:
        self.rank, self.size, self.failure = rank, size, ""
        self._store, self._agent = store, agent
        self._ending, self._stop = threading.Event(), threading.Event()
        who = {"host": socket.gethostname(), "pid": os.getpid(), "agent": agent}
        store.set(f"who/{rank}", json.dumps(who))
        store.set(f"beat/{rank}", "0")
        self._who = [json.loads(who) for who in store.multi_get([f"who/{r}" for r in range(size)])]
        store.multi_get(self._beats)
        store.set_timeout(timedelta(seconds=LOST_AFTER))
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def name(self, rank: int) -> str:
        """Say which process a rank is."""
        who = self._who[rank]
        return f"process {rank} of {self.size} (pid {who['pid']} on {who['host']})"

    def lost(self, error: Exception) -> ProcessError:
        """Find out who is gone, when a collective failed as only the loss of a process makes it fail."""
        end = time.monotonic() + LOST_AFTER + GRACE
        while not self.failure and not self._tell_dead() and time.monotonic() < end:
            time.sleep(0.1)
        return ProcessError(self.failure or f"the processes lost each other: {in_one_line(error)}; {GO_ON}")

    def explain(self, error: BaseException) -> BaseException:
        """Tell the others that this process ends, and get the error to end with.

        That is its own, or the loss of another process that made it; in others than the first, which
        say nothing, a `SystemExit`, unless the first is what is lost.
        """
        self._ending.set()
        is_own = not self.failure and not isinstance(error, ProcessError)
        if is_own and isinstance(error, KeyboardInterrupt):
            is_own = not self._tell_dead()  # torchrun interrupts those that are left
        if is_own:
            said = INTERRUPTED if isinstance(error, KeyboardInterrupt) else f"failed: {in_one_line(error)}"
            self._tell(f"{self.name(self.rank)} {said}", self.rank)
        elif isinstance(error, KeyboardInterrupt) and self.failure.endswith(INTERRUPTED):
            is_own = True  # all of them were, and another one was quicker to tell
        if self.rank == 0:
            return error if is_own else ProcessError(self.failure or str(error))
        if self._speaks():
            return ProcessError(self.failure)
        return SystemExit(130 if is_own and isinstance(error, KeyboardInterrupt) else 1)

    def leave(self) -> None:
        """Say that this process is done, or has said why it is not."""
        self._ending.set()
        self._stop.set()
        self._thread.join(LOST_AFTER)
        try:
            self._store.set(f"beat/{self.rank}", LEFT.decode())
        except RuntimeError:
            return  # whoever keeps the store is gone, and with it who would read this

    def wait_for_first(self) -> None:
        """Give the first process the time to say what happened: when this one ends, torchrun ends that."""
        end = time.monotonic() + GRACE / 2
        while time.monotonic() < end:
            try:
                if self._store.get("beat/0") == LEFT or self._is_dead(0):
                    return
            except RuntimeError:
                return
            time.sleep(0.1)

    # -- the thread -----------------------------------------------------------------------------

    @property
    def _beats(self) -> list[str]:
        return [f"beat/{rank}" for rank in range(self.size)]

    def _run(self) -> None:
        seen, since = [b""] * self.size, [time.monotonic()] * self.size
        count = 0
        while not self._stop.wait(BEAT):
            count += 1
            try:
                self._store.set(f"beat/{self.rank}", str(count))
                beats = self._store.multi_get(self._beats)
                if not self.failure and self._store.check(["failed"]):
                    self._learn(self._store.get("failed"))
            except RuntimeError as error:
                self.failure = f"torchrun is gone, or its machine ({in_one_line(error)}); {GO_ON}"
                self._end()
                return
            if not self.failure:
                self._tell_dead()
            now = time.monotonic()
            for rank, beat in enumerate(beats):
                if beat != seen[rank]:
                    seen[rank], since[rank] = beat, now
                elif beat != LEFT and now - since[rank] > LOST_AFTER and rank != self.rank:
                    self._tell(
                        f"{self.name(rank)} has not answered for {LOST_AFTER:.0f} s; {GO_ON}",
                        rank,
                        hangs=True,
                    )
            if self.failure:
                self._end()
                return

    def _end(self) -> None:
        """Interrupt the main thread; end the process where that doesn't."""
        if not self._ending.is_set():
            _thread.interrupt_main()
        if not self._stop.wait(GRACE):
            if self.rank == 0 or self._speaks():
                sys.stderr.write(f"error: {self.failure}\n")
                sys.stderr.flush()
            os._exit(1)

    # -- who failed -----------------------------------------------------------------------------

    def _tell(self, said: str, rank: int, *, hangs: bool = False) -> None:
        """Note why the run stops, and which process made it, unless that is noted already."""
        record = json.dumps({"said": said, "rank": rank, "by": self.rank, "hangs": hangs}).encode()
        with suppress(RuntimeError):  # whoever keeps the store may be gone, too
            record = self._store.compare_set("failed", "", record.decode())
        self._learn(record)

    def _learn(self, record: bytes) -> None:
        """Take in why the run stops; one that hangs beside this one is ended, or torchrun waits for it."""
        failed = json.loads(record)
        self.failure = failed["said"]
        if failed["hangs"] and self._is_beside(failed["rank"]):
            with suppress(OSError):
                os.kill(self._who[failed["rank"]]["pid"], signal.SIGKILL)

    def _tell_dead(self) -> bool:
        """Look for processes beside this one that ended and said nothing; note the first that is found."""
        for rank in range(self.size):
            if self._is_dead(rank):
                self._tell(f"{self.name(rank)} died; {GO_ON}", rank)
                return True
        return False

    def _is_beside(self, rank: int) -> bool:
        """Say whether it is another process that the same torchrun started."""
        return rank != self.rank and self._who[rank]["agent"] == self._agent

    def _is_dead(self, rank: int) -> bool:
        if not self._is_beside(rank):
            return False
        try:
            os.kill(self._who[rank]["pid"], 0)
        except ProcessLookupError:
            try:
                return self._store.get(f"beat/{rank}") != LEFT
            except RuntimeError:
                return True
        except OSError:
            return False
        return False

    def _speaks(self) -> bool:
        """Say whether this process, not the first one, has to say why all of them stop."""
        try:
            record = json.loads(self._store.get("failed")) if self._store.check(["failed"]) else {}
        except RuntimeError:
            return False
        return record.get("rank") == 0 and record.get("by") == self.rank and self.rank != 0
