"""Captures of other programs become matrices in our world, whatever their cameras are like."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.inputs.capture_writers import (
    FOCAL,
    balls_at,
    draw,
    elsewhere,
    on_orbit,
    opengl_pose,
    our_cameras,
    save,
    static_transforms,
    to_binary,
    write_colmap,
    write_frames,
    write_transforms,
)
from tests.inputs.capture_writers import Camera as Drawn

from diffusion2.cameras import orbit
from diffusion2.config import ReconstructionSettings
from diffusion2.errors import InputError
from diffusion2.evaluation.pairing import read_pair
from diffusion2.events import Warned
from diffusion2.gaussians import load_asset, render
from diffusion2.image_matrix import ImageMatrix
from diffusion2.inputs.captures import is_capture, read_capture
from diffusion2.pictures import from_pixels, on_white
from diffusion2.pipeline import reconstruct
from diffusion2.runs.matrix_files import write_matrix

TURN = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
TURN = TURN * np.sign(np.linalg.det(TURN))
SCALE, SHIFT = 3.0, np.array([5.0, -2.0, 1.0])
QUICK = replace(ReconstructionSettings(), warmup_iterations=60, joint_iterations=60, gaussians=600)


def moved(balls):
    """The balls where TURN, SCALE and SHIFT bring them."""
    return np.c_[SCALE * balls[:, :3] @ TURN.T + SHIFT, SCALE * balls[:, 3]]


def wild_cameras():
    """Cameras that look elsewhere, rolled, at other heights, distances, lenses and picture sizes."""
    rng = np.random.default_rng(0)
    return [
        on_orbit(
            azimuth + rng.normal() * 8,
            rng.uniform(-10, 50),
            rng.uniform(1.6, 3),
            target=rng.normal(size=3) * 0.15,
            roll_deg=rng.normal() * 4,
            width=120,
            height=90 + 4 * k,
            f=rng.uniform(120, 170),
            offset=(3, -2),
            k1=-0.1,
        )
        for k, azimuth in enumerate(range(0, 360, 36))
    ]


def notes_of(folder, **options):
    said = []
    capture = read_capture(folder, said.append, **options)
    return capture, [event.message for event in said if isinstance(event, Warned)]


def in_our_world(capture, balls):
    return np.c_[capture.frame.to_world(balls[:, :3]), balls[:, 3] * capture.frame.scale]


def silhouette(cameras, view, balls):
    """What one of our cameras sees of balls in our world, (H, W) bool, by the tests' own drawing."""
    K, viewmat = cameras.Ks[view], cameras.viewmats[view]
    camera = Drawn(cameras.positions[view], viewmat[:3, :3], cameras.width, cameras.height, K[0, 0])
    return draw(camera, balls)[..., 3] > 127


def overlap(a, b):
    return float((a & b).sum() / (a | b).sum())


def test_our_own_matrix_comes_back_from_transforms_to_the_pixel(tmp_path):
    frames = write_frames(tmp_path, our_cameras(), [balls_at(t) for t in (0, 0.5, 1)])
    write_transforms(tmp_path, frames)
    capture, notes = notes_of(tmp_path)
    matrix, wanted = capture.matrix, orbit(8, height=96)
    for name in ("positions", "viewmats", "Ks"):
        np.testing.assert_allclose(getattr(matrix.cameras, name), getattr(wanted, name), atol=1e-6)
    assert matrix.times.tolist() == [0, 0.5, 1]
    assert (matrix.reference_view, matrix.reference_frame, matrix.seen) == (7, 0, None)
    image, alpha = on_white(from_pixels(draw(our_cameras()[2], balls_at(0.5))))
    assert float((matrix.images[2, 1] - image).abs().max()) <= 1 / 255  # two roundings to 8 bits
    assert float((matrix.alphas[2, 1] - alpha).abs().max()) <= 1 / 255
    assert len(notes) == 2
    assert "our origin is its point (0, 0, 0)" in notes[0]
    assert "24 frames a second are taken" in notes[1]
    np.testing.assert_allclose(capture.frame.to_world(np.eye(3)), np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("SIMPLE_PINHOLE", "text"),
        ("PINHOLE", "binary"),
        ("SIMPLE_RADIAL", "text"),
        ("SIMPLE_RADIAL", "binary"),
    ],
)
def test_a_colmap_world_of_any_place_and_size_is_brought_to_ours(tmp_path, model, form):
    cameras = [elsewhere(camera, TURN, SCALE, SHIFT) for camera in our_cameras()]
    for k, camera in enumerate(cameras):
        save(tmp_path / f"images/cam {k}.png", draw(camera, moved(balls_at(0))))
    write_colmap(tmp_path / "sparse/0", [(f"cam {k}.png", camera) for k, camera in enumerate(cameras)], model)
    if form == "binary":
        to_binary(tmp_path / "sparse/0")
    capture, _ = notes_of(tmp_path)
    found = capture.matrix.cameras
    np.testing.assert_allclose(found.elevations_deg, 10, atol=1e-4)
    np.testing.assert_allclose(found.radii, 2, atol=1e-6)
    np.testing.assert_allclose(np.diff(found.azimuths_deg) % 360, 45, atol=1e-4)
    assert found.azimuths_deg[capture.matrix.reference_view] == pytest.approx(0, abs=1e-6)
    back = capture.frame.to_model(capture.frame.to_world(SHIFT[None]))
    np.testing.assert_allclose(back, SHIFT[None], atol=1e-9)
    assert overlap(capture.matrix.alphas[3, 0, 0].numpy() > 0.5,
                   silhouette(found, 3, in_our_world(capture, moved(balls_at(0))))) > 0.98  # fmt: skip


