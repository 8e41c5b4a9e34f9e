"""What the lifter learns from, its loss, its training and its packing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import diffusion2.training.mini as mini
from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.meshes import MeshRenderer
from diffusion2.pictures import on_white
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.mini import WEIGHTS_FILE, load_lifter
from diffusion2.training import adversary, lifter
from diffusion2.training.data import LARGEST, LENGTH, SIZE, pose_framing
from diffusion2.training.lifter import LIFTER_CONFIG, SHOWN_SCENES, LifterTask, depth_error, hue_error
from diffusion2.training.loop import LoopSettings, Trainer
from diffusion2.training.scenes import (
    ELEVATIONS_DEG,
    OBJECT_SIZES,
    VIEWS,
    FromAssets,
    FromGenerator,
    Mixed,
    Scene,
    draw_clip,
    draw_orbit,
    draw_scene,
)

from ..meshes.opengl import need_opengl
from ..meshes.shapes import box, sphere

SMALL = 64
TINY = {
    "sample_size": SMALL,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "transformer_layers": 1,
    "attention_head_dim": 16,
    "samples": (2, 1, 1),
}


def a_ball(rng: np.random.Generator) -> Scene:
    """See a ball of one colour, without a renderer."""
    radius, cameras = float(rng.uniform(0.2, 0.4)), make_cameras(np.arange(VIEWS) * 72.0, 10.0, height=SMALL)
    line = (torch.arange(SMALL) + 0.5 - SMALL / 2) / cameras.Ks[0, 0, 0]
    length = line.square()[:, None] + line.square() + 1
    root = 4 - length * (4 - radius**2)
    half = root.clamp(min=0).sqrt()
    depths = torch.stack([(2 - half) / length, (2 + half) / length])
    alpha = (root > 0).float()
    colour = torch.from_numpy(rng.random(3)).float().view(3, 1, 1)
    picture = torch.cat([colour.expand(3, SMALL, SMALL), alpha[None]])
    return Scene(picture.expand(VIEWS, -1, -1, -1), cameras, torch.where(root > 0, depths, torch.nan).float())


def a_truth() -> ImageMatrix:
    cameras, scene = orbit(4, height=SMALL), a_ball(np.random.default_rng(0))
    rgba = scene.pictures[:1].expand(4, -1, -1, -1)[:, None]
    alphas = rgba[:, :, 3:]
    return ImageMatrix(rgba[:, :, :3] * alphas + 1 - alphas, cameras, frame_times(1), 12.0, alphas)


def a_task(draw=a_ball) -> LifterTask:
    torch.manual_seed(0)
    return LifterTask(Lifter(**TINY), draw, [a_truth()], batch=2)


def test_a_scene_shows_one_pose_from_random_sides_and_the_reference_first():
    need_opengl()
    model = box((0.5, 1.0, 0.7))
    renderer = MeshRenderer(model, SIZE)
    scenes = [draw_scene(model, renderer, np.random.default_rng(k)) for k in range(4)]
    for scene in scenes:
        assert scene.pictures.shape == (VIEWS, 4, SIZE, SIZE)
        azimuths, elevations = scene.cameras.azimuths_deg, scene.cameras.elevations_deg
        assert abs(azimuths[0]) < 1e-9
        assert (np.abs(elevations - 15) <= ELEVATIONS_DEG[1] - 15).all()
        # the others stand in a quarter of the circle each
        assert ((azimuths[1:] % 360) // 90).tolist() == [0, 1, 2, 3]
        front, back = scene.depths
        assert (torch.isfinite(front) == torch.isfinite(back)).all()
        assert (front <= back)[torch.isfinite(front)].all()
        alpha = scene.pictures[0, 3]
        assert torch.isfinite(front)[alpha == 1].all()
        assert torch.isnan(front)[alpha == 0].all()
        # alpha is exact: four samples a pixel, each inside or outside
        assert set((alpha * 255).round().int().unique().tolist()) <= {0, 64, 128, 191, 255}
    again = draw_scene(model, renderer, np.random.default_rng(2))
    assert torch.equal(again.pictures, scenes[2].pictures)
    assert not torch.equal(scenes[0].pictures, scenes[1].pictures)


def test_the_meshs_depths_are_where_its_views_say_the_object_is():
    need_opengl()
    model = sphere()
    scene = draw_scene(model, MeshRenderer(model, SIZE), np.random.default_rng(5))
    camera = scene.cameras[0]
    line = (np.arange(SIZE) + 0.5 - SIZE / 2) / camera.Ks[0, 0, 0]
    across, down = np.meshgrid(line, line)
    rays = np.stack([across, down, np.ones_like(across)], -1)
    known = np.isfinite(scene.depths[0].numpy())
    for depths in scene.depths.numpy():
        seen = depths[known][:, None] * rays[known]
        world = (seen - camera.viewmats[0, :3, 3]) @ camera.viewmats[0, :3, :3]
        for view in range(1, VIEWS):
            other = scene.cameras[view]
            there = world @ other.viewmats[0, :3, :3].T + other.viewmats[0, :3, 3]
            pixels = np.floor(there[:, :2] / there[:, 2:] * other.Ks[0, 0, 0] + SIZE / 2).astype(int)
            is_there = ((pixels >= 0) & (pixels < SIZE)).all(1)
            covered = scene.pictures[view, 3].numpy()[pixels[is_there, 1], pixels[is_there, 0]]
            # every surface point is inside every silhouette; pixels on the outline may round out of it
            assert (covered > 0).mean() > 0.98


def test_hue_errors_are_of_colour_and_not_of_brightness():
    truth = torch.rand(2, 3, 8, 8)
    assert float(hue_error(truth + 0.2, truth)) < 1e-6
    shift = torch.tensor([0.0, 0.0, 0.3]).view(3, 1, 1)  # blue alone: 0.3 against both others
    assert float(hue_error(truth + shift, truth)) == pytest.approx(0.15)
    shift = torch.tensor([0.2, 0.0, 0.0]).view(3, 1, 1)  # red: 0.2 against green, and blue 0.1 too low
    assert float(hue_error(truth - shift, truth)) == pytest.approx(0.15)


def test_every_pose_is_framed_by_itself():
    need_opengl()
    model, camera = box(), make_cameras([20.0], 10.0, height=SIZE)
    for seconds in (0.0, 1.0):  # three times its own size apart
        framing = pose_framing(model, "slide", seconds, camera, 0.8, np.random.default_rng(0))
        alpha = MeshRenderer(model, SIZE).render(camera, framing, "slide", seconds)[0, ..., 3]
        rows, columns = np.nonzero(alpha)
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        # 0.8 of 128 pixels, or what lets it turn around in the frame; off the middle it is a little more
        assert 0.6 * SIZE < longer < 0.84 * SIZE
        assert 0 < rows.min() < rows.max() < SIZE - 1
        assert 0 < columns.min() < columns.max() < SIZE - 1
        # it is off the middle, but not nearer or farther
        middle = camera.viewmats[0, :3, :3] @ framing.apply(np.array([0.0, 3.0 * seconds, 0.0]))
        assert np.abs(middle[:2]).max() > 0.005
        assert abs(middle[2]) < 1e-9
    assert LARGEST < 1


def test_an_orbit_goes_around_one_pose_and_ends_at_the_reference():
    need_opengl()
    model = box()
    drawn = draw_orbit(model, MeshRenderer(model, SIZE), np.random.default_rng(3))
    assert drawn.pictures.shape == (LENGTH, 4, SIZE, SIZE)
    assert drawn.cameras.azimuths_deg[-1] % 360 == 0
    assert len(set(drawn.cameras.elevations_deg.tolist())) == 1
    # framed by its own pose, wherever in the clip that is
    rows = drawn.pictures[-1, 3].amax(1).nonzero()
    columns = drawn.pictures[-1, 3].amax(0).nonzero()
    longer = max(float(x.max() - x.min()) + 1 for x in (rows, columns)) / SIZE
    assert OBJECT_SIZES[0] - 0.05 < longer < OBJECT_SIZES[1] + 0.05
    again = draw_orbit(model, MeshRenderer(model, SIZE), np.random.default_rng(3))
    assert torch.equal(again.pictures, drawn.pictures)


def test_a_clip_keeps_one_frame_and_its_rate_is_told():
    need_opengl()
    model = box()
    clips = [draw_clip(model, MeshRenderer(model, SIZE), np.random.default_rng(k)) for k in range(3)]
    moved = []
    for clip in clips:
        assert clip.pictures.shape == (LENGTH, 4, SIZE, SIZE)
        # it is short, and shown whole
        assert clip.fps == pytest.approx(LENGTH / model.clips["slide"].duration)
        alphas = clip.pictures[:, 3]
        assert (alphas.amax((1, 2)) == 1).all()
        places = (alphas.sum(1) * torch.arange(SIZE)).sum(1) / alphas.sum((1, 2))
        moved.append(float(places.max() - places.min()))
    assert max(moved) > 10
    still = replace(model, clips={})
    with pytest.raises(InputError, match="no animation"):
        draw_clip(still, MeshRenderer(still, SIZE), np.random.default_rng(0))


def test_procedural_scenes_come_in_their_share_and_again_with_the_same_draw():
    need_opengl()
    from_files = a_ball(np.random.default_rng(0))
    draw = Mixed(lambda rng: from_files, FromGenerator(draw_scene), 0.25)
    scenes = [draw(np.random.default_rng(k)) for k in range(40)]
    procedural = [scene for scene in scenes if scene is not from_files]
    # expected are 10; three deviations are 8
    assert 2 <= len(procedural) <= 18
    k = next(k for k, scene in enumerate(scenes) if scene is not from_files)
    assert torch.equal(draw(np.random.default_rng(k)).pictures, scenes[k].pictures)
    for scene in procedural:
        assert 0.005 < float(scene.pictures[0, 3].mean()) < 0.9


def test_scenes_of_a_folder_without_such_models_are_refused(tmp_path):
    (tmp_path / "PROVENANCE.tsv").write_text("split\tkind\tfile\ntrain\tstatic\ta.glb\n")
    with pytest.raises(InputError, match="lists no animated"):
        FromAssets(draw_scene, tmp_path, "train")


def test_folders_with_many_models_come_less_often_for_each(tmp_path, monkeypatch):
    rows = [f"train\tanimated\tfish/{k}.glb" for k in range(16)]
    rows += ["train\tanimated\tdinosaurs/a.glb", "train\tstatic\tb.glb"]
    (tmp_path / "PROVENANCE.tsv").write_text("\n".join(["split\tkind\tfile", *rows]) + "\n")
    monkeypatch.setattr("diffusion2.training.scenes.load_model", lambda path: path)
    monkeypatch.setattr("diffusion2.training.scenes.MeshRenderer", lambda model, size: None)

    def share(**variation) -> float:
        draw = FromAssets(lambda model, *_: str(model), tmp_path, "train", 1.0, **variation)
        drawn = [draw(np.random.default_rng(k)) for k in range(400)]
        return float(np.mean(["dinosaurs" in str(model) for model in drawn]))

    # a fifth, where each model alike has a seventeenth; three deviations are 0.06
    assert abs(share() - 0.2) < 0.06
    assert share(vary=lambda model, rng: "dinosaurs", varied_share=1.0) == 1.0
    assert abs(share(vary=lambda model, rng: "dinosaurs", varied_share=0.5) - 0.6) < 0.08


def test_the_depth_error_of_true_depths_is_nothing_and_grows_with_distance():
    scene, task = a_ball(np.random.default_rng(0)), a_task()
    known = torch.isfinite(scene.depths)
    depths = torch.where(known, torch.tensor([1.8, 2.2]).view(2, 1, 1), torch.nan)
    lifted = task.network.lift(scene.pictures[:1], torch.tensor([10.0]))[0]
    exact = torch.full_like(lifted.depths[0], 1.8), torch.full_like(lifted.depths[1], 2.2), lifted.depths[2]
    assert float(depth_error(lifted._replace(depths=exact), depths)) < 1e-5
    moved = exact[0] + 0.05, exact[1] - 0.02, exact[2]
    assert float(depth_error(lifted._replace(depths=moved), depths)) == pytest.approx(0.07, abs=1e-5)


def test_the_depths_that_are_taught_are_those_of_each_points_own_ray():
    ball, task = a_ball(np.random.default_rng(0)), a_task()
    camera = ball.cameras[0]
    lifted = task.network.lift(ball.pictures[:1], torch.tensor([10.0]))[0]
    # a ball's front and back along the rays of both lattices, as `a_ball` finds them for pixels
    radius = float(np.random.default_rng(0).uniform(0.2, 0.4))
    exact = []
    for inside, sign in zip(lifted.inside[:2], (-1, 1), strict=True):
        line = (torch.arange(len(inside)) + 0.5) / len(inside) * 2 - 1
        rays = line * lifted.crop.side * SMALL / 2 / camera.Ks[0, 0, 0]
        length = rays.square()[:, None] + rays.square() + 1
        root = (4 - length * (4 - radius**2)).clamp(min=0).sqrt()
        exact.append(((2 + sign * root) / length)[inside].float())
    error = float(depth_error(lifted._replace(depths=(*exact, lifted.depths[2])), ball.depths))
    # what pixels of a fifteenth of the radius make of a steep outline, summed over both
    assert error < 0.08 * radius


def test_training_finds_the_depth_of_a_ball(tmp_path):
    ball = a_ball(np.random.default_rng(0))
    task = a_task(lambda rng: ball)
    trainer = Trainer(task, tmp_path / "lifter.safetensors")

    def error() -> float:
        with torch.no_grad():
            return float(
                depth_error(task.network.lift(ball.pictures[:1], torch.tensor([10.0]))[0], ball.depths)
            )

    before = error()
    for _ in range(12):
        trainer._take_step(LoopSettings(1.0, rate=10.0), 0.0)  # no time for the steps in which it rises
    assert error() < 0.8 * before


def test_a_resumed_training_goes_on_as_if_it_had_never_stopped(tmp_path):
    def steps(trainer, count):
        for _ in range(count):
            trainer._take_step(LoopSettings(1.0), 0.0)

    whole = Trainer(a_task(), tmp_path / "whole.safetensors")
    steps(whole, 4)
    first = Trainer(a_task(), tmp_path / "part.safetensors")
    steps(first, 2)
    first.save()
    second = Trainer(a_task(), tmp_path / "part.safetensors")
    steps(second, 2)
    for a, b in zip(whole.task.network.parameters(), second.task.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_how_true_its_views_look_counts_once_the_adversary_has_learned(monkeypatch):
    monkeypatch.setattr(adversary, "ALONE_STEPS", 1)

    def loss(weight: float) -> torch.Tensor:
        monkeypatch.setattr(lifter, "ADVERSARY_WEIGHT", weight)
        return a_task().loss(np.random.default_rng(0))

    without, once, twice = (loss(weight).detach() for weight in (0.0, 1.0, 2.0))
    assert once != without
    torch.testing.assert_close(twice - once, once - without, rtol=1e-3, atol=1e-5)


def test_held_out_orbits_are_measured_and_shown():
    task = a_task()
    figures = task.evaluate()
    assert set(figures) == {"lpips", "overlap", "psnr_object"}
    assert 0.3 < figures["overlap"] <= 1
    assert task.network.training
    assert task.show().shape == (2, 6, 3, SMALL, SMALL)


def test_without_held_out_creatures_nothing_is_measured_and_scenes_are_shown():
    torch.manual_seed(0)
    task = LifterTask(Lifter(**TINY), a_ball, [])
    assert task.evaluate() == {}
    shown = task.show()
    assert shown.shape == (2 * SHOWN_SCENES, VIEWS, 3, SMALL, SMALL)
    scene = a_ball(np.random.default_rng(0))
    assert torch.equal(shown[0], on_white(scene.pictures)[0])


def test_a_trained_lifter_is_packed_loaded_and_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(mini, "_networks", lambda: {"lifter": Lifter(**LIFTER_CONFIG)})
    torch.manual_seed(3)
    lifter = Lifter(**LIFTER_CONFIG)
    average = {f"average.{name}": p.detach().contiguous() for name, p in lifter.named_parameters()}
    cache = tmp_path / "cache"
    cache.mkdir()
    save_file(average, cache / "lifter.safetensors", {"task": "lifter", "step": "9"})
    assert mini.pack(cache, tmp_path / "packed") == {"lifter": 9}
    loaded = load_lifter(tmp_path / "packed")
    picture = torch.zeros(1, 4, 128, 128)
    picture[:, :, 40:80, 50:70] = 0.7
    made, expected = (
        network.lift(picture, torch.tensor([10.0]))[0].gaussians for network in (loaded, lifter)
    )
    # 8 bits of each row; the outputs' weights are small where it is untrained
    assert torch.allclose(made.means, expected.means, atol=2e-3)
    parameters = sum(p.numel() for p in lifter.parameters())
    packed = (tmp_path / "packed" / "lifter" / WEIGHTS_FILE).stat().st_size
    assert packed < min(1.05 * parameters, 15e6)  # a byte for each; 45 MB for the pair
    assert mini.unpack(tmp_path / "packed", tmp_path / "again") == {"lifter": 9}
    kept = load_file(tmp_path / "again" / "lifter.safetensors")
    assert torch.allclose(kept["weights.position"], average["average.position"], atol=1e-3)
