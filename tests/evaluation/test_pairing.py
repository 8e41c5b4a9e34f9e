import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import AssetFormatError, Diffusion2Error, InputError
from diffusion2.evaluation import pairing
from diffusion2.evaluation.pairing import (
    PAPER_AZIMUTHS_DEG,
    SUSPICIOUS,
    PairingSettings,
    read_pair,
)
from diffusion2.evaluation.resampling import match_azimuths, nearest_times, resize
from diffusion2.gaussians import Asset4D, AssetMetadata, Gaussians
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import to_8_bit, write_picture
from diffusion2.runs.matrix_files import write_matrix

VIEWS, FRAMES, SIZE = 6, 4, 24
PAPER = PairingSettings(protocol="paper")
RESAMPLE = PairingSettings(resample=True)


def make_matrix(views=VIEWS, frames=FRAMES, size=SIZE, *, azimuths=None, elevation=10.0, width=None):
    """Every picture is told from all others by its colours, which depend on the azimuth and time alone."""
    cameras = orbit(views, elevation, height=size, width=width)
    if azimuths is not None:
        cameras = make_cameras(azimuths, elevation, height=size, width=width)
    turn = torch.deg2rad(torch.as_tensor(cameras.azimuths_deg))[:, None]
    times = frame_times(frames)
    colors = torch.stack([torch.sin(turn) + 0 * times, torch.cos(turn) + 0 * times, 0 * turn + times], dim=2)
    images = torch.ones(len(cameras), frames, 3, size, width or size)
    images[..., size // 4 : -size // 4, size // 4 : -size // 4] = (
        0.4 + 0.3 * colors[..., None, None]
    ).float()
    return ImageMatrix(to_8_bit(images), cameras, times, 8.0)


def write(folder, matrix):
    folder.mkdir()
    write_matrix(folder, matrix)
    return folder


def write_view_folders(folder, images, name="eval_{}", frame="{}.png"):
    for view, row in enumerate(images):
        (folder / name.format(view)).mkdir(parents=True)
        for number, image in enumerate(row):
            write_picture(folder / name.format(view) / frame.format(number), image)
    return folder