def test_cameras_that_look_elsewhere_are_used_as_they_are(tmp_path):
    """Lenses, sizes, distances and directions all differ; the poses are COLMAP's, with a folder a frame."""
    cameras = [elsewhere(camera, TURN, SCALE, SHIFT) for camera in wild_cameras()]
    for f in (0, 1):
        for k, camera in enumerate(cameras):
            save(tmp_path / f"frame_{f}/cam{k}.png", draw(camera, moved(balls_at(f))))
    write_colmap(tmp_path / "sparse/0", [(f"cam{k}.png", camera) for k, camera in enumerate(cameras)])
    capture, notes = notes_of(tmp_path)
    assert any("straightened, turned to the origin" in note and "count" in note for note in notes)
    matrix = capture.matrix
    assert matrix.seen is not None  # some cut the object off
    for view in range(10):
        for f in (0, 1):
            seen = matrix.seen[view, 0].numpy()
            truth = silhouette(matrix.cameras, view, in_our_world(capture, moved(balls_at(f))))
            found = matrix.alphas[view, f, 0].numpy() > 0.5
            assert overlap(found[seen], truth[seen]) > 0.97  # the least was 0.987
            assert not found[~seen].any()
    up = capture.frame.axes @ (TURN @ [0, 0, 1])
    assert up[2] > np.cos(np.deg2rad(10))  # rolled by four degrees at random


@pytest.fixture(scope="module")
def reconstructed(tmp_path_factory):
    """The wild capture as transforms.json, reconstructed by the command's function."""
    folder = tmp_path_factory.mktemp("wild")
    cameras = [elsewhere(camera, TURN, SCALE, SHIFT) for camera in wild_cameras()]
    write_transforms(folder, write_frames(folder, cameras, [moved(balls_at(t)) for t in (0, 1)]))
    reconstruct(folder, QUICK)
    return folder


def test_the_asset_is_where_the_capture_says(reconstructed):
    """From directions that no camera has."""
    asset = load_asset(reconstructed / "asset.safetensors")
    frame = asset.metadata.model_frame
    cameras = orbit(5, 30.0, height=96)
    for time, least in ((0.0, 0.95), (1.0, 0.75)):  # sixty iterations know little of the motion yet
        drawn = render(asset, cameras, time).alpha[..., 0].numpy() > 0.5
        balls = moved(balls_at(time))
        balls = np.c_[frame.to_world(balls[:, :3]), balls[:, 3] * frame.scale]
        for view in range(5):
            assert overlap(drawn[view], silhouette(cameras, view, balls)) > least


