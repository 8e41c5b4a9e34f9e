"""Ground truth: what is where in it, against shapes and motions known in closed form."""

import json

import numpy as np
import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.meshes import load_model
from diffusion2.meshes.ground_truth import (
    choose_window,
    render_clip,
    still_window,
    window_framing,
    write_truth,
)
from diffusion2.runs.matrix_files import read_matrix

from .animated_models import COLORS, cube, sliding_cube, unlit
from .make_gltf import GltfBuilder
from .opengl import need_opengl

SIZE = 64


@pytest.fixture
def model(tmp_path):
    return load_model(sliding_cube(tmp_path / "cube.glb"))


@pytest.fixture
def render():
    need_opengl()
    return render_clip


def middle(matrix, view, frame):
    """The colour in the middle of a picture, of 8 bits."""
    return tuple(int(v) for v in torch.round(matrix.images[view, frame, :, SIZE // 2, SIZE // 2] * 255))


def sides(matrix, frame=0):
    names = {color: name for name, color in COLORS.items()}
    return [names[middle(matrix, view, frame)] for view in range(matrix.views)]


# -- time -------------------------------------------------------------------------------------------


def test_a_clip_that_does_not_close_is_shown_from_end_to_end(model):
    window = choose_window(model, "slide", 5)
    np.testing.assert_allclose(window.seconds, [0, 0.5, 1, 1.5, 2])
    assert (window.fps, window.closed) == (2.0, False)


def test_the_last_pose_of_a_loop_is_left_out_since_it_is_the_first(model):
    for clip in ("swing", "turn"):
        window = choose_window(model, clip, 4)
        np.testing.assert_allclose(window.seconds, [0, 0.5, 1, 1.5])
        assert (window.fps, window.closed) == (2.0, True)


def test_a_loop_that_starts_later_goes_on_at_its_beginning(model):
    window = choose_window(model, "turn", 4, start=1.25)
    np.testing.assert_allclose(window.seconds, [1.25, 1.75, 0.25, 0.75])
    assert window.closed


def test_a_part_of_a_loop_has_two_ends(model):
    window = choose_window(model, "turn", 3, start=1.5, duration=1.0)
    np.testing.assert_allclose(window.seconds, [1.5, 2.0, 0.5])
    assert (window.fps, window.closed) == (2.0, False)


def test_frames_per_second_take_the_place_of_a_duration(model):
    window = choose_window(model, "turn", 9, start=0.5, fps=4.0)
    np.testing.assert_allclose(window.seconds[:7], [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2.0])
    np.testing.assert_allclose(window.seconds[7:], [0.25, 0.5])
    assert window.fps == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("clip", "options", "reason"),
    [
        ("walk", {}, "slide, swing, turn, pose"),
        ("pose", {}, "single pose"),
        ("slide", {"start": 2.0}, "does not lie in it"),
        ("slide", {"start": -0.1}, "does not lie in it"),
        ("slide", {"start": 1.0, "duration": 1.5}, "no loop"),
        ("slide", {"fps": 3.0}, "up to 3.667 s"),
        ("slide", {"fps": 3.0, "duration": 1.0}, "one follows from the other"),
    ],
)
def test_times_that_are_not_in_the_clip_are_refused(model, clip, options, reason):
    with pytest.raises(InputError, match=reason):
        choose_window(model, clip, 12, **options)


def test_columns_show_the_clip_at_their_times(model, render):
    window = choose_window(model, "slide", 5)
    cameras = make_cameras([0.0], 0.0, height=SIZE)
    matrix = render(model, window, cameras)
    framing = window_framing(model, window, 0.0, 0.0, 0.7)
    # the nearer face's middle is one unit before the cube's; the clip moves it from y = 0 to y = 2
    for f, y in enumerate((0, 0.5, 1, 1.5, 2)):
        corners = np.array([[1, y + dy, dz] for dy in (-1, 1) for dz in (-1, 1)], float)
        points = np.column_stack([framing.apply(corners), np.ones(4)])
        seen = (points @ cameras.viewmats[0].T)[:, :3] @ cameras.Ks[0].T
        u = seen[:, 0] / seen[:, 2]
        red = torch.nonzero((matrix.images[0, f, 0] > 0.9) & (matrix.images[0, f, 1] < 0.1))
        # a pixel is filled where half of it is covered
        assert abs(red[:, 1].min().item() - u.min()) <= 1
        assert abs(red[:, 1].max().item() + 1 - u.max()) <= 1
    np.testing.assert_allclose(matrix.times, [0, 0.25, 0.5, 0.75, 1])
    assert matrix.fps == 2.0


# -- views ------------------------------------------------------------------------------------------


def test_the_last_view_is_the_reference_and_azimuth_grows_counter_clockwise(model, render):
    matrix = render(model, still_window(model, None, 1), orbit(4, 0.0, height=SIZE))
    assert sides(matrix) == ["right", "back", "left", "front"]


@pytest.mark.parametrize(("azimuth", "front"), [(90, "right"), (180, "back"), (-90, "left"), (270, "left")])
def test_the_reference_camera_looks_from_its_azimuth(model, render, azimuth, front):
    matrix = render(model, still_window(model, None, 1), orbit(4, 0.0, height=SIZE), azimuth_deg=azimuth)
    order = ["front", "right", "back", "left"]
    first = order.index(front)
    assert sides(matrix) == [order[(first + k) % 4] for k in (1, 2, 3, 0)]
    np.testing.assert_allclose(matrix.cameras.azimuths_deg, [90, 180, 270, 360])


def test_any_azimuths_can_be_asked_for(model, render):
    matrix = render(model, still_window(model, None, 1), make_cameras([0, -90, 180], 0.0, height=SIZE))
    assert sides(matrix) == ["front", "left", "back"]


def test_the_model_turns_from_its_left_to_its_front_where_its_clip_says(model, render):
    """A turn about glTF's +y by a quarter brings the left side, -x, to the front."""
    matrix = render(model, choose_window(model, "turn", 4), orbit(4, 0.0, height=SIZE))
    assert [sides(matrix, f)[3] for f in range(4)] == ["front", "left", "back", "right"]


def test_the_top_is_seen_from_above_and_the_bottom_from_below(model, render):
    for elevation, side in ((60.0, "top"), (-60.0, "bottom")):
        cameras = make_cameras([0.0], elevation, height=SIZE)
        matrix = render(model, still_window(model, None, 1), cameras)
        colors = matrix.images[0, 0].reshape(3, -1).T
        shares = {n: int((colors * 255 == torch.tensor(c)).all(1).sum()) for n, c in COLORS.items()}
        assert max(shares, key=lambda name: shares[name]) == side
        assert not shares[{"top": "bottom", "bottom": "top"}[side]]


def test_right_is_right_and_up_is_up(tmp_path, render):
    """A flag whose cloth is to the right of the pole, as seen from the front."""
    builder = GltfBuilder()
    corners = np.array([[0, -1, 0], [0, 1, 0], [1, 1, 0], [0, 0.2, 0]], np.float32)
    flag = builder.mesh(
        {"POSITION": corners}, np.array([1, 3, 2], np.uint16), material=unlit(builder, (255, 0, 0))
    )
    pole = np.array([[-0.1, -1, 0], [0, -1, 0], [0, 1, 0], [-0.1, 1, 0]], np.float32)
    stick = builder.mesh(
        {"POSITION": pole}, np.array([0, 1, 2, 0, 2, 3], np.uint16), material=unlit(builder, (0, 0, 0))
    )
    builder.node(mesh=flag)
    builder.node(mesh=stick)
    model = load_model(builder.write(tmp_path / "flag.glb"))
    matrix = render(model, still_window(model, None, 1), make_cameras([0.0, 180.0], 0.0, height=SIZE))
    red = (matrix.images[:, 0, 0] > 0.9) & (matrix.images[:, 0, 1] < 0.1)
    black = matrix.images[:, 0, 0] < 0.1
    rows, columns = (torch.nonzero(red[0])[:, k].float().mean() for k in (0, 1))
    pole_rows, pole_columns = (torch.nonzero(black[0])[:, k].float().mean() for k in (0, 1))
    assert columns > pole_columns
    assert rows < pole_rows
    # a flat thing is its own mirror image from behind; edges may fall to either of two pixels
    differing = (matrix.alphas[0, 0, 0] != matrix.alphas[1, 0, 0].flip(1)).float().mean()
    assert differing < 0.01
    assert (red[0] != red[1].flip(1)).float().mean() < 0.01


# -- framing and alpha ------------------------------------------------------------------------------


def box(alpha):
    rows, columns = torch.nonzero(alpha.amax(1) > 0), torch.nonzero(alpha.amax(0) > 0)
    return max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1


@pytest.mark.parametrize("object_size", [0.3, 0.5, 0.7])
def test_the_reference_picture_is_filled_as_asked(model, render, object_size):
    window = still_window(model, None, 1)
    matrix = render(model, window, orbit(3, 10.0, height=128), azimuth_deg=30.0, object_size=object_size)
    assert matrix.alphas is not None
    # the box has whole pixels on both sides
    assert abs(box(matrix.alphas[-1, 0, 0]) - object_size * 128) <= 2


def test_nothing_is_cut_off_however_large_the_object_is_asked_to_be(model, render):
    window = choose_window(model, "slide", 4)
    matrix = render(model, window, orbit(5, 10.0, height=SIZE), object_size=1.0)
    alphas = matrix.alphas[:, :, 0]
    edges = torch.cat([alphas[..., 0, :], alphas[..., -1, :], alphas[..., :, 0], alphas[..., :, -1]], -1)
    assert not edges.any()
    assert box(alphas.amax((0, 1))) > 0.85 * SIZE


def test_framing_depends_on_neither_views_nor_frames(model, render):
    few = render(model, choose_window(model, "slide", 3), orbit(2, 10.0, height=SIZE))
    many = render(model, choose_window(model, "slide", 5), orbit(6, 10.0, height=SIZE))
    # frame 1 of 3 is frame 2 of 5, view 0 of 2 (180 deg) is view 2 of 6
    assert torch.equal(few.images[0, 1], many.images[2, 2])
    assert torch.equal(few.images[1, 2], many.images[5, 4])


def test_shapes_alphas_and_background_are_those_of_a_run(model, render):
    matrix = render(model, choose_window(model, "turn", 4), orbit(3, 10.0, height=SIZE))
    assert matrix.images.shape == (3, 4, 3, SIZE, SIZE)
    assert matrix.alphas.shape == (3, 4, 1, SIZE, SIZE)
    assert matrix.images.dtype == matrix.alphas.dtype == torch.float32
    outside = matrix.alphas == 0
    assert (matrix.images[outside.expand_as(matrix.images)] == 1).all()
    assert set(torch.round(matrix.alphas.unique() * 4).tolist()) <= {0, 1, 2, 3, 4}
    np.testing.assert_allclose(matrix.cameras.elevations_deg, 10.0)


def test_a_still_is_the_same_in_all_frames(model, render):
    matrix = render(model, still_window(model, "slide", 3, start=2.0), orbit(2, 10.0, height=SIZE))
    assert (matrix.images == matrix.images[:, :1]).all()
    moved = render(model, choose_window(model, "slide", 3), orbit(2, 10.0, height=SIZE))
    assert not torch.equal(moved.images[:, 0], moved.images[:, 2])


def test_the_light_stays_with_the_reference_camera(tmp_path, render):
    """A ball looks the same from its reference camera, wherever that stands."""
    turns = np.linspace(0, 2 * np.pi, 49)[:-1]
    rings = np.linspace(-np.pi / 2, np.pi / 2, 25)
    points = np.array(
        [[np.cos(r) * np.sin(t), np.sin(r), np.cos(r) * np.cos(t)] for r in rings for t in turns], np.float32
    )
    quads = [(i * 48 + j, i * 48 + (j + 1) % 48) for i in range(24) for j in range(48)]
    corners = np.array([[a, b, b + 48, a, b + 48, a + 48] for a, b in quads], np.uint16).reshape(-1)
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh({"POSITION": points, "NORMAL": points}, corners))
    model = load_model(builder.write(tmp_path / "ball.glb"))
    window, cameras = still_window(model, None, 1), make_cameras([0.0], 10.0, height=SIZE)
    first, second = (render(model, window, cameras, azimuth_deg=a) for a in (0.0, 90.0))
    # a quarter turn brings the ball's corners onto one another; its edge may fall to either of two pixels
    inside = (first.alphas == 1) & (second.alphas == 1)
    difference = (first.images - second.images).abs().amax(2, keepdim=True)
    assert difference[inside].max() <= 2 / 255
    # the light comes from the right, so that it would show if it had stayed with the model
    shades = first.images[0, 0, 0]
    assert shades[SIZE // 2, SIZE * 3 // 5] > shades[SIZE // 2, SIZE * 2 // 5] + 10 / 255


# -- files ------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_bit_for_bit(tmp_path, model, render):
    window = choose_window(model, "turn", 3)
    matrix = render(model, window, orbit(3, 10.0, height=SIZE), azimuth_deg=20.0)
    write_truth(tmp_path / "gt", matrix, tmp_path / "cube.glb", window, azimuth_deg=20.0, object_size=0.7)
    read = read_matrix(tmp_path / "gt")
    assert torch.equal(torch.round(read.images * 255), torch.round(matrix.images * 255))
    assert torch.equal(read.alphas, matrix.alphas)
    np.testing.assert_allclose(read.cameras.azimuths_deg, matrix.cameras.azimuths_deg)
    assert read.fps == pytest.approx(matrix.fps)
    source = json.loads((tmp_path / "gt" / "source.json").read_text())
    assert (source["clip"], source["closed"], source["reference_azimuth_deg"]) == ("turn", True, 20.0)


def test_an_older_run_is_replaced_as_a_whole_and_other_files_stay(tmp_path, model, render):
    folder = tmp_path / "gt"
    (folder / "matrix" / "view_007").mkdir(parents=True)
    (folder / "asset.safetensors").write_bytes(b"old")
    (folder / "notes.txt").write_text("mine")
    (folder / ".previous").mkdir()  # what that run was to replace when it was interrupted
    window = still_window(model, None, 2)
    matrix = render(model, window, orbit(2, 10.0, height=16))
    write_truth(folder, matrix, tmp_path / "cube.glb", window, azimuth_deg=0.0, object_size=0.7)
    assert sorted(p.name for p in folder.iterdir()) == ["cameras.json", "matrix", "notes.txt", "source.json"]
    assert read_matrix(folder).images.shape == (2, 2, 3, 16, 16)


@pytest.mark.parametrize("scale", [[1e300, 1e300, 1e300], [0, 0, 0]])
def test_a_model_without_an_extent_is_refused(tmp_path, scale):
    builder = GltfBuilder()
    builder.node(mesh=cube(builder), scale=scale)
    model = load_model(builder.write(tmp_path / "cube.glb"))
    with pytest.raises(InputError, match="no extent"):
        window_framing(model, still_window(model, None, 1), 0.0, 10.0, 0.7)
