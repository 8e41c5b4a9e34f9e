from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.errors import InputError
from diffusion2.inputs.frames import AnimationFrames, choose_frames, list_pictures, natural_key

from .conftest import disc, moving_disc, write_frames


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
    ],
)
def test_names_are_ordered_by_their_numbers(names):
    assert [p.stem for p in sorted(map(Path, reversed(names)), key=natural_key)] == names


def test_a_folder_lists_its_pictures_only(tmp_path):
    write_frames(tmp_path / "f", moving_disc(3), "f{}.png")
    (tmp_path / "f" / ".hidden.png").write_bytes(b"")
    (tmp_path / "f" / "notes.txt").write_text("mine")
    (tmp_path / "f" / "deep.png").mkdir()
    assert [p.name for p in list_pictures(tmp_path / "f")] == ["f0.png", "f1.png", "f2.png"]


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
