"""Models in the forms that programs write them, each beside a plain twin that must look the same.

Each is (how to make it in a folder, how to make its twin, a pattern of what the user is told, or None).
"""

import io
import struct

import numpy as np
from PIL import Image

from ..meshes.make_gltf import GltfBuilder
from .models import BOX, FACES, ball_of_splats, write_splats

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 180, 60), (30, 60, 220), (240, 200, 40)
SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
"""The box's faces as quads, counter-clockwise from outside."""
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
NOTCHED = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [1, 0.4, 0], [0, 2, 0]])


def skin(alpha=None):
    """Four colours; an alpha of the lower half."""
    picture = Image.new("RGB", (16, 16), RED)
    for colour, place in ((GREEN, (8, 0)), (BLUE, (0, 8)), (YELLOW, (8, 8))):
        picture.paste(colour, (*place, place[0] + 8, place[1] + 8))
    if alpha is not None:
        picture.putalpha(mask(alpha))
    return picture


def mask(low=0):
    """White above, some grey below."""
    picture = Image.new("L", (16, 16), 255)
    picture.paste(low, (0, 8, 16, 16))
    return picture


def normals_of(vertices, sides):
    a, b, c = (vertices[np.array(sides)[:, k]] for k in (0, 1, 2))
    normals = np.cross(b - a, c - a)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def box_obj(head="mtllib m.mtl\nusemtl skin\n", vts=CORNERS, own_normals=True, triangles=False, turn=1):
    """A box with places in a texture on every side, as the lines of an OBJ."""
    lines = [f"v {x} {y} {z}" for x, y, z in BOX] + [f"vt {u} {v}" for u, v in vts]
    lines += [f"vn {x} {y} {z}" for x, y, z in normals_of(BOX, SIDES)] if own_normals else []
    for number, side in enumerate(SIDES):
        corners = [f"{v + 1}/{k + 1}" + (f"/{number + 1}" if own_normals else "") for k, v in enumerate(side)]
        parts = [corners[:3], [corners[0], *corners[2:]]] if triangles else [corners]
        lines += ["f " + " ".join(part[::turn]) for part in parts]
    return head + "\n".join(lines) + "\n"


def obj(text, mtl="map_Kd skin.png", pictures=None, name="a.obj", library="m.mtl"):
    """Write an OBJ with one material, named skin, and pictures by their names."""

    def make(folder):
        if mtl is not None:
            (folder / library).write_text(f"newmtl skin\n{mtl}\n")
        for path, picture in (pictures or {"skin.png": skin()}).items():
            (folder / path).parent.mkdir(exist_ok=True)
            picture.save(folder / path)
        (folder / name).write_bytes(text.encode())
        return folder / name

    return make


PLAIN = obj(box_obj())


def polygon_obj(faces):
    lines = [f"v {x} {y} {z}" for x, y, z in NOTCHED]
    return obj("\n".join(lines + ["f " + " ".join(map(str, face)) for face in faces]) + "\n", None)


NOTCH_OPEN = polygon_obj([(1, 2, 4), (2, 3, 4), (1, 4, 5)])


def ply(order, faces, vertices=NOTCHED, columns=None, comments=(), extra=None, element="face"):
    """Write a PLY; `columns` are (name, type, values), `extra` lists beside each face's corners."""
    columns = [(n, "float", vertices[:, k]) for k, n in enumerate("xyz")] + (columns or [])
    kinds = {"float": "f", "uchar": "B", "int": "i"}

    def write(values, kind, body):
        if order == "ascii":
            body.append(" ".join(f"{float(v):g}" for v in values).encode() + b" ")
        else:
            sign = "<" if "little" in order else ">"
            body.append(struct.pack(f"{sign}{len(values)}{kinds[kind]}", *values))

    def make(folder):
        head = [f"ply\nformat {order} 1.0", *(f"comment {line}" for line in comments)]
        head += [f"element vertex {len(vertices)}", *(f"property {kind} {name}" for name, kind, _ in columns)]
        head += [f"element {element} {len(faces)}", "property list uchar int vertex_indices"]
        head += ["property list uchar float texcoord"] if extra is not None else []
        body = []
        for row in range(len(vertices)):
            for _, kind, values in columns:
                write([values[row] if kind == "float" else int(values[row])], kind, body)
        for number, face in enumerate(faces):
            write([len(face)], "uchar", body)
            write(list(face), "int", body)
            if extra is not None:
                write([len(extra[number])], "uchar", body)
                write(list(extra[number]), "float", body)
        if extra is not None or any("TextureFile" in line for line in comments):
            skin().save(folder / "skin.png")
        (folder / "a.ply").write_bytes("\n".join([*head, "end_header\n"]).encode() + b"".join(body))
        return folder / "a.ply"

    return make


