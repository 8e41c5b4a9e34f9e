"""What surfaces look like: textures, transparency, light; against colours known in advance."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion2.cameras import make_cameras
from diffusion2.errors import InputError
from diffusion2.meshes import Lighting, MeshRenderer, load_model
from diffusion2.meshes.framing import Framing
from diffusion2.meshes.materials import uv_transform

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder

pytestmark = pytest.mark.usefixtures("opengl")

SIZE = 64
UVS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
"""The picture upright on the square."""
UNLIT = {"KHR_materials_unlit": {}}
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
NEAREST = 9728
ROUNDING = 2
"""Of 255: the texture, the shader's powers and the average of four samples are each rounded."""


def png(rows) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.array(rows, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


QUARTERS = png([[RED, GREEN], [BLUE, WHITE]])


def look(model, azimuth_deg=0.0, lighting=None, **options):
    """See a square of the unit fill the middle 40 of 64 pixels."""
    renderer = MeshRenderer(model, SIZE)
    camera = make_cameras([azimuth_deg], 0.0, radius=2.0, height=SIZE)
    width = 2 * np.tan(np.deg2rad(33.8) / 2) * 2.0  # of the picture, where the square stands
    framing = Framing(np.array([0, 0.5, 0.5]), width * 40 / SIZE)
    picture = renderer.render(camera, framing, lighting=lighting, **options)[0]
    renderer.close()
    return picture


def square_with(tmp_path, material, uvs=UVS, textures=(), **attributes):
    builder = GltfBuilder()
    for data, sampler in textures:
        builder.texture(data, **sampler)
    builder.append("materials", material)
    mesh = builder.mesh({"POSITION": SQUARE, "TEXCOORD_0": uvs, **attributes}, SQUARE_TRIANGLES, material=0)
    builder.node(mesh=mesh)
    return load_model(builder.write(tmp_path / "square.glb"))


def textured(tmp_path, data, uvs=UVS, transform=None, alpha_mode=None, **sampler):
    texture = {"index": 0}
    if transform is not None:
        texture["extensions"] = {"KHR_texture_transform": transform}
    material = {"pbrMetallicRoughness": {"baseColorTexture": texture}, "extensions": UNLIT}
    if alpha_mode:
        material |= {"alphaMode": alpha_mode, "alphaCutoff": 0.4}
    return square_with(tmp_path, material, uvs, [(data, {"magFilter": NEAREST, **sampler})])


def quarters(picture):
    """Colours in the middle of the square's quarters: top left, top right, bottom left, bottom right."""
    return [tuple(int(v) for v in picture[y, x, :3]) for y in (22, 42) for x in (22, 42)]


def test_a_texture_lies_upright_with_its_first_row_on_top(tmp_path):
    picture = look(textured(tmp_path, QUARTERS))
    assert quarters(picture) == [RED, GREEN, BLUE, WHITE]
    # the square ends where the camera puts its edges
    assert picture[12:52, 12:52, 3].min() == 255
    assert picture[..., 3].sum() == 40 * 40 * 255


def test_a_texture_transform_shifts_and_scales(tmp_path):
    shifted = textured(tmp_path, QUARTERS, transform={"offset": [0.5, 0]})
    assert quarters(look(shifted)) == [GREEN, RED, WHITE, BLUE]
    doubled = textured(tmp_path, QUARTERS, transform={"scale": [1, 0.5], "offset": [0, 0.5]})
    assert quarters(look(doubled)) == [BLUE, WHITE, BLUE, WHITE]


def test_a_texture_turns_clockwise_with_its_transform(tmp_path):
    """The coordinates turn counter-clockwise, so the picture turns clockwise; so says the specification."""
    turned = textured(tmp_path, QUARTERS, transform={"rotation": np.pi / 2, "offset": [0, 1]})
    assert quarters(look(turned)) == [BLUE, RED, WHITE, GREEN]


def test_the_specifications_example_shows_the_lower_left_quarter_only():
    matrix = uv_transform({"offset": [0, 1], "rotation": 1.57079632679, "scale": [0.5, 0.5]})
    assert matrix is not None
    corners = UVS @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(corners.min(0), [0, 0.5], atol=1e-9)
    np.testing.assert_allclose(corners.max(0), [0.5, 1], atol=1e-9)


def test_a_transform_may_choose_other_coordinates(tmp_path):
    builder = GltfBuilder()
    builder.texture(QUARTERS, magFilter=NEAREST)
    reference = {"index": 0, "texCoord": 0, "extensions": {"KHR_texture_transform": {"texCoord": 1}}}
    builder.append(
        "materials", {"pbrMetallicRoughness": {"baseColorTexture": reference}, "extensions": UNLIT}
    )
    mirrored = UVS * [-1, 1] + [1, 0]
    mesh = builder.mesh(
        {"POSITION": SQUARE, "TEXCOORD_0": UVS, "TEXCOORD_1": mirrored}, SQUARE_TRIANGLES, material=0
    )
    builder.node(mesh=mesh)
    model = load_model(builder.write(tmp_path / "square.glb"))
    assert quarters(look(model)) == [GREEN, RED, WHITE, BLUE]


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        (10497, [RED, GREEN, RED, GREEN, RED]),
        (33648, [GREEN, RED, RED, GREEN, GREEN]),
        (33071, [RED, RED, RED, GREEN, GREEN]),
    ],
)
def test_a_texture_goes_on_beyond_its_edges_as_its_sampler_says(tmp_path, wrap, expected):
    # u from -1 to 1.5 over the square: five halves of the texture
    uvs = UVS * [2.5, 1] + [-1, 0]
    model = textured(tmp_path, png([[RED, GREEN]]), uvs, wrapS=wrap)
    picture = look(model)
    assert [tuple(int(v) for v in picture[32, 16 + 8 * k, :3]) for k in range(5)] == expected


