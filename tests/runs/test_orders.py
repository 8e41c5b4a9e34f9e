"""In whatever order runs are made, replaced, cut short and gone on with, no finished one is lost."""

import os
from dataclasses import dataclass, replace
from itertools import product
from types import SimpleNamespace

import pytest
import torch

import diffusion2.pipeline as pipeline
from diffusion2.atomic_files import remove
from diffusion2.config import PRESETS
from diffusion2.errors import Diffusion2Error, InputError
from diffusion2.image_matrix import Conditions
from diffusion2.runs.run_folder import ENTRIES, RunFolder

SETTINGS = replace(PRESETS["mini"], views=2, frames=2, size=16)


@dataclass
class _Asset:
    name: str
    metadata: dict

    def save(self, path):
        path.write_text(self.name)


class _Stages:
    """Every stage, at once, and made to stop where a test wants it."""

    def __init__(self):
        self.stop, self.made = None, 0

    def at(self, name):
        if self.stop == name:
            raise KeyboardInterrupt

    def references(self, priors, conditions, settings, report, group):
        self.at("references")
        pictures = torch.zeros(2, 3, 16, 16)
        return replace(conditions, video=pictures, views=pictures)

    def matrix(self, *_, on_checkpoint, **__):
        on_checkpoint(1, {"latents": torch.zeros(1)})
        self.at("matrix")
        return torch.zeros(2, 2, 1, 1, 1)

    def images(self, *_):
        return torch.rand(2, 2, 3, 16, 16)

    def asset(self, *_, **__):
        self.at("asset")
        self.made += 1
        return _Asset(f"asset {self.made}", {})

    def video(self, asset, path, **_):
        self.at("video")
        path.write_text(f"video of {asset}")

    def viewer(self, asset, path, **_):
        self.at("viewer")
        path.write_text(f"viewer of {asset}")


@pytest.fixture
def stages(monkeypatch):
    stages = _Stages()
    for name, stand_in in {
        "work.check_available": lambda *_: None,
        "work.read_conditions": lambda *_: Conditions(torch.zeros(3, 16, 16)),
        "flow.load_priors": lambda *_: SimpleNamespace(codec=None, picture_channels=3),
        "flow.Preview": lambda *_: None,
        "flow.sample_references": stages.references,
        "flow.sample_matrix": stages.matrix,
        "flow.decode_matrix": stages.images,
        "results.reconstruct_matrix": stages.asset,
        "results.load_asset": lambda path: path.read_text(),
        "results.write_orbit_video": stages.video,
        "results.write_viewer": stages.viewer,
    }.items():
        monkeypatch.setattr(f"diffusion2.pipeline.{name}", stand_in)
    monkeypatch.setattr("diffusion2.runs.plan.weights_hashes", lambda *_: {})
    return stages


STEPS = (
    ("generate", None),
    ("generate", "matrix"),
    ("generate", "asset"),
    ("generate", "viewer"),
    ("resume", None),
    ("resume", "asset"),
    ("reconstruct", None),
    ("reconstruct", "asset"),
    ("reconstruct", "video"),
)
"""What is done, and where it is cut short."""


def finished(folder):
    """The run in a folder, if it is finished: its matrix and its asset."""
    run = RunFolder(folder)
    if not run.is_finished:
        return None
    asset = run.asset_path.read_text()
    assert run.orbit_path.read_text() == f"video of {asset}"
    assert run.viewer_path.read_text() == f"viewer of {asset}"
    return asset, tuple(p.read_bytes() for p in sorted((folder / "matrix").rglob("*.png")))


def step(kind, stop, stages, source, out):
    """Do one; whether it was done."""
    stages.stop = stop
    try:
        if kind == "generate":
            pipeline.generate(source, out, SETTINGS, overwrite=True)
        elif kind == "resume":
            pipeline.generate(source, out, resume=True)
        else:
            pipeline.reconstruct(out, overwrite=True)
    except (KeyboardInterrupt, Diffusion2Error):
        return False
    return True


@pytest.mark.parametrize("first", STEPS)
def test_the_last_finished_run_is_always_there(first, stages, tmp_path):
    source = tmp_path / "a.png"
    source.write_bytes(b"a")
    for number, rest in enumerate(product(STEPS, repeat=2)):
        out = tmp_path / str(number)
        pipeline.generate(source, out, SETTINGS)
        for kind, stop in (first, *rest):
            before, kept_before = finished(out), finished(out / ".previous")
            done = step(kind, stop, stages, source, out)
            now, kept = finished(out), finished(out / ".previous")
            what = f"{kind}, stopped at {stop}, in {(first, *rest)}"
            if done:
                assert now is not None, what
                assert not (out / ".previous").exists(), what
            elif (kind, stop) == ("reconstruct", "video"):  # a new asset has taken the old one's place
                assert kept == kept_before, what
            else:
                newest = before or kept_before
                assert newest is None or newest in (now, kept), what
            assert set(os.listdir(out)) <= {*ENTRIES, ".previous"}, what
        stages.stop = None


def test_a_reconstruction_that_was_ended_before_it_showed_its_asset_goes_on(stages, tmp_path):
    """Neither is the asset made again, nor is --overwrite asked for; a note says so."""
    (tmp_path / "a.png").write_bytes(b"a")
    out = tmp_path / "run"
    pipeline.generate(tmp_path / "a.png", out, SETTINGS)
    assert not step("reconstruct", "video", stages, None, out)
    stages.stop, events = None, []
    asset = RunFolder(out).asset_path.read_text()
    pipeline.reconstruct(out, report=events.append)
    assert finished(out)[0] == asset
    assert any("is there already" in getattr(event, "message", "") for event in events)
    with pytest.raises(InputError, match="--overwrite"):
        pipeline.reconstruct(out)


@pytest.mark.parametrize("moved", range(7))
def test_setting_a_run_aside_that_was_cut_short_is_undone(moved, stages, tmp_path, monkeypatch):
    """Killed after so many of its files were moved."""
    (tmp_path / "a.png").write_bytes(b"a")
    out = tmp_path / "run"
    call = (tmp_path / "a.png", out, SETTINGS)
    pipeline.generate(*call)
    whole, real, moves = finished(out), os.replace, []

    def replace_until_killed(old, new):
        if str(new).startswith(str(out / ".previous")):
            if len(moves) == moved:
                raise KeyboardInterrupt
            moves.append(new)
        real(old, new)

    with monkeypatch.context() as patch:
        patch.setattr("diffusion2.runs.run_folder.os.replace", replace_until_killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline.generate(*call, overwrite=True)
    with pytest.raises(InputError, match="--overwrite"):
        pipeline.generate(*call)
    assert finished(out) == whole
    assert {p.name for p in out.iterdir()} <= set(ENTRIES)


def test_removing_a_replaced_run_that_was_cut_short_leaves_no_half_of_it(stages, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"a")
    out = tmp_path / "run"
    call = (tmp_path / "a.png", out, SETTINGS)
    pipeline.generate(*call)

    def remove_half(path):
        if path.name.startswith(".previous") and path.exists():
            (path / "asset.safetensors").unlink()
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr("diffusion2.runs.run_folder.remove", remove_half)
        with pytest.raises(KeyboardInterrupt):
            pipeline.generate(*call, overwrite=True)
    newest = finished(out)
    assert newest is not None
    assert not step("generate", "matrix", stages, *call[:2])
    assert finished(out / ".previous") == newest
    assert step("resume", None, stages, *call[:2])
    assert {p.name for p in out.iterdir()} <= set(ENTRIES)