def unwelded(columns):
    """A box whose sides have corners of their own, with places in a texture in two columns."""
    vertices = BOX[np.array(SIDES).ravel()]
    uvs = [(name, "float", np.tile(CORNERS[:, k], 6)) for k, name in enumerate(columns)]
    faces = np.arange(24).reshape(6, 4)
    return ply("binary_little_endian", faces, vertices, uvs, ["TextureFile skin.png"])


def sides_with_alpha(alphas, sides=range(6)):
    """A box of some of its sides as a PLY, each of an opacity up to 255."""
    vertices = BOX[np.array(SIDES)[list(sides)].ravel()]
    values = [("alpha", "uchar", np.repeat(alphas, 4))] if alphas is not None else None
    return ply("binary_little_endian", np.arange(len(vertices)).reshape(-1, 4), vertices, values)


def glb(change=None, name="a.glb", material=None, picture=None, nodes=None, **top):
    """Write the textured box as a glTF binary; `change` gets its builder, `material` overrides its own."""

    def make(folder):
        builder = GltfBuilder(**top)
        stream = io.BytesIO()
        (picture or skin()).save(stream, "PNG")
        builder.texture(stream.getvalue())
        own = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "doubleSided": True}
        builder.append("materials", own | (material or {}))
        vertices = BOX[np.array(SIDES).ravel()].astype(np.float32)
        attributes = {
            "POSITION": vertices,
            "NORMAL": np.repeat(normals_of(BOX, SIDES), 4, axis=0).astype(np.float32),
            "TEXCOORD_0": np.tile(CORNERS * [1, -1] + [0, 1], (6, 1)).astype(np.float32),
        }
        triangles = (np.arange(6)[:, None] * 4 + [0, 1, 2, 0, 2, 3]).astype(np.uint16).ravel()
        mesh = builder.mesh(attributes, triangles, material=0)
        for node in nodes or [{}]:
            builder.node(**{"mesh": mesh, **node})
        if change:
            change(builder)
        (folder / name).write_bytes(builder.glb())
        return folder / name

    return make


def gltf(uri, files, name="a.gltf"):
    """Write the box as JSON whose arrays lie in a file beside it."""

    def make(folder):
        whole = {}
        glb(lambda builder: whole.update(builder=builder))(folder).unlink()
        for path in files:
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(whole["builder"].binary)
        (folder / name).write_bytes(whole["builder"].gltf(uri))
        return folder / name

    return make


def instanced(folder):
    def change(builder):
        half = np.sqrt(0.5)
        attributes = {
            "TRANSLATION": builder.accessor(np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0]], np.float32)),
            "ROTATION": builder.accessor(
                (np.array([[0, 0, 0, 1], [0, half, 0, half], [0, 0, 0, 1]]) * 32767).astype(np.int16),
                normalized=True,
            ),
            "SCALE": builder.accessor(np.array([[1, 1, 1], [1, 2, 1], [-0.5, 0.5, 0.5]], np.float32)),
        }
        builder.document["nodes"][0]["extensions"] = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}

    return glb(change, extensionsRequired=["EXT_mesh_gpu_instancing"])(folder)


