"""A matrix as a dataset: read back by our own readers, by pycolmap, and as D-NeRF's loaders read it."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2 import ExportSettings, export
from diffusion2.cameras import ModelFrame, make_cameras
from diffusion2.cli import main
from diffusion2.errors import ExportError, InputError
from diffusion2.evaluation.view_folders import read_view_folders
from diffusion2.events import Warned
from diffusion2.exporters.dataset import choose_held_out
from diffusion2.exporters.formats import export_matrix
from diffusion2.gaussians import Asset4D, render
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.inputs.captures import read_capture
from diffusion2.pictures import as_written, with_alpha
from diffusion2.runs.matrix_files import write_matrix

VIEWS, FRAMES, SIDE = 5, 3, 48
TURN = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
TURN = TURN * np.sign(np.linalg.det(TURN))
ELSEWHERE = ModelFrame(TURN, np.array([0.3, -2.0, 1.0]), 0.4)


@pytest.fixture
def matrix(rising_asset: Asset4D) -> ImageMatrix:
    """What five cameras see of the rising ball, with alpha, as files hold it; the last is the reference."""
    azimuths = [*(360 * (k + 1) / VIEWS for k in range(VIEWS - 1)), 360.0]
    cameras = make_cameras(azimuths, 20.0, height=SIDE)
    times = frame_times(FRAMES)
    drawn = [render(rising_asset, cameras, time) for time in times.tolist()]
    images = torch.stack([one.rgb for one in drawn], dim=1).movedim(-1, -3)
    alphas = torch.stack([one.alpha for one in drawn], dim=1).movedim(-1, -3)
    written = as_written(with_alpha(images.clamp(0, 1), alphas))
    return ImageMatrix(written[:, :, :3], cameras, times, 8.0, written[:, :, 3:])


def same_matrix(read: ImageMatrix, matrix: ImageMatrix, of: slice = slice(None)) -> None:
    """The same cameras in the same order, times and pictures."""
    ours = matrix.cameras[of]
    np.testing.assert_allclose(read.cameras.viewmats, ours.viewmats, atol=1e-9)
    np.testing.assert_allclose(read.cameras.Ks, ours.Ks, rtol=1e-9)
    assert (read.cameras.height, read.cameras.width) == (SIDE, SIDE)
    np.testing.assert_allclose(read.times, matrix.times, atol=1e-6)
    assert read.alphas is not None
    assert matrix.alphas is not None
    torch.testing.assert_close(read.images, matrix.images[of], atol=1.1 / 255, rtol=0)
    torch.testing.assert_close(read.alphas, matrix.alphas[of], atol=1e-6, rtol=0)


def test_d_nerf_s_layout_is_read_back_as_the_same_matrix(rising_asset, matrix, tmp_path: Path) -> None:
    events: list = []
    export(rising_asset, tmp_path / "d", name="dataset", matrix=matrix, report=events.append)
    same_matrix(read_capture(tmp_path / "d").matrix, matrix)
    (note,) = [event.message for event in events if isinstance(event, Warned)]
    assert "5 views, 3 times, to be played at 8 a second" in note
    assert "--held-out" in note


def test_d_nerf_s_loaders_find_what_they_look_for(rising_asset, matrix, tmp_path: Path) -> None:
    """As nerfstudio's loader of D-NeRF does: one angle, names without suffix, times, OpenGL's cameras."""
    export(rising_asset, tmp_path, ExportSettings(held_out=1), name="dataset", matrix=matrix)
    counts = {}
    for part in ("train", "val", "test"):
        content = json.loads((tmp_path / f"transforms_{part}.json").read_text())
        counts[part] = len(content["frames"])
        focal = 0.5 * SIDE / math.tan(0.5 * content["camera_angle_x"])
        for frame in content["frames"]:
            picture = tmp_path / (frame["file_path"].replace("./", "") + ".png")
            with Image.open(picture) as opened:
                assert (opened.mode, opened.size) == ("RGBA", (SIDE, SIDE))
                shown = np.asarray(opened)[..., 3] > 128
            assert frame["time"] in (0.0, 0.5, 1.0)
            pose = np.array(frame["transform_matrix"])
            # where a camera that looks along -z, y up, sees the middle of the ball
            world = np.array([*rising_asset.at(frame["time"]).means.mean(dim=0).tolist(), 1.0])
            x, y, z, _ = np.linalg.inv(pose) @ world
            assert z < 0
            column, row = SIDE / 2 + focal * x / -z, SIDE / 2 - focal * y / -z
            np.testing.assert_allclose(np.argwhere(shown).mean(axis=0), [row, column], atol=2)
    assert counts == {"train": 12, "val": 3, "test": 3}


def test_held_out_views_are_for_testing_only(rising_asset, matrix, tmp_path: Path) -> None:
    export(rising_asset, tmp_path / "d", ExportSettings(held_out=2), name="dataset", matrix=matrix)
    assert choose_held_out(matrix, 2) == [1, 3]
    same_matrix(read_capture(tmp_path / "d").matrix, matrix, [0, 2, 4])
    frame = ModelFrame(np.eye(3), np.zeros(3), 1.0)
    same_matrix(read_capture(tmp_path / "d", held_out=True, frame=frame).matrix, matrix, [1, 3])
    with pytest.raises(InputError, match="of 5 views 4 can't be held out: at most 3"):
        export(rising_asset, tmp_path / "e", ExportSettings(held_out=4), name="dataset", matrix=matrix)
    with pytest.raises(InputError, match="held_out is for the layout dnerf"):
        ExportSettings(held_out=2, layout="colmap")


def test_colmap_s_layout_is_read_back_as_the_same_matrix(rising_asset, matrix, tmp_path: Path) -> None:
    export(rising_asset, tmp_path / "d", ExportSettings(layout="colmap"), name="dataset", matrix=matrix)
    same_matrix(read_capture(tmp_path / "d").matrix, matrix)


def test_pycolmap_reads_each_frame_s_model(rising_asset, matrix, tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap", reason="needs pycolmap (the extra dev)")
    export(rising_asset, tmp_path / "d", ExportSettings(layout="colmap"), name="dataset", matrix=matrix)
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [f"frame_{k:03d}" for k in range(3)]
    for k, folder in enumerate(sorted((tmp_path / "d").iterdir())):
        read = pycolmap.Reconstruction(str(folder / "sparse" / "0"))
        (lens,) = read.cameras.values()
        np.testing.assert_allclose(lens.calibration_matrix(), matrix.cameras.Ks[0], rtol=1e-12)
        images = sorted(read.images.values(), key=lambda image: image.name)
        assert [image.name for image in images] == [f"view_{v:03d}.png" for v in range(VIEWS)]
        for image, expected in zip(images, matrix.cameras.viewmats, strict=True):
            np.testing.assert_allclose(image.cam_from_world().matrix(), expected[:3], atol=1e-12)
            assert (folder / "images" / image.name).is_file()
        places = np.stack([read.points3D[n].xyz for n in sorted(read.points3D)])
        np.testing.assert_allclose(places, rising_asset.at(k / 2).means, atol=1e-5)  # 6 digits are written
        np.testing.assert_allclose(read.points3D[1].color, [229.5, 25.5, 25.5], atol=0.51)


def test_folders_of_views_are_read_back_with_the_azimuths_of_the_note(
    rising_asset, matrix, tmp_path: Path
) -> None:
    events: list = []
    settings = ExportSettings(layout="eval")
    export(rising_asset, tmp_path / "d", settings, name="dataset", matrix=matrix, report=events.append)
    (note,) = [event.message for event in events if isinstance(event, Warned)]
    azimuths = [float(word) for word in note.split("azimuths are ")[1].split()]
    assert azimuths == [72, 144, 216, 288, 0]
    assert (tmp_path / "d" / "eval_4" / "2.png").is_file()
    read = read_view_folders(tmp_path / "d", azimuths).matrix
    torch.testing.assert_close(read.images, matrix.images, atol=1.1 / 255, rtol=0)


@pytest.mark.parametrize("layout", ["dnerf", "colmap"])
def test_cameras_go_back_to_where_the_capture_stood(rising_asset, matrix, layout, tmp_path: Path) -> None:
    asset = replace(rising_asset, metadata=replace(rising_asset.metadata, model_frame=ELSEWHERE))
    settings = ExportSettings(layout=layout, frame="model")
    export(asset, tmp_path / "d", settings, name="dataset", matrix=matrix)
    read = read_capture(tmp_path / "d", frame=ELSEWHERE).matrix
    same_matrix(read, matrix)


def test_without_a_run_the_asset_is_drawn_from_the_cameras_it_was_made_for(
    rising_asset, tmp_path: Path
) -> None:
    metadata = replace(rising_asset.metadata, views=4, height=40, width=40)
    asset = replace(rising_asset, metadata=metadata)
    export(asset, tmp_path / "d", name="dataset")
    read = read_capture(tmp_path / "d").matrix
    assert read.images.shape == (4, 5, 3, 40, 40)
    np.testing.assert_allclose(read.cameras.azimuths_deg, [90, 180, 270, 0], atol=1e-9)
    expected = render(asset, read.cameras[1], 0.75).rgb[0].permute(2, 0, 1)
    torch.testing.assert_close(read.images[1, 3], expected, atol=1.1 / 255, rtol=0)


def test_a_matrix_without_an_asset_can_be_exported_too(matrix, tmp_path: Path, capsys) -> None:
    """As ground truth, and the first stage alone, leave it."""
    (tmp_path / "truth").mkdir()
    write_matrix(tmp_path / "truth", matrix)
    assert main(["export", str(tmp_path / "truth"), str(tmp_path / "d"), "--as", "dataset"]) == 0
    same_matrix(read_capture(tmp_path / "d").matrix, matrix)
    export_matrix(matrix, tmp_path / "c", ExportSettings(layout="colmap"))
    assert (tmp_path / "c" / "frame_000" / "sparse" / "0" / "points3D.txt").read_text().count("\n") == 1
    with pytest.raises(InputError, match="neither a 3D model nor a capture"):
        export_matrix(matrix, tmp_path / "e", ExportSettings(frame="model"))
    assert main(["export", str(tmp_path / "truth"), str(tmp_path / "a.ply")]) == 2
    assert "no asset.safetensors" in capsys.readouterr().err


def test_a_folder_with_other_files_is_refused_and_an_earlier_dataset_replaced(
    rising_asset, matrix, tmp_path: Path
) -> None:
    folder = tmp_path / "d"
    export(rising_asset, folder, ExportSettings(layout="eval"), name="dataset", matrix=matrix)
    export(rising_asset, folder, ExportSettings(layout="eval"), name="dataset", matrix=matrix[:2, :2])
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert found == ["eval_0/0.png", "eval_0/1.png", "eval_1/0.png", "eval_1/1.png"]
    with pytest.raises(ExportError, match=r"holds other files \(eval_0 …\)"):
        export(rising_asset, folder, name="dataset", matrix=matrix)
    assert sorted(path.name for path in folder.iterdir()) == ["eval_0", "eval_1"]


@pytest.mark.parametrize("layout", ["dnerf", "colmap", "eval"])
def test_an_interrupted_dataset_leaves_nothing(
    layout, rising_asset, matrix, tmp_path: Path, interrupt: Callable
) -> None:
    with pytest.raises(KeyboardInterrupt):
        export(
            rising_asset, tmp_path / "d", ExportSettings(layout=layout), name="dataset", matrix=matrix,
            report=interrupt,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interrupt() -> Callable:
    """Interrupts the work when a first part of it is done."""

    def hear(event) -> None:
        if getattr(event, "done", 0) >= 1:
            raise KeyboardInterrupt

    return hear