def write_asset(folder):
    """Two balls of other colours, at +x and +y: every side looks different."""
    folder.mkdir(exist_ok=True)
    count = 2
    gaussians = Gaussians(
        means=torch.tensor([[0.2, 0, 0], [0, 0.2, 0]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        log_scales=torch.full((count, 3), -2.5),
        opacity_logits=torch.full((count,), 4.0),
        sh0=torch.tensor([[[1.0, -1, -1]], [[-1, -1, 1.0]]]),
    )
    Asset4D(gaussians, None, AssetMetadata(elevation_deg=10.0, frames=FRAMES)).save(
        folder / "asset.safetensors"
    )
    return folder


@pytest.fixture
def truth(tmp_path):
    return write(tmp_path / "truth", make_matrix())


def test_a_run_is_compared_with_its_reference_as_it_is(tmp_path, truth):
    pair = read_pair(write(tmp_path / "run", make_matrix()), truth)
    assert torch.equal(pair.result.images, pair.reference.images)
    assert (pair.source, pair.cameras_known, pair.notes) == ("matrix", True, ())


def test_views_are_paired_by_azimuth_whatever_their_order(tmp_path, truth):
    azimuths = make_matrix().cameras.azimuths_deg[[3, 0, 5, 1, 4, 2]] - 360
    pair = read_pair(write(tmp_path / "run", make_matrix(azimuths=azimuths)), truth)
    assert torch.equal(pair.result.images, pair.reference.images)


REFUSED = {
    "views": (make_matrix(views=3), "3 views and the reference 6: add --resample"),
    "frames": (make_matrix(frames=5), "5 frames and the reference 4: add --resample"),
    "size": (make_matrix(size=20), "20 x 20 pixels and the reference 24 x 24: add --resample"),
    "shape": (make_matrix(width=32), "differ in shape"),
    "azimuths": (make_matrix(azimuths=[10, 70, 130, 190, 250, 310]), "stand at 10°, 70°"),
    "elevation": (make_matrix(elevation=25.0), "elevation is 25 in the result and 10.*--from matrix"),
    "times": (replace(make_matrix(), times=frame_times(FRAMES) / 3), "0.67 of the sequence apart"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_differs_is_refused_and_says_how(tmp_path, truth, name):
    matrix, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        read_pair(write(tmp_path / "run", matrix), truth)


def test_other_cameras_are_compared_when_told_and_noted(tmp_path, truth):
    run = write(tmp_path / "run", make_matrix(elevation=25.0))
    pair = read_pair(run, truth, PairingSettings(source="matrix"))
    assert "elevation is 25" in pair.notes[0]


def test_resampling_pairs_views_by_azimuth_frames_by_time_and_takes_the_smaller_size(tmp_path, truth):
    run = write(tmp_path / "run", make_matrix(views=3, frames=7, size=48))
    pair = read_pair(run, truth, RESAMPLE)
    assert pair.reference.cameras.azimuths_deg.tolist() == [120, 240, 360]
    assert pair.result.images.shape == pair.reference.images.shape == (3, FRAMES, 3, SIZE, SIZE)
    # frames 0, 2, 4, 6 of 7 are at the times of 4 frames; inside the square the colours are equal
    middle = (..., slice(10, 14), slice(10, 14))
    torch.testing.assert_close(pair.result.images[middle], pair.reference.images[middle], atol=0.01, rtol=0)
    assert len(pair.notes) == 3
    for part in ("3 views that both have", "nearest in time", "24 x 24"):
        assert part in " ".join(pair.notes)


def test_resampling_never_compares_views_that_are_elsewhere(tmp_path, truth):
    run = write(tmp_path / "run", make_matrix(azimuths=[10, 70]))
    with pytest.raises(InputError, match="no view in common"):
        read_pair(run, truth, RESAMPLE)


def test_a_mirrored_orbit_is_marked(tmp_path, truth):
    matrix = make_matrix()
    mirrored = replace(matrix, images=matrix.images[[4, 3, 2, 1, 0, 5]])
    notes = read_pair(write(tmp_path / "run", mirrored), truth).notes
    assert len(notes) == 1
    assert notes[0].startswith(SUSPICIOUS)


def test_an_asset_is_drawn_by_the_references_cameras(tmp_path, truth):
    run = write_asset(tmp_path / "run")
    pair = read_pair(run, truth)
    assert pair.source == "asset"
    assert pair.result.images.shape == pair.reference.images.shape
    assert pair.result.alphas is not None
    # the camera on +x sees the ball on +y at its right, the one on -x at its left
    front = pair.result.images[-1, 0]
    dark = (front.mean(0) < 0.9).nonzero().float()
    assert dark[:, 1].max() > SIZE / 2 + 3
    behind = pair.result.images[2, 0]
    assert (behind.mean(0) < 0.9).nonzero().float()[:, 1].min() < SIZE / 2 - 3
    assert torch.equal(read_pair(run / "asset.safetensors", truth).result.images, pair.result.images)


def test_a_run_with_other_cameras_is_compared_by_its_asset_and_says_so(tmp_path, truth):
    run = write_asset(write(tmp_path / "run", make_matrix(views=4)))
    pair = read_pair(run, truth)
    assert pair.source == "asset"
    assert "4 views and the reference 6" in pair.notes[0]
    assert read_pair(write_asset(write(tmp_path / "same", make_matrix())), truth).source == "matrix"
    assert read_pair(tmp_path / "same", truth, PairingSettings(source="asset")).source == "asset"
    with pytest.raises(InputError, match="--resample"):
        read_pair(run, truth, PairingSettings(source="matrix"))


def test_a_run_without_asset_cant_be_compared_by_it(tmp_path, truth):
    run = write(tmp_path / "run", make_matrix())
    with pytest.raises(InputError, match=r"no asset\.safetensors in .*diffusion2 reconstruct"):
        read_pair(run, truth, PairingSettings(source="asset"))


@pytest.fixture
def paper_images():
    return make_matrix(frames=26, azimuths=PAPER_AZIMUTHS_DEG).images


@pytest.mark.parametrize(("views", "first"), [(5, 0), (4, 1)])
def test_the_papers_views_are_known_for_folders_of_the_fields_layout(
    tmp_path, paper_images, views, first, monkeypatch
):
    monkeypatch.setattr(pairing, "PAPER_SIZE", 32)  # for speed
    reference = write_view_folders(tmp_path / "gt", paper_images[first:])
    result = write_view_folders(tmp_path / "ours", paper_images[first:], "view_{:02d}", "frame_{:04d}.png")
    pair = read_pair(result, reference, PAPER)
    assert pair.reference.images.shape == (views, 25, 3, 32, 32)
    assert pair.reference.cameras.azimuths_deg.tolist() == list(PAPER_AZIMUTHS_DEG[first:])
    assert torch.equal(pair.result.images, pair.reference.images)
    assert not pair.cameras_known
    assert ("4 of 5 views" in " ".join(pair.notes)) == (views == 4)


def test_the_papers_protocol_draws_a_runs_asset_at_its_azimuths(tmp_path, paper_images):
    reference = write_view_folders(tmp_path / "gt", paper_images[1:, :3])
    pair = read_pair(write_asset(write(tmp_path / "run", make_matrix())), reference, PAPER)
    assert pair.source == "asset"
    assert pair.result.images.shape == (4, 3, 3, 512, 512)
    assert pair.result.cameras.elevations_deg.tolist() == [10.0] * 4
    assert "3 frames, the paper compares 25" in " ".join(pair.notes)


def test_the_papers_protocol_takes_its_views_from_a_reference_with_cameras(tmp_path, paper_images):
    azimuths = [*PAPER_AZIMUTHS_DEG, 90.0]
    reference = write(tmp_path / "gt", make_matrix(azimuths=azimuths))
    pair = read_pair(write(tmp_path / "run", make_matrix(azimuths=azimuths[::-1])), reference, PAPER)
    assert pair.source == "matrix"
    assert pair.reference.views == 5
    assert torch.equal(pair.result.images, pair.reference.images)


def test_the_papers_protocol_refuses_references_without_its_views_and_stretched_ones(tmp_path, truth):
    run = write_asset(tmp_path / "run")
    no_views = write(tmp_path / "no", make_matrix(azimuths=[30, 60]))
    with pytest.raises(InputError, match="no view at one of the paper's azimuths"):
        read_pair(run, no_views, PAPER)
    wide = write(tmp_path / "wide", make_matrix(azimuths=PAPER_AZIMUTHS_DEG, width=32))
    with pytest.raises(InputError, match="square"):
        read_pair(run, wide, PAPER)


def test_folders_of_views_without_cameras_need_azimuths(tmp_path, truth):
    folder = write_view_folders(tmp_path / "views", make_matrix().images)
    with pytest.raises(InputError, match=r"6 views, but there is no cameras\.json: .*--azimuths-deg"):
        read_pair(folder, truth)
    azimuths = tuple(make_matrix().cameras.azimuths_deg)
    pair = read_pair(folder, truth, PairingSettings(azimuths_deg=azimuths))
    assert torch.equal(pair.result.images, pair.reference.images)
    with pytest.raises(InputError, match="6 views, but 2 azimuths are given"):
        read_pair(folder, truth, PairingSettings(azimuths_deg=(0.0, 90.0)))


def test_a_matrix_without_cameras_is_a_folder_of_views(tmp_path, truth):
    run = write(tmp_path / "run", make_matrix())
    (run / "cameras.json").unlink()
    with pytest.raises(InputError, match=r"write cameras\.json"):
        read_pair(run, truth)
    azimuths = tuple(make_matrix().cameras.azimuths_deg)
    assert read_pair(run, truth, PairingSettings(azimuths_deg=azimuths)).source == "matrix"


def spoil(name):
    """Get a function that spoils a folder eval_0 … eval_4 of 0.png … 2.png, and what the error must say."""

    def number_twice(folder):
        shutil.copy(folder / "eval_1" / "1.png", folder / "eval_1" / "01.png")

    def two_series(folder):
        shutil.copy(folder / "eval_1" / "1.png", folder / "eval_1" / "mask_1.png")

    def other_size(folder):
        Image.new("RGB", (9, 9)).save(folder / "eval_2" / "1.png")

    def smaller_view(folder):
        for path in (folder / "eval_2").iterdir():
            Image.new("RGB", (9, 9)).save(path)

    return {
        "a frame is missing": (lambda f: (f / "eval_3" / "1.png").unlink(), "1 is missing"),
        "the last frame is missing": (lambda f: (f / "eval_3" / "2.png").unlink(), "eval_3 has 2 pictures"),
        "a view is missing": (lambda f: shutil.rmtree(f / "eval_2"), "eval_2 is missing"),
        "a view is empty": (lambda f: [p.unlink() for p in (f / "eval_2").iterdir()], "no numbered PNG"),
        "a picture is cut short": (
            lambda f: (f / "eval_0" / "0.png").write_bytes((f / "eval_0" / "0.png").read_bytes()[:60]),
            "can't be read as a picture",
        ),
        "no picture": (lambda f: (f / "eval_0" / "0.png").write_text("no"), "can't be read as a picture"),
        "a number twice": (number_twice, "which is number 1"),
        "two series": (two_series, "mixes"),
        "another size": (other_size, "9 x 9 pixels, but 0.png is 24 x 24"),
        "a smaller view": (smaller_view, "3 pictures of 9 x 9"),
        "nothing": (lambda f: [shutil.rmtree(p) for p in f.iterdir()], "no pictures of views"),
        "another project's folder": (lambda f: shutil.move(f, f.parent / "gone"), "no folder"),
    }[name]


SPOILS = [
    *("a frame is missing", "the last frame is missing", "a view is missing", "a view is empty"),
    *("a picture is cut short", "no picture", "a number twice", "two series", "another size"),
    *("a smaller view", "nothing", "another project's folder"),
]


@pytest.mark.parametrize("name", SPOILS)
def test_incomplete_folders_are_refused_with_one_line(tmp_path, name):
    images = make_matrix(frames=3, azimuths=PAPER_AZIMUTHS_DEG).images
    good = write_view_folders(tmp_path / "good", images)
    bad = write_view_folders(tmp_path / "bad", images)
    action, message = spoil(name)
    action(bad)
    settings = PairingSettings(azimuths_deg=PAPER_AZIMUTHS_DEG)
    for result, reference in ((good, bad), (bad, good)):
        with pytest.raises(Diffusion2Error, match=message) as caught:
            read_pair(result, reference, settings)
        assert "\n" not in str(caught.value)


def test_numbers_may_begin_at_one_but_no_later(tmp_path, truth):
    images = make_matrix(frames=3, azimuths=PAPER_AZIMUTHS_DEG).images
    one = write_view_folders(tmp_path / "one", images)
    for view in one.iterdir():
        for number in (3, 2, 1):
            (view / f"{number - 1}.png").rename(view / f"{number}.png")
    settings = PairingSettings(azimuths_deg=PAPER_AZIMUTHS_DEG)
    assert torch.equal(read_pair(one, one, settings).result.images, images)
    for view in one.iterdir():
        (view / "1.png").unlink()
    with pytest.raises(AssetFormatError, match="1 is missing"):
        read_pair(one, one, settings)


def test_a_folder_of_several_objects_says_to_give_one(tmp_path, paper_images):
    write_view_folders(tmp_path / "gt" / "guppie", paper_images[:, :1])
    with pytest.raises(InputError, match=r"several objects, give one, for example .*guppie"):
        read_pair(tmp_path / "gt", tmp_path / "gt", PAPER)


def test_alpha_of_folders_of_views_is_kept(tmp_path):
    for view in range(4):
        (tmp_path / "gt" / f"eval_{view}").mkdir(parents=True)
        picture = np.zeros((16, 16, 4), np.uint8)
        picture[4:12, 4:12] = (200, 10, 10, 255)
        Image.fromarray(picture).save(tmp_path / "gt" / f"eval_{view}" / "0.png")
    pair = read_pair(tmp_path / "gt", tmp_path / "gt", PairingSettings(azimuths_deg=(0, 90, 180, 270)))
    assert pair.reference.alphas is not None
    assert pair.reference.alphas.mean() == 0.25
    assert pair.reference.images[0, 0, :, 0, 0].tolist() == [1, 1, 1]


def test_azimuths_match_over_the_full_turn_and_each_view_once():
    assert match_azimuths(np.array([0.0, 180]), np.array([-180.4, 360]), 1) == [(0, 1), (1, 0)]
    assert match_azimuths(np.array([0.0, 0.5]), np.array([0.2]), 1) == [(0, 0)]
    assert match_azimuths(np.array([0.0]), np.array([2.0]), 1) == []


def test_the_shorter_sequence_decides_which_frames_are_compared():
    first, second, apart = nearest_times(frame_times(9), frame_times(3))
    assert (first, second, apart) == ([0, 4, 8], [0, 1, 2], 0)
    assert nearest_times(frame_times(3), frame_times(9))[:2] == ([0, 1, 2], [0, 4, 8])


def test_resizing_keeps_means_and_range_and_equal_sizes():
    matrix = make_matrix(size=64)
    small = resize(matrix, 16, 16)
    assert small.cameras.height == small.cameras.width == 16
    # antialiased: the mean colour stays, but for the filter's weight at the border
    torch.testing.assert_close(small.images.mean((-1, -2)), matrix.images.mean((-1, -2)), atol=0.01, rtol=0)
    assert 0 <= small.images.min() <= small.images.max() <= 1
    assert resize(matrix, 64, 64) is matrix
