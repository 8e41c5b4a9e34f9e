"""The benchmark's eight creatures and the cache of their true pictures."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diffusion2.errors import InputError
from diffusion2.meshes import creatures
from diffusion2.meshes.creatures import CREATURES, Creature, creature_truth

from .animated_models import sliding_cube
from .opengl import need_opengl

ASSETS = Path(__file__).parents[3] / "shared" / "assets"
needs_assets = pytest.mark.skipif(not ASSETS.is_dir(), reason="needs the optional folder ../shared/assets")
CUBE = Creature("Cube", "cube.glb", "turn", 0.0, 2.0, 30.0)
SMALL = {"views": 3, "frames": 2, "size": 16}


def test_there_are_eight_creatures_of_about_a_second_each():
    assert len({creature.name for creature in CREATURES}) == 8
    assert all(0.7 <= creature.duration <= 2.0 for creature in CREATURES)


@needs_assets
@pytest.mark.parametrize("creature", CREATURES, ids=lambda c: c.name)
def test_a_creature_was_never_trained_on(creature):
    from diffusion2.training.data import read_split

    assert (creature.file, "animated") in read_split(ASSETS, "val")


@needs_assets
@pytest.mark.parametrize("creature", CREATURES, ids=lambda c: c.name)
def test_a_creature_is_whole_and_moves_in_every_view(creature, tmp_path):
    need_opengl()
    truth = creature_truth(creature, ASSETS, tmp_path, views=4, frames=4, size=32)
    alphas = truth.alphas[:, :, 0]
    edges = torch.cat([alphas[..., 0, :], alphas[..., -1, :], alphas[..., :, 0], alphas[..., :, -1]], -1)
    assert not edges.any()
    assert (alphas.mean((-1, -2)) > 0.02).all()
    moves = (truth.images[:, 1:] - truth.images[:, :-1]).abs().mean((-1, -2, -3))
    assert (moves > 5e-4).all()


@pytest.fixture
def assets(tmp_path):
    need_opengl()
    (tmp_path / "assets").mkdir()
    sliding_cube(tmp_path / "assets" / "cube.glb")
    return tmp_path / "assets"


@pytest.fixture
def renders(monkeypatch):
    """How often something was rendered."""
    calls = []
    real = creatures.render_clip
    monkeypatch.setattr(creatures, "render_clip", lambda *a, **k: (calls.append(a), real(*a, **k))[1])
    return calls


def test_a_creature_is_rendered_once_and_read_later(assets, tmp_path, renders):
    first = creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    second = creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    assert len(renders) == 1
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.alphas, second.alphas)
    assert first.images.shape == (3, 2, 3, 16, 16)
    assert first.cameras.azimuths_deg.tolist() == [120, 240, 360]


@pytest.mark.parametrize(
    "change",
    [
        {"azimuth_deg": 40.0},
        {"start": 0.1},
        {"duration": 1.0},
        {"clip": "swing"},
        {"frames": 3},
        {"size": 24},
        {"elevation_deg": 0.0},
        {"object_size": 0.5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_changed_is_rendered_anew(assets, tmp_path, renders, change):
    creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    of_creature = {k: v for k, v in change.items() if hasattr(CUBE, k)}
    options = SMALL | {k: v for k, v in change.items() if not hasattr(CUBE, k)}
    creature_truth(replace(CUBE, **of_creature), assets, tmp_path / "cache", **options)
    assert len(renders) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_another_model_of_the_same_name_is_rendered_anew(assets, tmp_path, renders):
    creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    with (assets / "cube.glb").open("ab") as file:
        file.write(b"\0" * 4)
    creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    assert len(renders) == 2


def test_another_renderer_renders_anew(assets, tmp_path, renders, monkeypatch):
    creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    monkeypatch.setattr(creatures, "_renderer_digest", lambda: "another")
    creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    assert len(renders) == 2


@pytest.mark.parametrize("part", ["cameras.json", "matrix/view_001/frame_001.png", "matrix/view_002"])
def test_a_damaged_cache_is_not_taken_for_whole(assets, tmp_path, renders, part):
    whole = creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    [folder] = (tmp_path / "cache").iterdir()
    path = folder / part
    path.rename(tmp_path / "away")
    again = creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    assert len(renders) == 2
    assert torch.equal(whole.images, again.images)


def test_a_rendering_that_stops_leaves_no_cache(assets, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(creatures, "write_matrix", fail)
    with pytest.raises(KeyboardInterrupt):
        creature_truth(CUBE, assets, tmp_path / "cache", **SMALL)
    assert not list((tmp_path / "cache").iterdir())


def test_a_missing_model_is_an_error_that_says_which(tmp_path):
    with pytest.raises(InputError, match=r"cube\.glb"):
        creature_truth(CUBE, tmp_path, tmp_path / "cache")