SPREAD = [
    {},
    {
        "translation": [3, 0, 0],
        "rotation": [0, float(np.sqrt(0.5)), 0, float(np.sqrt(0.5))],
        "scale": [1, 2, 1],
    },
    {"translation": [0, 2, 0], "scale": [-0.5, 0.5, 0.5]},
]
BLACK = {"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 1]}}
UNLIT = {"extensions": {"KHR_materials_unlit": {}}}


def glowing(factor=(1, 1, 1), strength=None, **reference):
    extensions = (
        {} if strength is None else {"KHR_materials_emissive_strength": {"emissiveStrength": strength}}
    )
    emission = {"emissiveFactor": factor, "emissiveTexture": {"index": 0, **reference}}
    return glb(material={**BLACK, **emission, "extensions": extensions})


def shifted(folder):
    transform = {"KHR_texture_transform": {"offset": [0.5, 0]}}
    texture = {"baseColorTexture": {"index": 0, "extensions": transform}}
    return glb(material={"pbrMetallicRoughness": texture, **UNLIT})(folder)


def splats(**columns):
    """A ball of Gaussians; None takes a column away."""

    def make(folder):
        ball = {**ball_of_splats(400), **columns}
        ball = {name: values for name, values in ball.items() if values is not None}
        return write_splats(folder / "a.ply", ball)

    return make


def plain_splats(kind, most):
    """The same ball with colours as programs without harmonics write them."""

    def make(folder):
        ball = ball_of_splats(400)
        colours = [ball.pop(f"f_dc_{k}") * 0.28209479177387814 + 0.5 for k in range(3)]
        ball = {name: values for name, values in ball.items() if not name.startswith("f_rest")}
        head = "ply\nformat binary_little_endian 1.0\ncomment Generated\nelement vertex 400\n"
        head += "".join(f"property float {name}\n" for name in ball)
        head += "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue")) + "end_header\n"
        code = {"uchar": "u1", "float": "<f4"}[kind]
        fields = [(name, "<f4") for name in ball] + [(name, code) for name in ("red", "green", "blue")]
        rows = np.zeros(400, fields)
        for name, values in (*ball.items(), *zip(("red", "green", "blue"), colours, strict=True)):
            rows[name] = values if name in ball else np.round(values * most, 0 if most > 1 else 6)
        (folder / "a.ply").write_bytes(head.encode() + rows.tobytes())
        return folder / "a.ply"

    return make


def avatar(folder):
    return glb(extensionsUsed=["VRM"], name="a.vrm", extensions={"VRM": {}})(folder)


def renamed(make, name):
    return lambda folder: make(folder).rename(folder / name)


MAPPED = box_obj(vts=CORNERS * [2, 1] + [0.5, 0.25])
COLOURED = "\n".join(f"v {x} {y} {z} {x} {y} 0.5" for x, y, z in BOX)
TRIANGLES = "\n".join("f {} {} {}".format(*(face + 1)) for face in FACES)

