import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.reconstruction.targets import closeness, find_warnings, prepare_targets, reference_column


def dotted_matrix(views=4, frames=3, height=40, width=48):
    """A dark square in the middle of every picture."""
    images = torch.ones(views, frames, 3, height, width)
    images[..., 17:23, 20:28] = 0.2
    return ImageMatrix(images, orbit(views, height=height, width=width), frame_times(frames), 8.0)


def everything(targets):
    """All the pictures of a few targets, (V, F, ...)."""
    views, frames = torch.meshgrid(torch.arange(targets.views), torch.arange(targets.frames), indexing="ij")
    return targets.pictures(views, frames)


def test_pictures_are_cut_to_the_object_and_the_cameras_with_them():
    matrix = dotted_matrix()
    targets = prepare_targets(matrix, 0.1)
    assert targets.packed.shape == (4, 3, 22, 24, 5)  # 6 × 8 px and a margin of 8
    assert targets.size == (22, 24)
    dark = everything(targets).images[0, 0, 8:14, 8:16]
    torch.testing.assert_close(dark, torch.full_like(dark, 0.2))  # 51 of 255
    # The middle of the picture, (24, 20), is now at (12, 11).
    torch.testing.assert_close(targets.Ks[:, :2, 2], torch.tensor([[12.0, 11.0]]).expand(4, 2))
    torch.testing.assert_close(targets.Ks[0, 0, 0], torch.tensor(matrix.cameras.Ks[0, 0, 0]).float())


def test_known_alphas_are_used_as_they_are():
    matrix = dotted_matrix()
    alphas = torch.zeros(4, 3, 1, 40, 48)
    alphas[..., 10:20, 10:20] = 0.7
    matrix = ImageMatrix(matrix.images, matrix.cameras, matrix.times, matrix.fps, alphas)
    pictures = everything(prepare_targets(matrix, 0.1))
    assert float(pictures.alphas.amax()) == pytest.approx(0.7, abs=0.5 / 255)
    assert float(pictures.known.min()) == 1
    assert torch.equal(reference_column(matrix)[1], alphas[:, 0])


def test_pictures_that_show_nothing_are_told_and_marked():
    matrix = dotted_matrix()
    matrix.images[1, 2] = 1
    targets = prepare_targets(matrix, 0.1)
    assert (~targets.shown).nonzero().tolist() == [[1, 2]]
    assert find_warnings(matrix, targets) == [
        "1 of the 12 pictures show nothing: they are left out, as if the object were unseen"
    ]


def test_one_view_and_a_coloured_background_are_doubted():
    one = dotted_matrix(views=1)
    assert "how deep" in find_warnings(one, prepare_targets(one, 0.1))[0]
    gray = dotted_matrix()
    gray.images.clamp_(max=0.4)
    assert "not on white" in find_warnings(gray, prepare_targets(gray, 0.1))[0]
    assert find_warnings(dotted_matrix(), prepare_targets(dotted_matrix(), 0.1)) == []


def test_all_white_matrix_is_refused():
    matrix = dotted_matrix()
    white = ImageMatrix(torch.ones_like(matrix.images), matrix.cameras, matrix.times, 8.0)
    with pytest.raises(InputError, match="every picture of the image matrix is white"):
        prepare_targets(white, 0.1)


def test_values_that_are_not_finite_are_refused():
    matrix = dotted_matrix()
    matrix.images[1, 1, 0, 5, 5] = float("nan")
    with pytest.raises(InputError, match="not finite, the first at view 1, frame 1"):
        prepare_targets(matrix, 0.1)


def test_weights_fall_away_from_the_reference_view_and_frame():
    matrix = dotted_matrix(views=12, frames=5)
    weights = closeness(matrix, 0.1)
    assert torch.equal(weights[:, 0], torch.ones(12))  # the reference column
    torch.testing.assert_close(weights[-1], torch.ones(5))  # the reference row
    assert float(weights.min()) == pytest.approx(0.1)
    assert float(weights[5, 4]) == pytest.approx(0.1)  # opposite, at the end
    assert bool((weights[5].diff() < 0).all())
    assert bool((weights[:6, -1].diff() < 0).all())
    torch.testing.assert_close(weights[:11], weights[:11].flip(0))  # left as right


def test_weights_are_one_where_the_floor_is():
    assert torch.equal(closeness(dotted_matrix(), 1.0), torch.ones(4, 3))


def test_weights_count_angles_from_the_last_view():
    matrix = dotted_matrix(views=3, frames=2)
    turned = make_cameras([200.0, 10.0, 20.0], height=40, width=48)
    matrix = ImageMatrix(matrix.images, turned, matrix.times, 8.0)
    weights = closeness(matrix, 0.0)[:, 1]
    assert float(weights[0]) == pytest.approx(0, abs=1e-6)  # 180 deg
    assert float(weights[1]) > 0.99


def test_a_reference_view_that_is_not_the_last_counts_most(moon_matrix):
    matrix = moon_matrix(orbit(4, height=32), 3)
    turned = matrix[[3, 0, 1, 2]]
    assert turned.reference_view == 0
    assert torch.equal(closeness(turned, 0.1)[1:], closeness(matrix, 0.1)[:-1])
    assert closeness(turned, 0.1)[0].min() == 1
    assert prepare_targets(turned, 0.1).reference_view == 0
