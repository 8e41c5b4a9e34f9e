"""A process of several that dies, hangs or does not fit: all stop, it is named, and the run goes on."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from ..end_to_end.conftest import mini_weights as mini_weights
from ..end_to_end.test_interruption import contents
from .together import free_port, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals and forks")

SETTINGS = [
    *("--preset", "mini", "--size", "32", "--views", "4", "--frames", "3", "--sampling.steps", "10"),
    *("--sampling.checkpoint-every", "2", "--sampling.precision", "float32", "--sampling.threads", "1"),
]


def command(arguments, folder, change=None):
    """Run the command in one of the processes; what it says on stderr goes to a file."""
    rank = os.environ["RANK"]
    file = os.open(folder / f"errors_{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if change is not None:
        change(int(rank))
    from diffusion2 import __main__, distributed

    assert distributed
    sys.argv = ["diffusion2", *arguments]
    __main__.run()


def look_less_long(rank):
    from diffusion2.distributed import watch

    watch.LOST_AFTER = 3.0


def be_of_another_version(rank):
    from diffusion2.runs import plan

    if rank == 1:
        plan.metadata.version = lambda name: "0.1"


class Place:
    """Where runs are made, the folder's name being the same for all."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        image = Image.new("RGBA", (64, 64))
        image.paste((200, 40, 30, 255), (16, 20, 48, 44))
        image.save(folder / "box.png")

    def new(self):
        self.count += 1
        return self.folder / str(self.count) / "run"

    def begin(self, run):
        return ["sample", str(self.folder / "box.png"), "--out", str(run), *SETTINGS]

    def go_on(self, run):
        began = (run / "config.json").is_file()
        return ["sample", "--out", str(run), "--resume"] if began else self.begin(run)

    def run(self, size, arguments, end=lambda processes: None, change=None):
        """Let processes run a command, and end it; gives their exit codes and what they said."""
        with started(size, command, arguments, self.folder, change) as processes:
            end(processes)
            for process in processes:
                process.join(60)
            codes = [process.exitcode for process in processes]
        return codes, [(self.folder / f"errors_{rank}").read_text() for rank in range(size)]


@pytest.fixture(scope="module")
def place(mini_weights, tmp_path_factory):
    os.environ["DIFFUSION2_MINI_WEIGHTS"] = str(mini_weights)
    yield Place(tmp_path_factory.mktemp("failure"))
    del os.environ["DIFFUSION2_MINI_WEIGHTS"]


@pytest.fixture(scope="module")
def whole(place):
    """What two processes make without an interruption."""
    run = place.new()
    assert place.run(2, place.begin(run)) == ([0, 0], ["", ""])
    return contents(run)


def send(number, rank, run):
    """Make what sends a signal to a process when the first checkpoint is there."""

    def end(processes):
        until = time.monotonic() + 60
        while not list(run.glob("latents/step_*.safetensors")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(processes[rank].pid, number)

    return end


@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_of_which_a_process_is_killed_goes_on_to_the_same_files(place, whole, rank):
    run = place.new()
    codes, errors = place.run(2, place.begin(run), send(signal.SIGKILL, rank, run))
    assert codes[rank] == -signal.SIGKILL
    assert codes[1 - rank] == 1
    if rank == 1:  # with the first, its store is gone, which torchrun would have kept
        assert errors[0].startswith("error: process 1 of 2 (pid ")
        assert "died; the same command with --resume goes on" in errors[0]
        assert errors[0].count("\n") == 1
    assert place.run(2, place.go_on(run)) == ([0, 0], ["", ""])
    assert contents(run) == whole


def test_a_run_goes_on_with_another_number_of_processes(place, whole):
    run = place.new()
    place.run(3, place.begin(run), send(signal.SIGKILL, 2, run))
    assert place.run(1, place.go_on(run)) == ([0], [""])
    made = contents(run)
    assert made.keys() == whole.keys()
    for name in made:
        if name.endswith(".png"):
            with Image.open(run / name) as ours:
                pixels = ours.tobytes()
            # float32 rounds in another way, which a pixel between two levels shows
            assert max(abs(a - b) for a, b in zip(pixels, decoded(whole[name]), strict=True)) <= 1, name


def decoded(content):
    from io import BytesIO

    with Image.open(BytesIO(content)) as image:
        return image.tobytes()


def test_a_process_that_hangs_is_named_and_all_end(place):
    run = place.new()
    began = time.monotonic()
    codes, errors = place.run(3, place.begin(run), send(signal.SIGSTOP, 1, run), look_less_long)
    assert codes == [1, -signal.SIGKILL, 1]
    assert "process 1 of 3" in errors[0]
    assert "has not answered for 3 s" in errors[0]
    assert errors[2] == ""
    assert time.monotonic() - began < 60


def test_another_version_is_refused_and_named(place):
    run = place.new()
    codes, errors = place.run(2, place.begin(run), change=be_of_another_version)
    assert codes == [1, 1]
    assert errors[0].startswith("error: process 1 of 2")
    assert "its diffusers is 0.1, the first process has" in errors[0]
    assert errors[1] == ""


def test_a_wrong_call_is_one_line_of_one_process(place):
    codes, errors = place.run(2, ["sample", "nothing.png", "--out", str(place.new())])
    assert codes == [2, 1]
    assert errors[0].startswith("error: ")
    assert errors[0].count("\n") == 1
    assert errors[1] == ""


def test_help_is_shown_once_and_all_end(place):
    assert place.run(2, ["sample", "--help"]) == ([0, 0], ["", ""])


def test_torchrun_makes_a_run(place, whole):
    run = place.new()
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "diffusion2", *place.begin(run)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("matrix done") == 1
    assert contents(run) == whole


@pytest.mark.slow
def test_nothing_is_lost_at_many_random_moments(place, whole):
    chance = random.Random(0)
    for _ in range(24):
        run, rank, seconds = place.new(), chance.randrange(2), chance.uniform(0.3, 5)

        def end(processes, rank=rank, seconds=seconds):
            processes[rank].join(seconds)
            processes[rank].kill()
            processes[1 - rank].terminate()  # as torchrun does

        codes, _ = place.run(2, place.begin(run), end)
        assert None not in codes
        assert place.run(2, place.go_on(run)) == ([0, 0], ["", ""])
        assert contents(run) == whole
