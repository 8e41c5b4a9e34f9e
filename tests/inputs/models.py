"""Small 3D models as files, written without the libraries that read them."""

import struct

import numpy as np
from PIL import Image

BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
FACES = np.array(
    [
        [0, 1, 3],
        [0, 3, 2],
        [4, 6, 7],
        [4, 7, 5],
        [0, 4, 5],
        [0, 5, 1],
        [2, 3, 7],
        [2, 7, 6],
        [0, 2, 6],
        [0, 6, 4],
        [1, 5, 7],
        [1, 7, 3],
    ]
)


def write_obj(path, vertices=BOX, faces=FACES, extra=""):
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + [f"f {a} {b} {c}" for a, b, c in faces + 1]
    path.write_text(extra + "\n".join(lines) + "\n")
    return path


def write_textured_obj(folder, texture=True):
    """A square in the x-y plane whose left half is red and whose right half is blue."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (16, 16), (220, 20, 20))
    picture.paste((20, 20, 220), (8, 0, 16, 16))
    if texture:
        picture.save(folder / "a b.png")
    (folder / "m.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd a b.png\n")
    (folder / "square.obj").write_text(
        "mtllib m.mtl\nusemtl skin\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )
    return folder / "square.obj"


def write_stl(path, vertices=BOX, faces=FACES, count=None):
    triangles = vertices[faces].astype("<f4")
    rows = b"".join(bytes(12) + t.tobytes() + bytes(2) for t in triangles)
    path.write_bytes(bytes(80) + struct.pack("<I", len(faces) if count is None else count) + rows)
    return path


def write_ply(path, vertices=BOX, faces=FACES, colours=None):
    colour = "property uchar red\nproperty uchar green\nproperty uchar blue\n" if colours is not None else ""
    header = (
        f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\n{colour}element face {len(faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    rows = [
        " ".join(map(str, [*v, *([] if colours is None else colours[i])])) for i, v in enumerate(vertices)
    ]
    path.write_text(header + "\n".join(rows + [f"3 {a} {b} {c}" for a, b, c in faces]) + "\n")
    return path


def ball_of_splats(count=3000, radius=1.5, centre=(3.0, -2.0, 7.0)):
    """Gaussians on a sphere, in the columns of a file; red where x is large, green elsewhere."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colours = np.where(directions[:, :1] > 0, [[0.9, 0.1, 0.1]], [[0.1, 0.8, 0.1]])
    return {
        **dict(zip("xyz", (directions * radius + centre).T, strict=True)),
        **{f"f_dc_{k}": (colours[:, k] - 0.5) / 0.28209479177387814 for k in range(3)},
        **{f"f_rest_{k}": np.zeros(count) for k in range(9)},
        "opacity": np.full(count, 4.0),
        **{f"scale_{k}": np.full(count, np.log(0.08 * radius)) for k in range(3)},
        **{f"rot_{k}": np.full(count, float(k == 0)) for k in range(4)},
    }


def write_splats(path, columns, order="<", claim=None):
    kind = {"<": "binary_little_endian", ">": "binary_big_endian", "a": "ascii"}[order]
    rows = np.stack(list(columns.values()), 1)
    header = f"ply\nformat {kind} 1.0\nelement vertex {len(rows) if claim is None else claim}\n"
    header += "".join(f"property float {name}\n" for name in columns) + "end_header\n"
    if order == "a":
        body = "\n".join(" ".join(map(repr, map(float, row))) for row in rows).encode()
    else:
        body = rows.astype(order + "f4").tobytes()
    path.write_bytes(header.encode() + body)
    return path
