from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.errors import InputError
from diffusion2.inputs.videos.folder import in_order, list_pictures, read_folder
from diffusion2.inputs.videos.frames import AnimationFrames, choose_frames

from .conftest import disc, moving_disc, write_frames


def names(paths):
    return [path.name for path in paths]


def even(count, fps=10.0):
    return [i / fps for i in range(count)]


def test_frames_are_spread_from_the_first_to_the_last():
    indices, fps = choose_frames(even(101), 5)
    assert indices == [0, 25, 50, 75, 100]
    assert fps == pytest.approx(4 / 10)


def test_as_many_frames_as_wanted_are_taken_each_once():
    indices, fps = choose_frames(even(12), 12)
    assert indices == list(range(12))
    assert fps == pytest.approx(10)


def test_frames_are_spread_in_time_where_the_rate_varies():
    slow_then_fast = [0.0, 1.0, 2.0, 2.1, 2.2, 2.3, 2.4, 3.0]
    assert choose_frames(slow_then_fast, 4)[0] == [0, 1, 2, 7]


def test_a_short_video_repeats_frames_evenly():
    assert choose_frames(even(3), 6)[0] == [0, 0, 1, 1, 2, 2]
    assert choose_frames([0.0], 4)[0] == [0, 0, 0, 0]


def test_a_rate_and_a_start_choose_frames_at_that_rate_from_there():
    indices, fps = choose_frames(even(100), 4, start=2.0, fps=5)
    assert indices == [20, 22, 24, 26]
    assert fps == 5


def test_a_start_alone_spreads_the_frames_over_the_rest():
    assert choose_frames(even(101), 3, start=6.0)[0] == [60, 80, 100]


@pytest.mark.parametrize(("start", "fps"), [(11, None), (0, 0.5), (9, 5)])
def test_a_video_too_short_for_the_wish_is_refused(start, fps):
    with pytest.raises(InputError, match=r"10\.10 s long"):
        choose_frames(even(101), 12, start=start, fps=fps)


@given(
    st.lists(st.floats(0.001, 2), min_size=0, max_size=40),
    st.integers(1, 30),
)
def test_chosen_frames_ascend_and_begin_and_end_with_the_video(steps, count):
    times = [0.0, *np.cumsum(steps).tolist()]
    indices, fps = choose_frames(times, count)
    assert len(indices) == count
    assert indices == sorted(indices)
    assert indices[0] == 0
    assert count == 1 or indices[-1] == len(times) - 1
    assert 0.1 <= fps <= 240


@pytest.mark.parametrize(
    "names",
    [
        ["frame1", "frame2", "frame10"],
        ["0", "1", "002", "10", "0100"],
        ["a-2 (9)", "a-2 (10)", "a-10 (1)"],
        ["walk_009", "walk_010", "walk_100"],
        ["frame_-10", "frame_-2", "frame_-1", "frame_0", "frame_+1", "frame_2"],
        ["-1", "0", "1"],
        ["2024-01-09", "2024-01-10", "2024-02-01"],
        ["t=-0.5", "t=0", "t=0.25", "t=0.5", "t=1.0", "t=10.125"],
        ["t=1e-05", "t=0.001", "t=0.5"],
        ["shot1.0009", "shot1.0010", "shot1.0100"],
        ["clip1.8", "clip1.9", "clip1.10", "clip1.11"],
        ["1699999999999999998", "1699999999999999999", "1700000000000000000"],
    ],
)
def test_names_are_ordered_by_their_numbers(names):
    assert [p.stem for p in in_order(Path(f"{name}.png") for name in reversed(names))] == names


def test_a_folder_lists_its_pictures_only(tmp_path):
    write_frames(tmp_path / "f", moving_disc(3), "f{}.png")
    (tmp_path / "f" / ".hidden.png").write_bytes(b"")
    (tmp_path / "f" / "notes.txt").write_text("mine")
    (tmp_path / "f" / "deep.png").mkdir()
    assert [p.name for p in list_pictures(tmp_path / "f")[0]] == ["f0.png", "f1.png", "f2.png"]


def test_a_hyphen_is_a_sign_where_only_some_names_have_one():
    for stems in (["t-1", "t0", "t1"], ["n-10", "n-2", "n0"], ["x-1", "x-2", "x-10"], ["a-2 b3", "a-2 b10"]):
        paths = [Path(f"{stem}.png") for stem in stems]
        assert in_order(reversed(paths)) == paths


