import subprocess
import sys
import threading

import pytest

from diffusion2 import pipeline
from diffusion2.errors import ExportError, InputError
from diffusion2.events import Warned
from diffusion2.runs.event_log import EventLog
from diffusion2.runs.lock import locked
from diffusion2.runs.run_folder import RunFolder

HOLD = """
import sys
from pathlib import Path
from diffusion2.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which has locked `tmp_path/run`."""
    call = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    env = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


@pytest.mark.parametrize("more", [{}, {"overwrite": True}, {"resume": True}])
def test_a_second_run_is_refused_while_one_is_at_work(holder, tmp_path, more):
    (tmp_path / "in.png").write_bytes(b"")
    for stages in (pipeline.generate, pipeline.sample):
        with pytest.raises(InputError, match="another run is at work"):
            stages(tmp_path / "in.png", tmp_path / "run", "mini", **more)
    with pytest.raises(InputError, match="another run is at work"):
        pipeline.reconstruct(tmp_path / "run", overwrite=more == {"overwrite": True})


def test_a_lock_does_not_outlive_a_killed_process(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert [p.name for p in (tmp_path / "run").iterdir()] == [".lock"]
    RunFolder(tmp_path / "run").check()  # nor is it somebody's file
    with locked(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_only_one_of_many_threads_has_the_lock(tmp_path):
    inside, most, lock = 0, 0, threading.Lock()

    def work():
        nonlocal inside, most
        for _ in range(50):
            try:
                with locked(tmp_path):
                    with lock:
                        inside += 1
                        most = max(most, inside)
                    with lock:
                        inside -= 1
            except InputError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_folder_that_nothing_was_put_into_goes_again(tmp_path):
    with pytest.raises(InputError, match="other"), locked(tmp_path / "a" / "b"):
        raise InputError("other")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_half_made_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "conditions").mkdir()
    (tmp_path / ".matrix.12.tmp" / "view_000").mkdir(parents=True)
    (tmp_path / "conditions" / ".video.12.old").mkdir()
    for name in (
        ".asset.7.tmp.safetensors",
        ".write-test-5",
        ".mine.tmp",
        "a.1.tmp",
        ".previous",
        ".v.tmp.mp4",
    ):
        (tmp_path / name).write_text("")
    with locked(tmp_path):
        pass
    left = sorted(p.name for p in tmp_path.rglob("*"))
    assert left == [".mine.tmp", ".previous", ".v.tmp.mp4", "a.1.tmp", "conditions"]


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch):
    import errno

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock._unix.lock_fd_nonblocking", refuse)
    events = []
    with locked(tmp_path, events.append):
        assert "knows no locks" in events[0].message


def test_a_full_disk_is_one_line_with_what_to_do(tmp_path):
    with (
        pytest.raises(ExportError, match=r"stopped: No space left.*--resume"),
        RunFolder(tmp_path).writing("--resume"),
    ):
        raise OSError(28, "No space left on device")


def test_a_log_line_that_was_cut_short_is_dropped(tmp_path):
    log = tmp_path / "events.jsonl"
    EventLog(log)(Warned("first"))
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:-5])
    EventLog(log)(Warned("second"))
    assert [line[-9:] for line in log.read_text().splitlines()] == [' "first"}', '"second"}']