def test_a_capture_is_measured_against_other_cameras_of_the_same_world(reconstructed, tmp_path):
    others = [elsewhere(on_orbit(a, 25.0, 2.4, f=FOCAL), TURN, SCALE, SHIFT) for a in (20, 140, 260)]
    write_transforms(tmp_path, write_frames(tmp_path, others, [moved(balls_at(t)) for t in (0, 1)]))
    pair = read_pair(reconstructed, tmp_path)
    assert pair.source == "asset"
    errors = (pair.result.images - pair.reference.images).square().mean(dim=(2, 3, 4))
    empty = (1 - pair.reference.images).square().mean(dim=(2, 3, 4))
    assert bool((errors[:, 0] < 0.1 * empty[:, 0]).all())  # 10 dB better than showing nothing
    assert bool((errors[:, 1] < 0.5 * empty[:, 1]).all())  # the motion is hardly learnt


def test_what_no_camera_saw_is_white_on_both_sides(reconstructed):
    pair = read_pair(reconstructed, reconstructed)
    unseen = ~pair.reference.seen[:, None].expand_as(pair.reference.images)
    assert unseen.any()
    assert bool((pair.result.images[unseen] == 1).all())
    assert bool((pair.reference.images[unseen] == 1).all())


def test_our_matrix_is_paired_with_a_capture_by_camera(tmp_path):
    """The capture lists its cameras in another order."""
    cameras, balls = our_cameras(), [balls_at(0), balls_at(1)]
    pictures = torch.stack(
        [torch.stack([on_white(from_pixels(draw(c, b)))[0] for b in balls]) for c in cameras]
    )
    (tmp_path / "run").mkdir()
    write_matrix(tmp_path / "run", ImageMatrix(pictures, orbit(8, height=96), torch.tensor([0.0, 1.0]), 8.0))
    write_transforms(tmp_path / "truth", write_frames(tmp_path / "truth", cameras[::-1], balls))
    pair = read_pair(tmp_path / "run", tmp_path / "truth")
    assert pair.source == "matrix"
    assert float((pair.result.images - pair.reference.images).abs().max()) < 0.02


def test_a_dome_is_paired_by_elevation_where_azimuths_are_the_same(tmp_path):
    cameras = [on_orbit(a, e, f=FOCAL) for e in (10, 40) for a in (0, 90, 180, 270)]
    write_transforms(tmp_path / "a", write_frames(tmp_path / "a", cameras, [balls_at(0)]))
    write_transforms(tmp_path / "b", write_frames(tmp_path / "b", cameras[::-1], [balls_at(0)]))
    pair = read_pair(tmp_path / "a", tmp_path / "b")
    np.testing.assert_allclose(pair.result.cameras.elevations_deg, pair.reference.cameras.elevations_deg)
    assert float((pair.result.images - pair.reference.images).abs().max()) < 0.02


def test_white_pictures_without_alpha_stay_as_they_came(tmp_path):
    write_transforms(
        tmp_path, write_frames(tmp_path, our_cameras(), [balls_at(0)], background=(255, 255, 255))
    )
    assert read_capture(tmp_path).matrix.alphas is None


@pytest.mark.parametrize("background", [(0, 0, 0), (40, 200, 60)])
def test_plain_backgrounds_are_cut_away(tmp_path, background):
    write_transforms(tmp_path, write_frames(tmp_path, our_cameras(), [balls_at(0)], background=background))
    matrix = read_capture(tmp_path).matrix
    truth = silhouette(matrix.cameras, 1, balls_at(0))
    assert overlap(matrix.alphas[1, 0, 0].numpy() > 0.5, truth) > 0.95  # the cut lies within a pixel
    assert float(matrix.images[:, :, :, :4].min()) == 1


def test_masks_cut_the_object_out_of_any_background(tmp_path):
    camera_list = our_cameras()
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    frames = []
    for k, camera in enumerate(camera_list):
        rgba = draw(camera, balls_at(0))
        save(tmp_path / f"images/{k}.png", rgba, noise)
        save(tmp_path / f"hulls/{k}.png", np.repeat(rgba[..., 3:], 3, axis=-1))
        frames.append((f"images/{k}.png", replace(camera, extra={"mask_path": f"hulls/{k}.png"}), None))
    write_transforms(tmp_path / "", frames)
    matrix = read_capture(tmp_path).matrix
    truth = silhouette(matrix.cameras, 1, balls_at(0))
    assert overlap(matrix.alphas[1, 0, 0].numpy() > 0.5, truth) > 0.98


