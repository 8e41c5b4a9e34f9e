import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.cameras import azimuths_apart, make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.image_matrix import ImageMatrix, frame_times

VIEWS, FRAMES = 5, 4


@pytest.fixture(scope="module")
def matrix():
    images = torch.arange(VIEWS * FRAMES * 3 * 4 * 4).reshape(VIEWS, FRAMES, 3, 4, 4) / 1000
    cameras = make_cameras([72, 144, 216, 288, 360], [0, 1, 2, 3, 4], height=4)
    return ImageMatrix(images, cameras, frame_times(FRAMES), 8.0, images[:, :, :1], reference_frame=2)


def indices(count):
    """Everything that chooses something from an axis of that length."""
    one = st.integers(-count, count - 1)
    some = st.lists(one, min_size=1, max_size=2 * count)
    masks = st.lists(st.booleans(), min_size=count, max_size=count).filter(any)
    return st.one_of(
        one,
        one.map(np.int64),
        some,
        some.map(np.array),
        some.map(torch.tensor),
        masks,
        masks.map(np.array),
        masks.map(torch.tensor),
        st.slices(count).filter(lambda s: len(range(count)[s]) > 0),
    )


def plain(index, count):
    """The positions that NumPy would choose."""
    chosen = np.arange(count)[index if isinstance(index, slice) else np.asarray(index)]
    return np.atleast_1d(chosen).copy()  # torch takes no array that runs backwards


@given(indices(VIEWS))
def test_cameras_are_indexed_like_an_array(index):
    cameras = make_cameras([72, 144, 216, 288, 360], [0, 1, 2, 3, 4], height=4)
    chosen = cameras[index]
    expected = plain(index, VIEWS)
    assert chosen.elevations_deg.tolist() == expected.tolist()
    np.testing.assert_array_equal(chosen.viewmats, cameras.viewmats[expected])
    assert (chosen.fov_deg, chosen.height, chosen.width) == (cameras.fov_deg, 4, 4)


@given(indices(VIEWS), indices(FRAMES))
def test_a_matrix_is_indexed_by_views_and_frames(matrix, views, frames):
    part = matrix[views, frames]
    rows, columns = plain(views, VIEWS), plain(frames, FRAMES)
    assert torch.equal(part.images, matrix.images[rows][:, columns])
    assert torch.equal(part.alphas, matrix.alphas[rows][:, columns])
    assert part.cameras.azimuths_deg.tolist() == matrix.cameras.azimuths_deg[rows].tolist()
    assert torch.equal(part.times, matrix.times[columns])
    if matrix.reference_frame in columns:
        assert columns[part.reference_frame] == matrix.reference_frame
    if matrix.reference_view in rows:
        assert rows[part.reference_view] == matrix.reference_view


def test_views_alone_choose_all_frames(matrix):
    assert torch.equal(matrix[1:3].images, matrix.images[1:3])
    assert torch.equal(matrix[np.int64(-1)].images, matrix.images[-1:])


def test_what_is_nearest_stands_in_for_a_reference_that_is_not_chosen(matrix):
    # the reference is frame 2, and the view at 360 deg, which is as far from 72 as from 288
    part = matrix[[2, 1, 0], [3, 0]]
    assert part.reference_frame == 0
    assert part.cameras.azimuths_deg[part.reference_view] == 72


def test_chosen_twice_the_reference_is_kept_once(matrix):
    part = matrix[[4, 4], [2, 2]]
    assert (part.reference_view, part.reference_frame) == (0, 0)


def test_a_part_without_alphas_has_none(matrix):
    plain = ImageMatrix(matrix.images, matrix.cameras, matrix.times, 8.0)
    assert plain[:2].alphas is None


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (5, "there is no camera 5: there are 5, from 0 to 4"),
        (-6, "there is no camera -6"),
        ([0, 9], "there is no camera 9"),
        (np.uint8(200), "there is no camera 200"),
        ([], "none is chosen"),
        (slice(3, 3), "none is chosen"),
        ([False] * 5, "none is chosen"),
        ([True] * 4, r"a mask over 5 cameras has shape \(5,\), not \(4,\)"),
        (True, r"a mask over 5 cameras has shape \(5,\), not \(\)"),
        (1.0, "whole numbers"),
        ([0.5], "whole numbers"),
        ("0", "whole numbers"),
        (None, "whole numbers"),
        ([[0, 1]], "whole numbers"),
    ],
)
def test_what_chooses_no_camera_is_refused(index, message):
    with pytest.raises(InputError, match=message):
        orbit(5)[index]


def test_a_matrix_says_what_is_wrong_with_an_index(matrix):
    with pytest.raises(InputError, match="there is no view 7"):
        matrix[7]
    with pytest.raises(InputError, match="there is no frame 4"):
        matrix[:, [0, 4]]
    with pytest.raises(InputError, match="of 4 frames none is chosen"):
        matrix[:, 2:2]
    with pytest.raises(InputError, match="views and frames, not by 3"):
        matrix[0, 0, 0]


def test_cameras_come_one_by_one():
    assert [float(camera.azimuths_deg[0]) for camera in orbit(3)] == [120, 240, 360]


@pytest.mark.parametrize("reference", [3, -4])
def test_a_reference_view_that_is_not_there_is_refused(reference):
    with pytest.raises(InputError, match="reference view is one of 3"):
        ImageMatrix(torch.ones(3, 1, 3, 4, 4), orbit(3, height=4), frame_times(1), 8.0, None, 0, reference)


@given(st.floats(-720, 720), st.floats(-720, 720), st.integers(-3, 3))
def test_azimuths_are_as_far_apart_whatever_turns_are_added(one, other, turns):
    apart = float(azimuths_apart(one, other))
    assert 0 <= apart <= 180
    # degrees; the rounding of sums up to some thousands
    assert abs(float(azimuths_apart(one + 360 * turns, other)) - apart) < 1e-9