def test_squares_stay_sharp_where_the_sampler_wants_that(tmp_path):
    sharp = look(textured(tmp_path, png([[RED, GREEN]])))[32, 12:52, :3]
    assert {tuple(int(v) for v in c) for c in sharp} == {RED, GREEN}
    smooth = look(textured(tmp_path, png([[RED, GREEN]]), magFilter=9729))[32, 12:52, :3]
    assert len({tuple(int(v) for v in c) for c in smooth}) > 10


# -- transparency -----------------------------------------------------------------------------------


def test_what_a_mask_leaves_out_is_not_there(tmp_path):
    rows = [[(*RED, 255), (*GREEN, 60)], [(*BLUE, 200), (*WHITE, 0)]]
    picture = look(textured(tmp_path, png(rows), alpha_mode="MASK"))
    assert [int(picture[y, x, 3]) for y in (22, 42) for x in (22, 42)] == [255, 0, 255, 0]
    assert quarters(picture)[::2] == [RED, BLUE]
    opaque = look(textured(tmp_path, png(rows)))
    assert quarters(opaque) == [RED, GREEN, BLUE, WHITE]
    assert opaque[22:43, 22:43, 3].min() == 255


def glass(tmp_path, *, front_first, double_sided=False):
    """Blue glass of 40 % before a red wall that covers its left half."""
    builder = GltfBuilder()
    blue = {"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 1, 0.4]}, "alphaMode": "BLEND"}
    red = {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0.2]}}  # opaque: its alpha is nothing
    builder.append("materials", blue | {"extensions": UNLIT, "doubleSided": double_sided})
    builder.append("materials", red | {"extensions": UNLIT})
    pane = builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES, material=0)
    wall = builder.mesh({"POSITION": SQUARE * np.float32([0.5, 1, 1])}, SQUARE_TRIANGLES, material=1)
    for mesh, z in ((pane, 0.001), (wall, -0.001)) if front_first else ((wall, -0.001), (pane, 0.001)):
        builder.node(mesh=mesh, translation=[0, 0, z])
    return load_model(builder.write(tmp_path / "glass.glb"))


