import json
from pathlib import Path

import pytest
import torch

from diffusion2.config import PRESETS
from diffusion2.errors import InputError
from diffusion2.events import StageProgress, Warned
from diffusion2.runs.run_folder import EventLog, RunFolder, make_config
from diffusion2.runs.source import Source


@pytest.fixture
def config(tmp_path):
    source = tmp_path / "in.png"
    source.write_bytes(b"picture")
    return make_config(
        PRESETS["mini"], preset="mini", reason="why", source=Source(source), device="cpu", weights={"a": "b"}
    )


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
    assert run.latest_checkpoint() is None
    for step in (5, 10, 100):
        run.save_checkpoint(step, {"latents": torch.full((2, 3), float(step))})
    assert sorted(p.name for p in (run.path / "latents").iterdir()) == [
        "step_010.safetensors",
        "step_100.safetensors",
    ]
    (run.path / "latents" / "step_100.safetensors").write_bytes(b"cut short")
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 10
    assert torch.equal(latest[1]["latents"], torch.full((2, 3), 10.0))


def test_the_log_has_one_json_line_an_event_and_thins_progress(run):
    log = EventLog(run.events_path)
    log(Warned("two\nlines"))
    for done in range(1, 101):
        log(StageProgress("sampling", done, 100, 0.1))
    records = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    assert records[0]["message"] == "two\nlines"
    assert records[-1]["done"] == 100
    assert 2 <= len(records) <= 5
