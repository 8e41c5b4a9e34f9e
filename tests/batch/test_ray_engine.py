"""What runs ask of a cluster, and which machines are refused; end_to_end/test_ray.py has a cluster."""

import json
from dataclasses import replace

import pytest

from diffusion2.batch.jobs import Job
from diffusion2.batch.ray_engine import fits, refuse_unlike, resources, said_by_logs
from diffusion2.config import PRESETS
from diffusion2.errors import InputError
from diffusion2.runs.source import Source

MINI, PAPER = PRESETS["mini"], PRESETS["paper"]


def test_the_preset_says_what_a_run_asks_for():
    assert resources(MINI) == {"num_cpus": 1}
    assert resources(replace(MINI, sampling=replace(MINI.sampling, threads=4))) == {"num_cpus": 4}
    assert resources(PAPER) == {"num_gpus": 1, "num_cpus": 1}
    assert resources(replace(MINI, sampling=replace(MINI.sampling, device="cuda")))["num_gpus"] == 1
    assert "num_gpus" not in resources(replace(PAPER, sampling=replace(PAPER.sampling, device="cpu")))


def test_a_machine_without_a_gpu_gets_no_run_that_needs_one():
    assert fits(resources(MINI), {"CPU": 2.0})
    assert not fits(resources(MINI), {"CPU": 0.0})  # as head nodes often are
    assert not fits(resources(PAPER), {"CPU": 64.0})
    assert fits(resources(PAPER), {"CPU": 64.0, "GPU": 8.0})


def machine(**changes):
    said = {
        "folder": "/shared/out",
        "sees": True,
        "versions": {"diffusion2": "1"},
        "weights": {"video": "a" * 64},
    }
    return said | changes


def test_machines_that_are_alike_are_taken():
    refuse_unlike({})
    refuse_unlike({"one": machine(), "two": machine()})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sees": False}, "the machine two does not see /shared/out"),
        ({"versions": {"diffusion2": "2"}}, "one and two differ in diffusion2: 1 and 2"),
        (
            {"weights": {"video": "b" * 64}},
            "one and two differ in video: aaaaaaaaaaaaaaaa and bbbbbbbbbbbbbbbb",
        ),
        ({"weights": {}}, "one and two differ in video: aaaaaaaaaaaaaaaa and none"),
    ],
)
def test_a_machine_that_differs_is_named(changes, said):
    with pytest.raises(InputError) as caught:
        refuse_unlike({"one": machine(), "two": machine(**changes)})
    assert said in str(caught.value)


def test_logs_say_how_far_runs_are(tmp_path):
    jobs = [Job(name, tmp_path / name, Source("x"), MINI) for name in ("a", "b", "c")]
    (tmp_path / "a").mkdir()
    lines = [{"event": "StageStarted", "stage": "matrix"}, {"event": "StageProgress", "stage": "matrix"}]
    lines[1] |= {"done": 3, "total": 14}
    (tmp_path / "a" / "events.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "events.jsonl").write_text('{"event": "StageSta')  # just being written
    assert said_by_logs(jobs) == "a matrix 3/14"