def test_colmap_masks_lie_in_a_folder_of_their_own(tmp_path):
    for k, camera in enumerate(our_cameras()):
        rgba = draw(camera, balls_at(0))
        save(tmp_path / f"images/{k}.png", rgba, (90, 120, 30 * k))
        save(tmp_path / f"masks/{k}.png.png", np.repeat(rgba[..., 3:], 3, axis=-1))
    write_colmap(tmp_path, [(f"{k}.png", camera) for k, camera in enumerate(our_cameras())])
    matrix = read_capture(tmp_path).matrix
    assert overlap(matrix.alphas[1, 0, 0].numpy() > 0.5, silhouette(matrix.cameras, 1, balls_at(0))) > 0.98


def write_dnerf(folder, split, cameras, times):
    frames = []
    for k, (camera, time) in enumerate(zip(cameras, times, strict=True)):
        save(folder / f"{split}/r_{k:03d}.png", draw(camera, balls_at(time)))
        frames.append(
            {"file_path": f"./{split}/r_{k:03d}", "time": time, "transform_matrix": opengl_pose(camera)}
        )
    angle = 2 * np.arctan(96 / 2 / FOCAL)
    (folder / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))


def test_the_part_for_testing_is_what_a_result_is_measured_against(tmp_path):
    """Names without suffix, one angle for all, times of which no part has the whole range."""
    cameras = our_cameras()
    write_dnerf(tmp_path, "train", cameras * 2, [0.0] * 8 + [0.5] * 8)
    write_dnerf(tmp_path, "test", cameras[:2] * 2, [0.25] * 2 + [1.0] * 2)
    learnt, notes = notes_of(tmp_path)
    held_out, _ = notes_of(tmp_path, held_out=True)
    assert learnt.matrix.images.shape[:2] == (8, 2)
    assert learnt.matrix.times.tolist() == [0, 0.5]
    assert held_out.matrix.times.tolist() == [0.25, 1]
    assert learnt.matrix.cameras.fov_deg == pytest.approx(33.8)
    assert "transforms_train.json are taken, those of transforms_test.json are not" in notes[0]


def test_one_camera_that_moves_through_time_is_refused_with_what_to_do(tmp_path):
    write_dnerf(tmp_path, "train", our_cameras(), np.linspace(0, 1, 8).tolist())
    with pytest.raises(InputError, match="8 pictures from 8 places at 8 times, so one camera at each time"):
        read_capture(tmp_path)


def test_a_missing_picture_is_a_blind_camera_and_not_compared(tmp_path):
    frames = write_frames(tmp_path, our_cameras(), [balls_at(t) for t in (0, 0.5, 1)])
    write_transforms(tmp_path, frames[:-1])
    capture, notes = notes_of(tmp_path)
    assert float(capture.matrix.images[7, 2].min()) == 1
    assert any("1 of 24 pictures (8 cameras, 3 times) are not there" in note for note in notes)
    said = []
    assert capture.complete(said).images.shape[:2] == (7, 3)
    assert "1 of 8 cameras lack a picture" in said[0]


TIMED = {
    "numbers in names": lambda k, f: f"images/cam{k}_{f + 7}.png",
    "a folder a camera": lambda k, f: f"cam{k}/{f:04d}.png",
    "a folder a time": lambda k, f: f"time_{f}/{k:02d}.png",
}


@pytest.mark.parametrize("way", TIMED)
def test_names_say_the_time_where_the_file_does_not(tmp_path, way):
    frames = []
    for k, camera in enumerate(our_cameras()):
        for f in (0, 1, 3):
            name = TIMED[way](k, f)
            save(tmp_path / name, draw(camera, balls_at(f / 3)))
            frames.append((name, camera, None))
    write_transforms(tmp_path, frames)
    matrix = read_capture(tmp_path).matrix
    assert matrix.images.shape[:2] == (8, 3)
    np.testing.assert_allclose(matrix.times, [0, 1 / 3, 1], atol=1e-6)


@pytest.mark.parametrize("program", ["nerfstudio", "colmap"])
def test_a_folder_a_frame_may_hold_cameras_each(tmp_path, program):
    for f in (0, 1, 2):
        inner = tmp_path / f"frame_{f:03d}"
        names = [(f"{k}.png", camera) for k, camera in enumerate(our_cameras())]
        for name, camera in names:
            save(inner / "images" / name, draw(camera, balls_at(f / 2)))
        if program == "colmap":
            write_colmap(inner / "sparse/0", names)
        else:
            write_transforms(inner, [(f"images/{name}", camera, None) for name, camera in names])
    matrix = read_capture(tmp_path).matrix
    assert matrix.images.shape[:2] == (8, 3)
    assert matrix.times.tolist() == [0, 0.5, 1]


