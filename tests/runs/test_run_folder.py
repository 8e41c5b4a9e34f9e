import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from diffusion2.config import PRESETS
from diffusion2.errors import InputError
from diffusion2.events import StageProgress, Warned
from diffusion2.runs.event_log import EventLog
from diffusion2.runs.plan import Plan
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source


@pytest.fixture
def config(tmp_path):
    source = tmp_path / "in.png"
    source.write_bytes(b"picture")
    return Plan(Source(source), PRESETS["mini"], "why").to_config("cpu")


@pytest.fixture
def run(tmp_path, config):
    run = RunFolder(tmp_path / "run")
    run.start(config)
    return run


def listing(folder: Path):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_settings_survive(run):
    assert run.read_settings() == PRESETS["mini"]
    config = run.read_config()
    assert config["versions"]["torch"]
    assert len(config["input"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("settings", "recorded", "preset"),
    [
        (PRESETS["mini"], "mini", "mini"),
        (replace(PRESETS["paper"], seed=3), "paper", "paper"),
        (PRESETS["released"], "mini", "released"),  # Python calls were recorded so, whatever they gave
        (replace(PRESETS["mini"], seed=3), "a preset that is no more", "none"),
        (replace(PRESETS["mini"], seed=3), None, "none"),
    ],
)
def test_the_settings_of_older_runs_say_their_preset(tmp_path, settings, recorded, preset):
    values = asdict(settings)
    del values["preset"]
    (tmp_path / "config.json").write_text(json.dumps({"settings": values, "preset": recorded}))
    assert RunFolder(tmp_path).read_settings() == replace(settings, preset=preset)


def test_checking_a_new_folder_leaves_nothing_behind(tmp_path):
    RunFolder(tmp_path / "a" / "b").check()
    assert listing(tmp_path) == []


def test_an_existing_run_is_refused(run):
    before = listing(run.path)
    with pytest.raises(InputError, match="--overwrite"):
        run.check()
    assert listing(run.path) == before


def test_a_folder_with_other_files_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "config.json").write_text('{"model": 1}')
    for overwrite in (False, True):
        with pytest.raises(InputError, match="other files"):
            RunFolder(tmp_path).check(overwrite=overwrite)


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_place_that_is_no_folder_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        RunFolder(tmp_path / place).check()


def test_a_folder_that_cannot_be_written_to_is_refused():
    place = Path("/proc/self/run")
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc, where nobody can make a folder")
    with pytest.raises(InputError, match="can't write"):
        RunFolder(place).check()


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(InputError, match="no run to resume"):
        RunFolder(tmp_path / "run").check(resume=True)


def test_overwrite_and_resume_exclude_each_other(run):
    with pytest.raises(InputError, match="one of"):
        run.check(overwrite=True, resume=True)


def test_the_replaced_run_is_kept_until_the_new_one_is_complete(run, config):
    run.asset_path.write_bytes(b"old")
    (run.path / "notes.txt").write_text("mine")
    run.check(overwrite=True)
    run.start({**config, "seed": 1})
    assert not run.asset_path.exists()
    assert (run.path / ".previous" / "asset.safetensors").read_bytes() == b"old"
    run.start({**config, "seed": 2})
    assert (run.path / ".previous" / "asset.safetensors").read_bytes() == b"old"
    run.complete()
    assert listing(run.path) == ["config.json", "notes.txt"]


def test_the_newest_checkpoint_that_can_be_read_counts(run):
    assert run.checkpoints.latest() is None
    for step in (5, 10, 100):
        run.checkpoints.save(step, {"latents": torch.full((2, 3), float(step))})
    assert sorted(p.name for p in (run.path / "latents").iterdir()) == [
        "step_010.safetensors",
        "step_100.safetensors",
    ]
    (run.path / "latents" / "step_100.safetensors").write_bytes(b"cut short")
    latest = run.checkpoints.latest()
    assert latest is not None
    assert latest[0] == 10
    assert torch.equal(latest[1]["latents"], torch.full((2, 3), 10.0))


def test_a_changed_byte_in_a_checkpoint_is_noticed_and_told(run):
    for step in (5, 10):
        run.checkpoints.save(step, {"latents": torch.full((2, 3), float(step))})
    newest = run.path / "latents" / "step_010.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    notes = []
    latest = run.checkpoints.latest(notes.append)
    assert latest is not None
    assert latest[0] == 5
    assert [note.message.split()[:3] for note in notes] == [[str(newest), "is", "damaged:"]]


def test_the_log_has_one_json_line_an_event_and_thins_progress(run):
    log = EventLog(run.events_path)
    log(Warned("two\nlines"))
    for done in range(1, 101):
        log(StageProgress("sampling", done, 100, 0.1))
    records = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    assert records[0]["message"] == "two\nlines"
    assert records[-1]["done"] == 100
    assert 2 <= len(records) <= 5