OBJ = {
    "a backslash in a texture's path": (
        obj(box_obj(), "map_Kd tex\\skin.png", {"tex/skin.png": skin()}),
        PLAIN,
        None,
    ),
    "a path of another computer": (
        obj(box_obj(), "map_Kd C:\\art\\box\\tex\\skin.png", {"tex/skin.png": skin()}),
        PLAIN,
        r"taken.*tex/skin\.png",
    ),
    "a path from the root": (obj(box_obj(), "map_Kd /home/me/skin.png"), PLAIN, r"taken.*skin\.png"),
    "small letters for large ones": (obj(box_obj(), "map_Kd Skin.PNG"), PLAIN, None),
    "a texture's name with spaces": (
        obj(box_obj(), 'map_Kd  "my  skin.png"', {"my  skin.png": skin()}),
        PLAIN,
        None,
    ),
    "a percent-encoded name": (obj(box_obj(), "map_Kd my%20skin.png", {"my skin.png": skin()}), PLAIN, None),
    "options before a texture's name": (
        obj(box_obj(), "map_Kd -blendu on -s 2 1 1 -o 0.5 0.25 0 -mm 0 1 -bm 0.3 skin.png"),
        obj(MAPPED),
        None,
    ),
    "options after a texture's name": (obj(box_obj(), "map_Kd skin.png -s 2 -o 0.5 0.25"), obj(MAPPED), None),
    "an option that dims the texture": (
        obj(box_obj(), "map_Kd -mm 0 0.5 skin.png"),
        obj(box_obj(), pictures={"skin.png": skin().point(lambda v: round(v / 2))}),
        None,
    ),
    "turbulence": (obj(box_obj(), "map_Kd -t 0.1 0.1 0 skin.png"), PLAIN, "turbulence"),
    "tabs and capitals": (obj(box_obj(), "\tMAP_KD\tskin.png"), PLAIN, None),
    "a grey beside a texture": (obj(box_obj(), "Kd 0.4 0.4 0.4\nmap_Kd skin.png"), PLAIN, None),
    "no usemtl": (obj(box_obj("mtllib m.mtl\n")), PLAIN, "'skin', the only one there is"),
    "a material nowhere defined": (
        obj(box_obj("mtllib m.mtl\nusemtl coat\n")),
        obj(box_obj(""), None),
        "nowhere defined, drawn grey: coat",
    ),
    "the only file of materials has another name": (
        obj(box_obj("mtllib old.mtl\nusemtl skin\n"), library="a.mtl"),
        PLAIN,
        r"old\.mtl.*a\.mtl is taken",
    ),
    "no mtllib": (obj(box_obj("usemtl skin\n"), library="a.mtl"), PLAIN, r"nowhere.*a\.mtl is taken"),
    "a file of materials that is missing": (
        obj(box_obj("mtllib gone.mtl\nusemtl skin\n"), None),
        obj(box_obj(""), None),
        r"gone\.mtl, which are not there: it is drawn grey",
    ),
    "a file of materials with spaces in a folder": (
        lambda f: (
            (f / "mats").mkdir()
            or obj(box_obj("mtllib mats\\my box.mtl\nusemtl skin\n"), library="mats/my box.mtl")(f)
        ),
        PLAIN,
        None,
    ),
    "a texture that is missing": (
        obj(box_obj(), "Kd 0.8 0.2 0.1\nmap_Kd gone.png"),
        obj(box_obj(), "Kd 0.8 0.2 0.1"),
        r"textures that are not there: gone\.png",
    ),
    "a texture that is damaged": (
        lambda f: (
            (f / "bad.png").write_bytes(b"\x89PNG\r\n")
            and obj(box_obj(), "Kd 0.8 0.2 0.1\nmap_Kd bad.png")(f)
        ),
        obj(box_obj(), "Kd 0.8 0.2 0.1"),
        r"bad\.png can't be read.*plain colour",
    ),
    "alpha in a texture": (
        obj(box_obj(), pictures={"skin.png": skin(0)}),
        glb(material={"alphaMode": "MASK"}, picture=skin(0)),
        "alpha of skin.png is taken as opacity",
    ),
    "half an alpha in a texture": (
        obj(box_obj(), pictures={"skin.png": skin(128)}),
        glb(material={"alphaMode": "BLEND"}, picture=skin(128)),
        "alpha of skin.png is taken as opacity",
    ),
    "map_d that names the texture": (
        obj(box_obj(), "map_Kd skin.png\nmap_d skin.png", {"skin.png": skin(0)}),
        glb(material={"alphaMode": "MASK"}, picture=skin(0)),
        None,
    ),
    "map_d in grey": (
        obj(
            box_obj(), "map_Kd skin.png\nmap_d -imfchan l hole.png", {"skin.png": skin(), "hole.png": mask()}
        ),
        glb(material={"alphaMode": "MASK"}, picture=skin(0)),
        None,
    ),
    "map_d without a texture": (
        obj(box_obj(), "Kd 0 1 0\nmap_d hole.png", {"hole.png": mask()}),
        obj(
            box_obj(),
            "Kd 1 1 1\nmap_Kd green.png",
            {
                "green.png": Image.merge(
                    "RGBA",
                    (
                        *[mask().point(lambda v: 0)] * 1,
                        mask().point(lambda v: 255),
                        mask().point(lambda v: 0),
                        mask(),
                    ),
                )
            },
        ),
        None,
    ),
    "an alpha that hides everything": (
        obj(
            box_obj(), pictures={"skin.png": Image.merge("RGBA", (*skin().split(), Image.new("L", (16, 16))))}
        ),
        PLAIN,
        "transparent all over",
    ),
    "an opacity": (
        obj(box_obj(), "Kd 1 0 0\nd 0.5"),
        glb(material={"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0.5]}, "alphaMode": "BLEND"}),
        None,
    ),
    "a map of transparency": (
        obj(
            box_obj(),
            "map_Kd skin.png\nmap_Tr hole.png",
            {"skin.png": skin(), "hole.png": mask().point(lambda v: 255 - v)},
        ),
        glb(material={"alphaMode": "MASK"}, picture=skin(0)),
        None,
    ),
    "a transparency": (obj(box_obj(), "Kd 1 0 0\nTr 0.5"), obj(box_obj(), "Kd 1 0 0\nd 0.5"), None),
    "a light of its own": (
        obj(box_obj(), "Kd 0 0 0\nKe 1 0 0"),
        glb(material={**BLACK, "emissiveFactor": [1, 0, 0]}),
        None,
    ),
    "a texture of its light": (obj(box_obj(), "Kd 0 0 0\nmap_Ke skin.png"), glowing(), None),
    "no normals": (obj(box_obj(own_normals=False)), PLAIN, None),
    "triangles, not quads": (obj(box_obj(triangles=True)), PLAIN, None),
    "lines that end as Windows ends them": (obj(box_obj().replace("\n", "\r\n")), PLAIN, None),
    "lines that go on": (obj(box_obj().replace("vt 1.0 0.0", "vt 1.0 \\\n 0.0")), PLAIN, None),
    "faces turned inside out with right normals": (obj(box_obj(turn=-1)), PLAIN, None),
    "a mark of the byte order": (obj("\ufeff" + box_obj()), PLAIN, None),
    "colours of vertices": (
        obj(f"{COLOURED}\n{TRIANGLES}\n", None),
        ply(
            "ascii",
            FACES,
            BOX,
            [
                (n, "float", v)
                for n, v in zip(("red", "green", "blue"), [*BOX.T[:2], np.full(8, 0.5)], strict=True)
            ],
        ),
        None,
    ),
    "a polygon with a notch": (polygon_obj([(1, 2, 3, 4, 5)]), NOTCH_OPEN, None),
    "a notch, counted from the end": (polygon_obj([(-5, -4, -3, -2, -1)]), NOTCH_OPEN, None),
    "a notch, the other way round": (
        polygon_obj([(3, 2, 1, 5, 4)]),
        polygon_obj([(2, 1, 4), (3, 2, 4), (4, 1, 5)]),
        None,
    ),
    "faces that point nowhere": (
        polygon_obj([(1, 2, 3, 4, 5), (1, 2, 9)]),
        NOTCH_OPEN,
        "1 of 2 faces are left out",
    ),
    "an obj by its contents": (renamed(PLAIN, "box"), PLAIN, None),
    "an obj named glb": (renamed(PLAIN, "box.glb"), PLAIN, None),
}
OPEN = ply("ascii", [(0, 1, 3), (1, 2, 3), (0, 3, 4)])
UV_LISTS = [CORNERS.ravel()] * 6
PLY = {
    "a polygon with a notch in a ply": (ply("ascii", [(0, 1, 2, 3, 4)]), OPEN, None),
    "faces of different lengths, little end first": (
        ply("binary_little_endian", [(0, 1, 3), (1, 2, 3), (0, 3, 4), (0, 1, 2, 3, 4)]),
        OPEN,
        None,
    ),
    "faces of different lengths, big end first": (
        ply("binary_big_endian", [(0, 1, 2, 3, 4), (0, 1, 3), (0, 1, 2, 3, 4)]),
        OPEN,
        None,
    ),
    "a side of a ply that its alpha hides": (
        sides_with_alpha([255, 0, 255, 255, 255, 255]),
        sides_with_alpha(None, (0, 2, 3, 4, 5)),
        "alpha of its vertices is taken as opacity",
    ),
    "a ply that its alpha makes glass": (
        sides_with_alpha([128] * 6),
        obj(
            "\n".join(
                [
                    *(f"v {x} {y} {z}" for x, y, z in BOX),
                    "usemtl skin",
                    *("f " + " ".join(str(v + 1) for v in side) for side in SIDES),
                    "mtllib m.mtl\n",
                ]
            ),
            "Kd 0.6 0.6 0.6\nd 0.50196",
        ),
        "alpha of its vertices is taken as opacity",
    ),
    "a ply that its alpha hides": (sides_with_alpha([0] * 6), sides_with_alpha(None), "does not count"),
    "faces of different lengths in words": (ply("ascii", [(0, 1, 2, 3, 4), (0, 1, 3)]), OPEN, None),
    "strips of triangles": (
        ply("binary_little_endian", [(0, 1, 3, 2, -1, 0, 3, 4)], element="tristrips"),
        OPEN,
        None,
    ),
    "a texture as MeshLab has it": (
        ply("binary_little_endian", SIDES, BOX, None, ["VCGLIB generated", "TextureFile skin.png"], UV_LISTS),
        obj(box_obj()),
        None,
    ),
    "a texture as Blender has it": (unwelded(("s", "t")), obj(box_obj()), None),
    "a texture in u and v": (unwelded(("texture_u", "texture_v")), obj(box_obj()), None),
    "colours in bytes": (
        ply(
            "ascii",
            FACES,
            BOX,
            [
                (n, "uchar", np.full(8, v))
                for n, v in zip(("red", "green", "blue"), (51, 102, 204), strict=True)
            ],
        ),
        ply(
            "ascii",
            FACES,
            BOX,
            [
                (n, "float", np.full(8, v))
                for n, v in zip(("red", "green", "blue"), (0.2, 0.4, 0.8), strict=True)
            ],
        ),
        None,
    ),
    "normals of its own": (
        ply("ascii", FACES, BOX, [(n, "float", (BOX - 0.5)[:, k]) for k, n in enumerate(("nx", "ny", "nz"))]),
        lambda f: smooth_obj(f),
        None,
    ),
    "gaussians with colours in bytes": (plain_splats("uchar", 255), splats(), None),
    "gaussians with colours in floats": (plain_splats("float", 1), splats(), None),
}


def smooth_obj(folder):
    """A box that is shaded as a ball, its normals being those of its corners."""
    lines = [f"v {x} {y} {z}" for x, y, z in BOX] + [f"vn {x} {y} {z}" for x, y, z in BOX - 0.5]
    lines += ["f " + " ".join(f"{v + 1}//{v + 1}" for v in face) for face in FACES]
    return obj("\n".join(lines), None)(folder)


GLTF = {
    "a glb without a suffix": (glb(name="a"), glb(), None),
    "a download that was not finished, by its name": (glb(name="a.glb.download"), glb(), None),
    "a glb named obj": (glb(name="a.obj"), glb(), None),
    "a gltf without a suffix": (gltf("a.bin", ["a.bin"], "box"), glb(), None),
    "a vrm of version 0": (avatar, glb(nodes=[{"rotation": [0, 1, 0, 0]}]), "VRM 0.*turned"),
    "a backslash in a uri": (gltf("data\\a%20b.bin", ["data/a b.bin"]), glb(), None),
    "a uri that is not encoded": (gltf("a b%.bin", ["a b%.bin"]), glb(), None),
    "a uri of another computer": (gltf("file:///C:/art/a.bin", ["a.bin"]), glb(), r"a\.bin is taken for it"),
    "instances": (instanced, glb(nodes=SPREAD), None),
    "a hidden node": (
        glb(
            nodes=[{}, {"translation": [3, 0, 0], "extensions": {"KHR_node_visibility": {"visible": False}}}]
        ),
        glb(),
        None,
    ),
    "a child of a hidden node": (
        glb(
            lambda b: b.node(children=[1], extensions={"KHR_node_visibility": {"visible": False}}),
            nodes=[{}, {"translation": [3, 0, 0]}],
        ),
        glb(),
        None,
    ),
    "light of its own only": (glowing(), glb(material=UNLIT), None),
    "little light, strong": (glowing((0.25, 0.25, 0.25), 4.0), glb(material=UNLIT), None),
    "a moved texture of light": (
        glowing(extensions={"KHR_texture_transform": {"offset": [0.5, 0]}}),
        shifted,
        None,
    ),
    "glass": (
        glb(material={"extensions": {"KHR_materials_transmission": {"transmissionFactor": 0.9}}}),
        glb(),
        r"not drawn here: KHR_materials_transmission \(clear glass\)",
    ),
    "glass of no effect": (
        glb(
            material={"extensions": {"KHR_materials_transmission": {}}},
            extensionsUsed=["KHR_materials_transmission"],
        ),
        glb(),
        None,
    ),
    "what nobody knows": (glb(extensionsUsed=["EXT_wonder"]), glb(), "not drawn here: EXT_wonder"),
    "names of the makers": (glb(extensionsUsed=["KHR_xmp_json_ld"]), glb(), None),
}
TWINS = {**OBJ, **PLY, **GLTF}
