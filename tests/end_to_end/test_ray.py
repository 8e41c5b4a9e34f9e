"""Many inputs on a Ray cluster of two nodes, with networks of random weights."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import diffusion2
from diffusion2.batch.ray_engine import LOOPBACK, TRIES
from diffusion2.cli import main

from .conftest import SETTINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("use_mini_weights"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds a worker by the files it has open"),
]


@pytest.fixture
def cluster(mini_weights, monkeypatch):
    """Two nodes of one core each; yields the address."""
    monkeypatch.setenv(LOOPBACK, "0")
    pytest.importorskip("ray", reason="needs pip install 'diffusion2[cluster]'")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    yield nodes.address
    nodes.shutdown()


@pytest.fixture
def pictures(tmp_path):
    """Five discs of different colours, and a file that is none."""
    for number in range(5):
        image = Image.new("RGBA", (64, 64))
        ImageDraw.Draw(image).ellipse((10, 10, 54, 54), fill=(200, 40 * number, 30, 255))
        image.save(tmp_path / f"disc_{number}.png")
    (tmp_path / "poison.png").write_text("no picture")
    return tmp_path


def worker_at(lock: Path) -> int | None:
    """The process that holds a run's lock, found by the files that processes have open."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                if any(os.readlink(file) == str(lock) for file in (process / "fd").iterdir()):
                    return int(process.name)
            except OSError:
                continue
    return None


def kill_one(out: Path, killed: list[int]) -> None:
    """Kill the first worker that is amid stage 2 of a run."""
    while not killed:
        for log in out.glob("*/events.jsonl"):
            if '"stage": "reconstruction"' in log.read_text() and (pid := worker_at(log.parent / ".lock")):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
        time.sleep(0.05)


def test_one_poisoned_input_and_one_killed_worker_cost_one_named_failure(cluster, pictures, capsys):
    out, killed = pictures / "runs", []
    killer = threading.Thread(target=kill_one, args=(out, killed), daemon=True)
    killer.start()
    settings = ["--preset", "mini", *SETTINGS, "--reconstruction.joint-iterations", "60"]
    call = ["generate", str(pictures / "*.png"), "--out", str(out), *settings]
    code = main([*call, "--engine", "ray", "--ray-address", cluster])
    said = capsys.readouterr()
    assert code == 1, said
    assert killed
    assert "1 of 6 runs failed, poison: " in said.err
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["finished"], summary["failed"], summary["waiting"]) == (5, 1, 0)
    assert "no picture" in next(run["error"] for run in summary["runs"] if run["state"] == "failed")
    for number in range(5):
        assert diffusion2.RunFolder(out / f"disc_{number}").is_finished
    begun = [
        sum('"RunStarted"' in line for line in (out / f"disc_{n}" / "events.jsonl").read_text().splitlines())
        for n in range(5)
    ]
    assert sorted(begun) == [1, 1, 1, 1, 2]  # the killed one went on; TRIES allows more
    assert TRIES > 2
    assert Image.open(out / "contact_sheet.png").width > 500