@pytest.mark.parametrize("front_first", [True, False])
def test_glass_mixes_with_what_is_behind_it_in_any_order_of_the_file(tmp_path, front_first):
    picture = look(glass(tmp_path, front_first=front_first)).astype(int)
    np.testing.assert_allclose(picture[32, 22], [255 * 0.6, 0, 255 * 0.4, 255], atol=ROUNDING)
    np.testing.assert_allclose(picture[32, 42], [0, 0, 255, 255 * 0.4], atol=ROUNDING)


@pytest.mark.parametrize(("double_sided", "alpha"), [(False, 0), (True, 102)])
def test_glass_of_one_side_is_not_seen_from_behind(tmp_path, double_sided, alpha):
    picture = look(glass(tmp_path, front_first=True, double_sided=double_sided), azimuth_deg=180)
    # from behind, the half without a wall is on the left
    assert abs(int(picture[32, 22, 3]) - alpha) <= ROUNDING
    np.testing.assert_array_equal(picture[32, 42], [255, 0, 0, 255])


def test_the_farther_of_two_panes_is_drawn_first(tmp_path):
    builder = GltfBuilder()
    for color in ([0, 0, 1, 0.5], [1, 0, 0, 0.5]):
        factor = {"pbrMetallicRoughness": {"baseColorFactor": color}}
        builder.append("materials", factor | {"alphaMode": "BLEND", "doubleSided": True, "extensions": UNLIT})
    for k, z in enumerate((0.1, -0.1)):  # the blue one is nearer to the front
        mesh = builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES, material=k)
        builder.node(mesh=mesh, translation=[0, 0, z])
    model = load_model(builder.write(tmp_path / "panes.glb"))
    front, back = (look(model, azimuth_deg=a)[32, 32].astype(int) for a in (0, 180))
    # the nearer covers half, the other half of the rest: two thirds of what there is
    np.testing.assert_allclose(front, [85, 0, 170, 191], atol=ROUNDING)
    np.testing.assert_allclose(back, [170, 0, 85, 191], atol=ROUNDING)


def test_vertex_colours_and_their_alpha_count(tmp_path):
    colors = np.tile(np.array([0.5, 1, 0, 0.5], np.float32), (4, 1))
    material = {"pbrMetallicRoughness": {"baseColorFactor": [1, 0.5, 1, 0.5]}, "extensions": UNLIT}
    model = square_with(tmp_path, material | {"alphaMode": "BLEND"}, COLOR_0=colors)
    half = 255 * 0.5 ** (1 / 2.2)  # colours are linear in the file
    np.testing.assert_allclose(look(model)[32, 32].astype(int), [half, half, 0, 64], atol=ROUNDING)


def test_the_old_gloss_materials_show_their_diffuse_colour(tmp_path):
    old = {"diffuseFactor": [0, 1, 0, 1], "diffuseTexture": {"index": 0}}
    material = {
        "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]},
        "extensions": {"KHR_materials_pbrSpecularGlossiness": old, **UNLIT},
    }
    model = square_with(tmp_path, material, textures=[(QUARTERS, {"magFilter": NEAREST})])
    black = (0, 0, 0)
    assert quarters(look(model)) == [black, GREEN, black, GREEN]


# -- light ------------------------------------------------------------------------------------------


def lit(tmp_path, *, normals=True, **node):
    builder = GltfBuilder()
    attributes = {"POSITION": SQUARE - np.float32([0.5, 0.5, 0])}
    if normals:
        attributes["NORMAL"] = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    mesh = builder.mesh(attributes, SQUARE_TRIANGLES)
    builder.node(children=[1], translation=[0.5, 0.5, 0])
    builder.node(mesh=mesh, **node)
    return load_model(builder.write(tmp_path / "lit.glb"))


def shade(normal, lighting):
    """The renderer's light, by hand."""
    sky = 0.75 + 0.25 * (0.5 + 0.5 * normal[2])
    return lighting.ambient * sky + (1 - lighting.ambient) * max(
        float(np.dot(normal, lighting.direction)), 0.0
    )


