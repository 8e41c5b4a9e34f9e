import numpy as np
import pytest
import torch

from diffusion2.cameras import ModelFrame, turn
from diffusion2.errors import AssetFormatError, InputError
from diffusion2.inputs.models.polygons import crease_normals
from diffusion2.inputs.models.splats import is_splats, read_splats
from diffusion2.runs.source import InputSettings

from .conftest import centre, read
from .models import (
    BOX,
    FACES,
    ball_of_splats,
    write_obj,
    write_ply,
    write_splats,
    write_stl,
    write_textured_obj,
)

pytestmark = pytest.mark.usefixtures("needs_renderer")
AUTO = InputSettings()


def seen(picture):
    """Width and height of what is not white."""
    rows, columns = torch.nonzero((picture < 0.95).any(0), as_tuple=True)
    return int(columns.max() - columns.min()) + 1, int(rows.max() - rows.min()) + 1


def colour_at(picture, x, y):
    """Which channel is the largest there."""
    height, width = picture.shape[1:]
    return int(picture[:, round(y * (height - 1)), round(x * (width - 1))].argmax())


LONG = BOX * [3, 1, 0.5]
FAR = LONG + np.array([10, 20, 30])


@pytest.mark.parametrize("write", [write_obj, write_stl, write_ply])
def test_a_mesh_gives_the_views_and_its_place(tmp_path, write):
    suffix = {write_obj: "obj", write_stl: "stl", write_ply: "ply"}[write]
    path = write(tmp_path / f"a b.{suffix}", FAR)
    conditions, _ = read(path, AUTO, size=64, views=4)
    assert conditions.views.shape == (4, 3, 64, 64)
    assert conditions.video is None
    assert torch.equal(conditions.picture, conditions.views[-1])
    assert (conditions.views * 255 == (conditions.views * 255).round()).all()
    corners = conditions.model_frame.to_world(FAR)
    assert corners.mean(0) == pytest.approx([0, 0, 0], abs=1e-9)
    assert conditions.model_frame.to_model(corners) == pytest.approx(FAR)
    # it is 3 wide, seen from the front and the back, and 0.5 or 1 from the sides
    widths = [seen(view)[0] for view in conditions.views]
    assert min(widths[1], widths[3]) > 2 * max(widths[0], widths[2])


@pytest.mark.parametrize(
    ("up", "height_of"), [("x", 3), ("y", 1), ("z", 0.5), ("-x", 3), ("-y", 1), ("-z", 0.5)]
)
def test_any_axis_can_be_up(tmp_path, up, height_of):
    path = write_obj(tmp_path / "a.obj", LONG)
    conditions, _ = read(path, InputSettings(model_up=up), size=64, elevation_deg=0)
    world = conditions.model_frame.to_world(LONG) / conditions.model_frame.scale
    assert np.ptp(world[:, 2]) == pytest.approx(height_of)
    assert np.linalg.det(conditions.model_frame.axes) == pytest.approx(1)
    highest = LONG[np.argmax(world[:, 2])]["xyz".index(up[-1])]
    assert highest == (0 if up[0] == "-" else pytest.approx(height_of))


def test_a_texture_is_seen_and_which_side_is_which(tmp_path):
    path = write_textured_obj(tmp_path / "with space")
    conditions, _ = read(path, AUTO, size=64, elevation_deg=0)
    # from its front, +z, the model's x goes to the right: red left, blue right
    assert colour_at(conditions.picture, 0.35, 0.5) == 0
    assert colour_at(conditions.picture, 0.65, 0.5) == 2
    turned, _ = read(path, InputSettings(model_azimuth_deg=180), size=64, elevation_deg=0)
    assert colour_at(turned.picture, 0.35, 0.5) == 2


def test_a_missing_texture_leaves_the_shape_and_is_said(tmp_path):
    conditions, [note] = read(write_textured_obj(tmp_path, texture=False), AUTO, size=64)
    assert seen(conditions.picture)[0] > 20
    assert "a b.png" in note


def test_vertex_colours_are_seen_as_they_are(tmp_path):
    path = write_ply(tmp_path / "a.ply", colours=np.tile([40, 200, 90], (8, 1)))
    picture = read(path, AUTO, size=64)[0].picture
    red, green, blue = picture[:, 32, 32].tolist()
    assert (red / green, blue / green) == pytest.approx((40 / 200, 90 / 200), abs=0.05)


def test_a_box_has_sharp_edges_and_a_ball_has_none():
    faces = FACES
    normals = crease_normals(BOX, faces)
    assert np.abs(normals).max(-1) == pytest.approx(np.ones((12, 3)))
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    vertices = np.concatenate([ring, ring + np.array([0, 0, 1])])
    index = np.arange(32)
    after = (index + 1) % 32
    tube = np.concatenate(
        [np.stack([index, after, after + 32], 1), np.stack([index, after + 32, index + 32], 1)]
    )
    corner = vertices[tube] * [1, 1, 0]
    assert np.einsum("tki,tki->tk", crease_normals(vertices, tube), corner).min() > 0.99


def test_triangles_with_impossible_corners_are_left_out(tmp_path):
    vertices = np.concatenate([LONG, [[np.nan, 0, 0], [np.inf, 0, 0]]])
    path = write_obj(tmp_path / "a.obj", vertices, np.concatenate([FACES, [[0, 1, 8], [1, 2, 9]]]))
    assert seen(read(path, AUTO, size=64)[0].views[1])[0] > 20