def touched(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_what_systems_leave_in_folders_is_skipped_in_silence(tmp_path):
    write_frames(tmp_path / "f", moving_disc(2))
    touched(tmp_path / "f", ".DS_Store", "._000.png", "Thumbs.db", "desktop.ini")
    folder = read_folder(tmp_path / "f")
    assert names(folder.frames) == ["000.png", "001.png"]
    assert folder.notes == []


def test_masks_belong_to_frames_by_name_then_by_number_then_by_order(tmp_path):
    by_name = read_folder(touched(tmp_path / "a", "f1.png", "f2.png", "f2_mask.png", "f1_mask.png"))
    assert {i: names(m) for i, m in by_name.masks.items()} == {0: ["f1_mask.png"], 1: ["f2_mask.png"]}
    by_number = read_folder(touched(tmp_path / "b", "f1.png", "f2.png", "mask_002.png", "mask_001.png"))
    assert {i: names(m) for i, m in by_number.masks.items()} == {0: ["mask_001.png"], 1: ["mask_002.png"]}
    by_order = read_folder(touched(tmp_path / "c", "x1.png", "x2.png", "masks/m7.png", "masks/m8.png"))
    assert {i: names(m) for i, m in by_order.masks.items()} == {0: ["m7.png"], 1: ["m8.png"]}


def test_frames_without_a_mask_among_others_with_one_are_told_of(tmp_path):
    folder = read_folder(touched(tmp_path / "f", "1.png", "2.png", "3.png", "1_mask.png", "9_mask.png"))
    assert list(folder.masks) == [0]
    assert "2 frames have none" in folder.notes[0]
    assert "1 others fit no frame" in folder.notes[0]


def test_masks_that_fit_nothing_are_left_out_and_told_of(tmp_path):
    folder = read_folder(touched(tmp_path / "f", "1.png", "2.png", "3.png", "mask_8.png", "mask_9.png"))
    assert not folder.masks
    assert "left out" in folder.notes[0]
    assert "--mask" in folder.notes[0]


def test_a_folder_of_nothing_but_masks_is_one_of_frames(tmp_path):
    folder = read_folder(touched(tmp_path / "f", "mask_1.png", "mask_2.png"))
    assert names(folder.frames) == ["mask_1.png", "mask_2.png"]
    assert folder.notes == []


def test_a_masked_ball_is_no_mask(tmp_path):
    folder = read_folder(touched(tmp_path / "f", "masked_1.png", "unmask_2.png"))
    assert len(folder.frames) == 2


def test_names_that_are_not_alike_are_told_of(tmp_path):
    folder = read_folder(touched(tmp_path / "f", "walk_1.png", "walk_2.png", "cover.jpg"))
    assert len(folder.frames) == 3
    assert "2 like walk_#.png, 1 like cover.jpg" in folder.notes[0]
    assert "from cover.jpg to walk_2.png" in folder.notes[0]


def test_pictures_that_cannot_be_read_are_told_of(tmp_path):
    folder = read_folder(touched(tmp_path / "f", "1.png", "2.png", "1.exr", "2.exr"))
    assert "2 pictures in formats that can't be read (1.exr" in folder.notes[0]


def test_a_folder_of_folders_says_what_is_in_it(tmp_path):
    touched(tmp_path / "f", "images/1.png", "masks/1.png")
    with pytest.raises(InputError, match=r"without pictures.*\(images, masks\): give one of them"):
        read_folder(tmp_path / "f")


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "avif"])
def test_an_animation_has_the_times_of_its_frames(tmp_path, kind):
    first, *others = moving_disc(3)
    path = tmp_path / f"a.{kind}"
    first.save(path, save_all=True, append_images=others, duration=[100, 300, 50])
    frames = AnimationFrames(path)
    assert frames.times == pytest.approx([0, 0.1, 0.4])
    pictures = frames.pictures([0, 2, 2], 64)
    middles = [np.nonzero(np.asarray(p.convert("L")) < 200)[1].mean() for p in pictures]
    assert middles == pytest.approx([14, 50, 50], abs=1)


def test_transparent_frames_of_an_animation_stay_transparent(tmp_path):
    first, second = disc(20, ground=None), disc(40, ground=None)
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], duration=100, lossless=True)
    alphas = [
        np.asarray(p.getchannel("A")) for p in AnimationFrames(tmp_path / "a.webp").pictures([0, 1], 64)
    ]
    assert alphas[0][32, 20] == 255
    assert alphas[1][32, 40] == 255
    assert alphas[1][32, 20] == 0