@pytest.mark.parametrize("node", [{}, {"scale": [-1, 1, 1]}, {"scale": [1, -1, 1]}, {"scale": [2, 2, 1]}])
@pytest.mark.parametrize("normals", [True, False])
def test_light_falls_on_the_front_whether_mirrored_stretched_or_without_normals(tmp_path, normals, node):
    light = Lighting(azimuth_deg=40, elevation_deg=30, ambient=0.3)
    picture = look(lit(tmp_path, normals=normals, **node), lighting=light)
    np.testing.assert_allclose(
        picture[32, 32, :3].astype(int), [255 * shade([1, 0, 0], light)] * 3, atol=ROUNDING
    )


def test_the_back_of_a_surface_is_lit_as_a_back(tmp_path):
    light = Lighting(azimuth_deg=40, elevation_deg=30, ambient=0.3)
    for normals in (True, False):
        picture = look(lit(tmp_path, normals=normals), azimuth_deg=180, lighting=light)
        np.testing.assert_allclose(
            picture[32, 32, :3].astype(int), [255 * shade([-1, 0, 0], light)] * 3, atol=ROUNDING
        )


def test_faces_without_normals_are_flat(tmp_path):
    builder = GltfBuilder()
    roof = np.array([[0, 0, 0], [0.5, 0, 0.5], [0.5, 1, 0.5], [0, 1, 0], [1, 0, 0], [1, 1, 0]], np.float32)
    builder.node(
        mesh=builder.mesh({"POSITION": roof}, np.array([0, 1, 2, 0, 2, 3, 1, 4, 5, 1, 5, 2], np.uint16))
    )
    light = Lighting(azimuth_deg=60, elevation_deg=0, ambient=0.2)
    picture = look(load_model(builder.write(tmp_path / "roof.glb")), lighting=light)[32, :, 0].astype(int)
    half = np.sqrt(0.5)
    # glTF's right (+x) is the world's y: the right side faces azimuth 45 deg, the left one -45 deg
    np.testing.assert_allclose(picture[16:30], 255 * shade([half, -half, 0], light), atol=ROUNDING)
    np.testing.assert_allclose(picture[34:48], 255 * shade([half, half, 0], light), atol=ROUNDING)


def test_light_does_not_act_on_what_is_unlit(tmp_path):
    material = {"pbrMetallicRoughness": {"baseColorFactor": [0.2, 0.5, 1, 1]}, "extensions": UNLIT}
    dark = Lighting(azimuth_deg=180, elevation_deg=0, ambient=0.0)
    picture = look(square_with(tmp_path, material), lighting=dark)
    expected = 255 * np.array([0.2, 0.5, 1]) ** (1 / 2.2)
    np.testing.assert_allclose(picture[32, 32, :3].astype(int), expected, atol=ROUNDING)


# -- pictures that are not there --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"uri": "gone.png"}, "gone.png"),
        ({"uri": "data:image/png;base64,AAAA"}, "picture 0 can't be read"),
    ],
)
def test_a_texture_that_cannot_be_read_is_an_error(tmp_path, image, reason):
    builder = GltfBuilder()
    builder.append("images", image)
    builder.append("textures", {"source": 0})
    builder.append("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}})
    builder.node(mesh=builder.mesh({"POSITION": SQUARE, "TEXCOORD_0": UVS}, SQUARE_TRIANGLES, material=0))
    with pytest.raises(InputError, match=reason):
        load_model(builder.write(tmp_path / "square.glb"))


def test_a_texture_of_an_unknown_format_is_an_error(tmp_path):
    builder = GltfBuilder()
    builder.append("textures", {"extensions": {"KHR_texture_basisu": {"source": 0}}})
    builder.append("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}})
    builder.node(mesh=builder.mesh({"POSITION": SQUARE, "TEXCOORD_0": UVS}, SQUARE_TRIANGLES, material=0))
    with pytest.raises(InputError, match="PNG or JPEG"):
        load_model(builder.write(tmp_path / "square.glb"))