@pytest.mark.parametrize("order", ["<", ">", "a"])
def test_gaussians_are_drawn_where_and_as_they_are(tmp_path, order):
    path = write_splats(tmp_path / "a.ply", ball_of_splats(), order)
    assert is_splats(path)
    conditions, _ = read(path, AUTO, size=64, elevation_deg=0, views=4)
    x, y = centre(conditions.picture)
    assert (x, y) == pytest.approx((31.5, 31.5), abs=1)
    width, height = seen(conditions.picture)
    assert abs(width - height) <= 2
    # the longest side fills 0.9 · 1.2, at most 0.95; the Gaussians reach over their centres by their size
    assert 52 <= width <= 64
    frame = conditions.model_frame
    assert frame.to_model(np.zeros((1, 3)))[0] == pytest.approx([3, -2, 7], abs=0.05)
    # y is down, so seen from the front x still goes to the right
    assert colour_at(conditions.picture, 0.7, 0.5) == 0
    assert colour_at(conditions.picture, 0.3, 0.5) == 1


def test_long_gaussians_turn_with_their_file(tmp_path):
    columns = {name: values[:1].copy() for name, values in ball_of_splats().items()}
    columns = {name: np.repeat(values, 3) for name, values in columns.items()}
    columns["x"] = np.array([-2.0, 2.0, 0.0])
    columns["y"], columns["z"] = np.zeros(3), np.zeros(3)
    columns["scale_0"][:], columns["scale_1"][:], columns["scale_2"][:] = (
        np.log(0.1),
        np.log(1.0),
        np.log(0.1),
    )
    path = write_splats(tmp_path / "a.ply", columns)
    upright, _ = read(path, InputSettings(model_up="y"), size=64, elevation_deg=0)
    lying, _ = read(path, InputSettings(model_up="x"), size=64, elevation_deg=0)
    assert seen(upright.picture) == pytest.approx(seen(lying.picture)[::-1], abs=1)


def test_strays_and_haze_do_not_shrink_the_object(tmp_path):
    columns = ball_of_splats()
    columns["x"][:3] = 500.0
    columns["y"][3:200], columns["opacity"][3:200] = 90.0, -3.0
    conditions, _ = read(write_splats(tmp_path / "a.ply", columns), AUTO, size=64)
    assert seen(conditions.picture)[0] > 45


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("rot_2"), "no property rot_2"),
        (lambda c: c.update(opacity=np.full(3000, -20.0)), "can be seen"),
        (lambda c: c.update(x=np.full(3000, np.nan)), "can be seen"),
        (lambda c: c.update({k: np.zeros(3000) for k in "xyz"}), "no extent"),
    ],
)
def test_gaussians_that_show_nothing_are_refused(tmp_path, change, message):
    columns = ball_of_splats()
    change(columns)
    with pytest.raises(InputError, match=message):
        read(write_splats(tmp_path / "a.ply", columns), AUTO)


def test_a_file_of_gaussians_that_is_cut_off_is_refused(tmp_path):
    path = write_splats(tmp_path / "a.ply", ball_of_splats(), claim=4000)
    with pytest.raises(InputError, match="3000 of 4000"):
        read_splats(path)


def test_colours_may_depend_on_the_direction(tmp_path):
    """A ball that is red from its front, where one looks along the file's z, and green from its back."""
    columns = ball_of_splats()
    for k in range(3):
        columns[f"f_dc_{k}"][:] = 0.0
    # of red come first those of degree 1 in y, z and x; the middle one grows with the direction's z
    columns["f_rest_1"][:], columns["f_rest_4"][:] = 0.8, -0.8
    conditions, _ = read(write_splats(tmp_path / "a.ply", columns), AUTO, size=64, elevation_deg=0)
    from_front, from_back = conditions.views[-1][:, 32, 32], conditions.views[1][:, 32, 32]
    assert from_front[0] > from_front[1] + 0.3
    assert from_back[1] > from_back[0] + 0.3


def test_gaussians_stand_as_their_file_says_is_up(tmp_path):
    """nerfstudio writes the axis into a comment."""
    columns = ball_of_splats()
    columns["z"] = (columns["z"] - 7) * 3 + 7
    path = write_splats(tmp_path / "a.ply", columns)
    lying, _ = read(path, AUTO, size=64, elevation_deg=0)
    path.write_bytes(path.read_bytes().replace(b"1.0\n", b"1.0\ncomment Vertical Axis: z\n", 1))
    standing, _ = read(path, AUTO, size=64, elevation_deg=0)
    width, height = seen(standing.picture)
    assert height > 2 * width
    assert seen(lying.picture)[0] == pytest.approx(seen(lying.picture)[1], abs=2)
    turned, _ = read(path, InputSettings(model_up="y"), size=64, elevation_deg=0)
    assert seen(turned.picture)[1] < height / 2


def test_large_gaussians_stay_in_the_picture(tmp_path):
    columns = ball_of_splats()
    for k in range(3):
        columns[f"scale_{k}"][:] = np.log(0.4)
    picture = read(write_splats(tmp_path / "a.ply", columns), AUTO, size=64)[0].picture
    border = torch.cat([picture[:, 0], picture[:, -1], picture[:, :, 0], picture[:, :, -1]], 1)
    assert border.min() > 0.9


def test_a_models_place_is_read_back():
    frame = ModelFrame(turn(20), np.array([1.0, 2, 3]), 0.5)
    again = ModelFrame.from_dict(frame.to_dict())
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert again.to_model(frame.to_world(points)) == pytest.approx(points)
    for wrong in (
        None,
        {},
        {"axes": [[1]], "center": [0, 0, 0], "scale": 1},
        {**frame.to_dict(), "scale": 0},
    ):
        with pytest.raises(AssetFormatError, match="no place of a model"):
            ModelFrame.from_dict(wrong)