def test_colmap_may_name_a_camera_and_a_folder_holds_its_pictures(tmp_path):
    for k, camera in enumerate(our_cameras()):
        for f in (0, 1):
            save(tmp_path / f"images/cam{k}/{f:03d}.png", draw(camera, balls_at(f)))
    write_colmap(tmp_path, [(f"cam{k}.png", camera) for k, camera in enumerate(our_cameras())])
    assert read_capture(tmp_path).matrix.images.shape[:2] == (8, 2)


def test_our_cameras_come_first(tmp_path):
    static_transforms(tmp_path)
    write_matrix(
        tmp_path, ImageMatrix(torch.full((4, 1, 3, 32, 32), 0.5), orbit(4, height=32), torch.zeros(1), 8.0)
    )
    said = []
    reconstruct(tmp_path, replace(QUICK, warmup_iterations=1, gaussians=20), report=said.append)
    notes = [event.message for event in said if isinstance(event, Warned)]
    assert "cameras.json and matrix/ are taken" in notes[0]
    assert load_asset(tmp_path / "asset.safetensors").metadata.views == 4


def test_a_folder_without_cameras_is_no_capture(tmp_path):
    save(tmp_path / "images/0.png", draw(our_cameras()[0], balls_at(0)))
    assert not is_capture(tmp_path)


def test_times_may_be_words_and_paths_those_of_another_computer(tmp_path):
    frames = write_frames(tmp_path, our_cameras(), [balls_at(0), balls_at(1)])
    frames = [(f"/home/me/fox/{name}", camera, f"{time:.3f}") for name, camera, time in frames]
    write_transforms(tmp_path, frames)
    capture, notes = notes_of(tmp_path)
    assert capture.matrix.images.shape[:2] == (8, 2)
    assert any("24 frames a second are taken" in note for note in notes)


def test_a_reference_of_another_world_is_told_of(tmp_path):
    path = static_transforms(tmp_path)
    ours, _ = notes_of(tmp_path)
    _, notes = notes_of(tmp_path, frame=ours.frame)
    assert "placed by the world of the result" in notes[0]
    assert "is it the same" not in notes[0]
    shifted = replace(ours.frame, center=ours.frame.center + np.array([0, 0, 1.0]))
    assert "away from where the result is: is it the same" in notes_of(tmp_path, frame=shifted)[1][0]
    lying = replace(ours.frame, axes=ours.frame.axes[[0, 2, 1]] * [[1], [-1], [1]])
    assert "their up is 90° from the result's: is it the same" in notes_of(path.parent, frame=lying)[1][0]


def test_notes_of_captures_name_no_options_that_they_do_not_have(tmp_path):
    frames = write_frames(tmp_path, our_cameras(), [balls_at(0)], background=(120, 160, 110))
    for name, *_ in frames:
        picture = Image.open(tmp_path / name)
        picture.paste((10, 10, 10), (2, 2, 5, 5))
        picture.save(tmp_path / name)
    write_transforms(tmp_path, [(name, camera, None) for name, camera, _ in frames])
    _, notes = notes_of(tmp_path)
    assert any("speck" in note and "masks beside the pictures say otherwise" in note for note in notes)
    assert not any("--mask" in note or "--background" in note for note in notes)


def test_a_picture_scaled_down_scales_its_lens(tmp_path):
    path = static_transforms(tmp_path)
    content = json.loads(path.read_text())
    for frame in content["frames"]:
        frame |= {name: 4 * frame[name] for name in ("fl_x", "fl_y", "cx", "cy", "w", "h")}
    path.write_text(json.dumps(content))
    assert read_capture(tmp_path).matrix.cameras.fov_deg == pytest.approx(33.8)


def test_a_result_is_written_beside_the_capture_and_leads_back(reconstructed: Path):
    metadata = load_asset(reconstructed / "asset.safetensors").metadata
    assert (metadata.views, metadata.frames) == (10, 2)
    middle = metadata.model_frame.to_model(np.zeros((1, 3)))[0]
    # the balls' box is not centred on the first, but the origin lies on them
    assert np.linalg.norm(middle - SHIFT) < SCALE * 0.3
    assert (reconstructed / "viewer.html").is_file()
