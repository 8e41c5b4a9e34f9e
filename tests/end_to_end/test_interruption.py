"""A run that is killed at any moment, or whose disk is full, goes on to the same files, bit for bit."""

import json
import random
import sys
from pathlib import Path

import pytest
from PIL import Image

from .children import children
from .conftest import SETTINGS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

OF_THE_TIME = ("config.json", "events.jsonl")
"""These say when a run was made."""


def contents(run: Path):
    files = (path for path in run.rglob("*") if path.is_file() and path.name not in OF_THE_TIME)
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


class Trial:
    """Makes one run, uninterrupted and otherwise. The name of the folder is the title of its viewer."""

    def __init__(self, place: Path, run_job):
        self.place, self.run_job, self.runs = place, run_job, 0
        image = Image.new("RGBA", (64, 64))
        image.paste((200, 40, 30, 255), (16, 20, 48, 44))
        image.save(place / "box.png")
        self.whole = self.new_run()
        self.done = self.run_job(arguments=self.begin(self.whole), out=str(self.whole))
        assert self.done["code"] == 0, self.done["errors"]
        self.files = contents(self.whole)

    def new_run(self) -> Path:
        self.runs += 1
        return self.place / str(self.runs) / "run"

    def begin(self, run: Path):
        return ["generate", str(self.place / "box.png"), "--out", str(run), *SETTINGS]

    def go_on(self, run: Path):
        """Resume; where not even the settings were there yet, nothing was made: begin."""
        began = (run / "config.json").is_file()
        return ["generate", "--out", str(run), "--resume"] if began else self.begin(run)

    def interrupt(self, *ends):
        """End one run by force again and again, go on every time; then let it finish, and compare."""
        run = self.new_run()
        for end in ends:
            outcome = self.run_job(arguments=self.go_on(run), out=str(run), **end)
            if "largest" in end:
                yield outcome, run
            else:
                assert outcome["code"] in (0, -9), outcome  # 0: it was done before its time was over
            if (run / "config.json").exists():
                json.loads((run / "config.json").read_text())
        outcome = self.run_job(arguments=self.go_on(run), out=str(run))
        assert outcome["code"] == 0, (ends, outcome["errors"])
        made = contents(run)
        assert made.keys() == self.files.keys(), ends
        assert [name for name in made if made[name] != self.files[name]] == [], ends
        for line in (run / "events.jsonl").read_text().splitlines():
            json.loads(line)


@pytest.fixture(scope="module")
def trial(mini_weights, tmp_path_factory):
    with children({"DIFFUSION2_MINI_WEIGHTS": str(mini_weights)}) as run_job:
        yield Trial(tmp_path_factory.mktemp("interrupted"), run_job)


def test_a_run_that_is_killed_once_in_every_third_of_its_writes_goes_on_to_the_same_files(trial):
    """Every count begins with the run that goes on, so the last kill is behind the first ones."""
    touched = trial.done["touched"]
    assert touched > 50
    list(trial.interrupt({"kill_at": touched // 3}, {"kill_at": touched // 3}, {"kill_at": touched // 6}))


@pytest.mark.parametrize(
    "name", ["config.json", "latents/step_002.safetensors", "asset.safetensors", "orbit.mp4", "viewer.html"]
)
def test_a_full_disk_stops_a_run_with_one_line_and_nothing_half_made(trial, name):
    """No file may be as large as the named one; they are written from the smallest to the largest."""
    for outcome, run in trial.interrupt({"largest": (trial.whole / name).stat().st_size - 1}):
        assert outcome["code"] == 2, outcome
        assert outcome["errors"].startswith("error: ")
        assert outcome["errors"].count("\n") == 1
        assert "too large" in outcome["errors"]
        assert not (run / name).exists()
        assert not [path for path in run.rglob(".*") if path.name != ".previous"]


@pytest.mark.slow
def test_nothing_is_lost_at_many_random_moments(trial):
    chance = random.Random(0)
    touched = trial.done["touched"]
    for _ in range(24):
        list(trial.interrupt({"kill_at": chance.randrange(1, touched + 1)}))
    for _ in range(4):
        list(trial.interrupt(*({"kill_after": chance.uniform(0.2, 6)} for _ in range(3))))
