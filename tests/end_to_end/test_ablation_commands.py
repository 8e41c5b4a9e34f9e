"""`benchmark` and `ablate` as a user calls them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion2.cli import main

ASSETS = Path(__file__).parents[3] / "shared" / "assets"

CALLS = {
    "no assets": (["benchmark", "--assets", "{d}/none", "--out", "{d}/new"], "no folder {d}/none"),
    "assets without the model": (
        ["benchmark", "--assets", "{d}/empty", "--out", "{d}/new", "--creatures", "Koi"],
        "Koi.glb does not exist",
    ),
    "output is a file": (["benchmark", "--assets", "{d}/empty", "--out", "{d}/file"], "is a file"),
    "unknown creature": (["benchmark", "--assets", "{d}/empty", "--creatures", "Cat"], "no creature 'Cat'"),
    "unknown method": (["benchmark", "--assets", "{d}/empty", "--methods", "sv4d"], "no method 'sv4d'"),
    "unknown metric": (["benchmark", "--metrics", "fid"], "fid"),
    "unknown task": (["benchmark", "--tasks", "text"], "text"),
    "negative processes": (
        ["benchmark", "--assets", "{d}/empty", "--processes", "-1"],
        "processes must be 0 or more",
    ),
    "bad sampling": (
        ["benchmark", "--assets", "{d}/empty", "--sampling.steps", "0"],
        "steps must lie between",
    ),
    "no page": (
        ["benchmark", "--assets", "{d}/empty", "--out", "{d}/new", "--page", "{d}/page.md"],
        "no page {d}/page.md",
    ),
    "page without markers": (
        ["ablate", "table", "--assets", "{d}/empty", "--out", "{d}/new", "--page", "{d}/file"],
        "<!-- begin table -->",
    ),
    "no part": (["ablate"], "theorem"),
    "unknown part": (["ablate", "everything"], "everything"),
    "two tasks": (["ablate", "table", "--task", "video", "image"], "image"),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls_are_one_line_and_leave_nothing(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    call, message = CALLS[name]
    assert main([part.replace("{d}", str(tmp_path)) for part in call]) == 2
    captured = capsys.readouterr()
    assert message.replace("{d}", str(tmp_path)) in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(not ASSETS.is_dir(), reason="needs the optional folder ../shared/assets")
def test_a_second_run_gives_the_same_table(tmp_path):
    call = [sys.executable, "-m", "diffusion2", "benchmark", "--assets", str(ASSETS), "--creatures", "Frog"]
    call += ["--methods", "preset", "--metrics", "lpips_alex", "--sampling.steps", "2"]
    call += ["--sampling.rollback-steps", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    tables = []
    for out, processes in (("first", "2"), ("second", "1"), ("first", "1")):
        done = subprocess.run(
            [*call, "--out", str(tmp_path / out), "--processes", processes],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        tables.append(done.stdout[done.stdout.index("## completion") :])
    assert tables[0] == tables[1] == tables[2]
    assert "static: true column, held" in tables[0]
    assert (tmp_path / "first" / "strips" / "completion_Frog.png").is_file()
