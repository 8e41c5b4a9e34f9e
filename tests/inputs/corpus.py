"""Broken and odd inputs. Each is (how to make it in a folder, what comes of it).

What comes of it: None for a result, or a pattern of the error's message.
"""

import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from .conftest import disc, moving_disc, write_frames, write_video
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


def written(name, content):
    def make(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def saved(name, picture=None, **options):
    def make(folder):
        (picture() if callable(picture) else picture or disc()).save(folder / name, **options)
        return folder / name

    return make


def cut(make, share):
    """What another maker makes, cut off after a share of its bytes."""

    def made(folder):
        path = make(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return made


def renamed(make, name):
    def made(folder):
        return make(folder).rename(folder / name)

    return made


def video(name="a.mp4", pictures=None, **options):
    def make(folder):
        return write_video(folder / name, pictures() if pictures else moving_disc(12), **options)

    return make


def frames(pictures, name="{:03d}.png"):
    def make(folder):
        return write_frames(folder / "frames", pictures(), name)

    return make


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, data=b"\0" * 10, colour=6):
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(data, 9)), chunk(b"IEND", b"")]
    )


def picture_bomb(folder):
    """A PNG of 60 kB that is 64 megapixels of one colour but for a dot."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(b"\0" + bytes(8000 * 3)) for _ in range(8000)) + rows.flush()
    header = struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0)
    path = folder / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return path


def gif_bomb(folder):
    """A GIF whose screen is as large as the format allows, with two tiny frames."""
    Image.new("P", (16, 16)).save(
        folder / "a.gif", save_all=True, append_images=[Image.new("P", (16, 16), 1)], duration=100
    )
    data = bytearray((folder / "a.gif").read_bytes())
    data[6:10] = struct.pack("<HH", 65535, 65535)
    (folder / "a.gif").write_bytes(bytes(data))
    return folder / "a.gif"


def large_gif(folder):
    """Many frames, each with its own palette and place."""
    first, *others = moving_disc(1000, size=(128, 128))
    first.save(folder / "a.gif", save_all=True, append_images=others, duration=40)
    return folder / "a.gif"


def large_frames(folder):
    """Few frames of very many pixels."""
    (folder / "f").mkdir()
    for index in range(5):
        picture = Image.new("RGB", (8000, 8000), "white")
        ImageDraw.Draw(picture).ellipse((500 * index, 500, 500 * index + 5000, 5500), fill=(200, 30, 30))
        picture.save(folder / "f" / f"{index}.png", compress_level=1)
    return folder / "f"


def large():
    return disc(200, 200, 90, (400, 400))


def dark(count, size):
    return lambda: [Image.new("RGB", (size, size), (i * 20, 0, 0)) for i in range(count)]


def two_discs():
    picture = disc(16, 16, 9)
    picture.paste(disc(14, 14, 9, size=(28, 28), colour=(10, 90, 200)), (34, 34))
    return picture


def touching():
    return disc(0, 32, 20)


def ring_on_green():
    picture = disc(radius=24, ground=(20, 200, 60))
    ImageDraw.Draw(picture).ellipse((22, 22, 42, 42), fill=(20, 200, 60))
    return picture


def with_alpha(change):
    """The disc on cream, with an alpha channel that is changed from the disc's."""
    alpha = np.asarray(disc(ground=None).getchannel("A"), np.int16)
    picture = disc(ground=(240, 235, 220)).convert("RGBA")
    picture.putalpha(Image.fromarray(change(alpha).astype(np.uint8)))
    return picture


def broken_frame(folder):
    path = write_frames(folder / "frames", moving_disc(5))
    (path / "002.png").write_bytes((path / "002.png").read_bytes()[:60])
    return path


def masked(folder, size, colour):
    path = write_frames(folder / "frames", moving_disc(3))
    write_frames(path / "masks", [Image.new("L", size, colour)] * 3)
    return path


def damaged_mask(folder):
    path = write_frames(folder / "frames", moving_disc(3))
    write_frames(path / "masks", [disc().convert("L")] * 3, "{:03d}_mask.png")
    (path / "masks" / "001_mask.png").write_bytes((path / "masks" / "001_mask.png").read_bytes()[:60])
    return path


def empty_masks(folder):
    path = write_frames(folder / "frames", moving_disc(3))
    (path / "masks").mkdir()
    return path


def link_loop(folder):
    (folder / "a.png").symlink_to(folder / "b.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    return folder / "a.png"


def fifo(folder):
    os.mkfifo(folder / "a.png")
    return folder / "a.png"


def dangling(folder):
    (folder / "a.png").symlink_to(folder / "gone.png")
    return folder / "a.png"


def bytes_name(folder):
    path = folder / os.fsdecode(b"caf\xe9 \xff.png")
    disc().save(path)
    return path


def gltf(change=None, buffer=True, positions=BOX):
    """A glTF of a box in two files; `change` spoils its JSON."""

    def make(folder):
        vertices, indices = positions.astype("<f4").tobytes(), FACES.astype("<u2").tobytes()
        document = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"},
                {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
            ],
            "bufferViews": [
                {"buffer": 0, "byteOffset": 0, "byteLength": len(vertices)},
                {"buffer": 0, "byteOffset": len(vertices), "byteLength": len(indices)},
            ],
            "buffers": [{"uri": "box%20data.bin", "byteLength": len(vertices) + len(indices)}],
        }
        if change:
            change(document)
        if buffer:
            (folder / "box data.bin").write_bytes(vertices + indices)
        (folder / "a.gltf").write_text(json.dumps(document))
        return folder / "a.gltf"

    return make


def avif_in_hlg(folder):
    """What phones write: it says by which curve its values are to be shown."""
    disc().save(folder / "a.avif")
    data = (folder / "a.avif").read_bytes()
    place = data.index(b"colrnclx") + 10
    (folder / "a.avif").write_bytes(data[:place] + b"\0\x12" + data[place + 2 :])
    return folder / "a.avif"


def tiff(shape, kind="u1", **options):
    def make(folder):
        tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'diffusion2[mesh]'")
        tifffile.imwrite(folder / "a.tif", np.zeros(shape, kind), metadata=None, **options)
        return folder / "a.tif"

    return make


def heic(**options):
    def make(folder):
        pillow_heif = pytest.importorskip("pillow_heif", reason="needs pip install 'diffusion2[heic]'")
        pillow_heif.register_heif_opener()
        large().save(folder / "a.heic", **options)
        return folder / "a.heic"

    return make


def texture_bomb(folder):
    write_textured_obj(folder)
    (folder / "a b.png").write_bytes(png(20000, 20000, colour=2))
    return folder / "square.obj"


def splats(change=None, **options):
    def make(folder):
        columns = ball_of_splats(200)
        if change:
            change(columns)
        return write_splats(folder / "a.ply", columns, **options)

    return make


def obj(vertices=BOX, faces=FACES, extra=""):
    return lambda folder: write_obj(folder / "a.obj", np.asarray(vertices, float), np.asarray(faces), extra)


ASCII_STL = """solid a
facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 1\nendloop\nendfacet
endsolid a\n"""
STAMPS = [0, 10, 20, 30, 500, 510, 520, 900, 905, 910, 4000, 9000]
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
SPECKS = np.full((640, 640, 3), 250, np.uint8)
SPECKS[5:8, 5:8] = SPECKS[600:602, 300:303] = 0
JUNK = bytes(np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8))
LARGE_PLY = (
    "ply\nformat binary_little_endian 1.0\nelement vertex 1000000000000\nproperty float x\n"
    "property float y\nproperty float z\nend_header\n"
)
FACE_HEADER = "element face 9\nproperty list uchar int vertex_indices\nend_header"
COMPRESSED_PLY = (
    "ply\nformat binary_little_endian 1.0\nelement chunk 1\nproperty float min_x\nelement vertex 1\n"
    "property uint packed_position\nend_header\n"
)

PICTURES = {
    "zero bytes": (written("a.png", b""), "is empty"),
    "text as a picture": (written("a.png", "no picture at all\n" * 30), "no picture"),
    "random bytes": (written("a.jpg", JUNK), "no picture"),
    "no suffix and random bytes": (written("a", JUNK), "no picture"),
    "truncated png": (cut(saved("a.png"), 0.5), "damaged"),
    "truncated jpeg": (cut(saved("a.jpg", large), 0.5), "damaged"),
    "truncated webp": (
        cut(saved("a.webp", large), 0.5),
        "damaged|no picture",
    ),
    "truncated avif": (
        cut(saved("a.avif", large), 0.5),
        "damaged|no picture",
    ),
    "truncated tiff": (cut(saved("a.tif"), 0.5), "damaged"),
    "jpeg named png": (renamed(saved("a.jpg", quality=95), "b.png"), None),
    "png named mp4": (renamed(saved("a.png"), "b.mp4"), None),
    "png without a suffix": (renamed(saved("a.png"), "b"), None),
    "png named glb": (renamed(saved("a.png"), "b.glb"), None),
    "20,000 x 20,000 pixels": (written("a.png", png(20000, 20000)), "too large"),
    "2^31 x 2^31 pixels": (written("a.png", png(2**31 - 1, 2**31 - 1)), "too large"),
    "64 megapixels in 60 kB": (picture_bomb, "no object"),
    "a text chunk that unpacks to 200 MB": (
        written("a.png", png(64, 64, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9)))),
        "damaged",
    ),
    "fully transparent": (saved("a.png", lambda: Image.new("RGBA", (64, 64))), "fully transparent"),
    "one colour": (saved("a.png", lambda: Image.new("RGB", (64, 64), (9, 99, 9))), "no object"),
    "one pixel": (saved("a.png", lambda: Image.new("RGB", (1, 1))), "too small"),
    "one row": (saved("a.png", lambda: Image.new("RGB", (5000, 1))), "too small"),
    "an object of three pixels": (saved("a.png", lambda: disc(radius=1, ground=None)), "pixels large"),
    "an object that touches the border": (saved("a.png", touching), None),
    "several objects": (saved("a.png", two_discs), None),
    "16 bit grey": (
        saved("a.png", lambda: Image.fromarray(np.asarray(disc().convert("L"), np.uint16) * 257)),
        None,
    ),
    "floats with NaN": (
        saved(
            "a.tif",
            lambda: Image.fromarray(
                np.where(np.eye(64) > 0, np.nan, np.asarray(disc().convert("L"), np.float32) / 255)
            ),
        ),
        None,
    ),
    "cmyk": (saved("a.jpg", lambda: disc().convert("CMYK")), None),
    "black and white": (saved("a.png", lambda: disc().convert("1")), None),
    "an orientation that does not exist": (
        saved("a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0"),
        None,
    ),
    "broken exif": (saved("a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), None),
    "a folder with a picture's name": (lambda f: (f / "a.png").mkdir() or f / "a.png", "without pictures"),
    "a pipe": (fifo, "no regular file"),
    "a device": (lambda f: f / "/dev/zero", "no regular file"),
    "a link to nothing": (dangling, "no file"),
    "links in a circle": (link_loop, "no file|can't be read"),
    "a ring on green": (saved("a.png", ring_on_green), None),
    "alpha the other way round": (saved("a.png", lambda: with_alpha(lambda a: 255 - a)), None),
    "alpha that is nearly 0 everywhere": (saved("a.png", lambda: with_alpha(lambda a: a * 0 + 20)), None),
    "alpha that is nearly 255 everywhere": (saved("a.png", lambda: with_alpha(lambda a: a // 5 + 204)), None),
    "alpha with haze": (saved("a.png", lambda: with_alpha(lambda a: a.clip(30, 255))), None),
    "noise in all colours": (saved("a.png", lambda: Image.fromarray(NOISE)), "not plain"),
    "specks only": (saved("a.png", lambda: Image.fromarray(SPECKS)), "no object|pixels large"),
    "a very long name": (lambda f: f / ("a" * 5000), "can't be read"),
    "spaces and unicode": (saved("ein füchs 🦊\n.png"), None),
    "a name that is no unicode": (bytes_name, None),
    "svg": (written("a.svg", "<svg xmlns='http://www.w3.org/2000/svg'><circle r='9'/></svg>"), "no picture"),
    "pdf": (written("a.pdf", b"%PDF-1.4\n%\xe2\xe3\n1 0 obj\n<<>>\nendobj\n"), "no picture"),
    "postscript": (written("a.eps", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n"), "no picture"),
    "png in PQ": (
        written("a.png", png(64, 64, chunk(b"cICP", bytes([9, 16, 0, 1])))),
        r"HDR picture \(PQ\)",
    ),
    "avif in HLG": (avif_in_hlg, r"HDR picture \(HLG\)"),
    "heic in PQ": (
        heic(color_primaries=9, transfer_characteristics=16, matrix_coefficients=9),
        r"HDR picture \(PQ\)",
    ),
    "heic cut off": (cut(heic(), 0.5), "HEIC|damaged"),
    "tiff of another byte order, with large offsets": (
        written("a.tif", b"MM\0\x2b\0\x08\0\0\0\0\0\0\0\0\0\x10" + bytes(64)),
        "a TIFF with a layout",
    ),
    "tiff of long floats": (tiff((64, 64), "f8"), "a TIFF with a layout or kind of numbers"),
    "tiff of inks and alpha": (
        tiff((64, 64, 5), photometric="separated", extrasamples=["unassalpha"]),
        "a TIFF with a layout",
    ),
    "tiff whose grey and alpha lie apart": (
        tiff((2, 64, 64), photometric="minisblack", planarconfig="separate", extrasamples=["unassalpha"]),
        "whose alpha can't be read",
    ),
    "tiff of compressed floats from another computer": (
        tiff((64, 64), "f4", byteorder=">", compression="deflate"),
        "big-endian",
    ),
    "a raw photo": (
        tiff((64, 64, 3), photometric="rgb", subfiletype=1, extratags=[(50706, 1, 4, (1, 4, 0, 0), True)]),
        "is a raw photo",
    ),
    "a profile that is junk": (saved("a.png", icc_profile=JUNK[:500]), None),
    "heic": (written("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + JUNK), "HEIC"),
    "zip": (written("a.png", b"PK\x03\x04" + JUNK), "is an archive: unpack it"),
}

VIDEOS = {
    "mp4 of zero bytes": (written("a.mp4", b""), "is empty"),
    "mp4 of zeros": (written("a.mp4", bytes(5000)), "as a video"),
    "mp4 without its index": (cut(video(), 0.6), "as a video"),
    "mkv cut in the middle": (cut(video("a.mkv", lambda: moving_disc(60)), 0.6), None),
    "mkv cut in its header": (cut(video("a.mkv"), 0.05), "as a video|no frames|no pictures"),
    "mp4 named png": (renamed(video(), "b.png"), None),
    "mp4 without a suffix": (renamed(video(), "b"), None),
    "one frame": (video(pictures=lambda: [disc()]), None),
    "two frames": (video(pictures=lambda: moving_disc(2)), None),
    "varying frame rate": (
        video("a.mkv", stamps=STAMPS),
        None,
    ),
    "odd sides": (video("a.mkv", lambda: moving_disc(5, size=(67, 65))), None),
    "8 x 8 pixels": (
        video("a.mkv", dark(5, 8)),
        "small",
    ),
    "white frames": (video(pictures=lambda: [Image.new("RGB", (64, 64), "white")] * 5), "no object"),
    "an object that comes later": (
        video(pictures=lambda: [Image.new("RGB", (64, 64), "white")] * 6 + moving_disc(6)),
        "no object at the reference",
    ),
    "a playlist of other files": (
        written(
            "a.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
        ),
        "as a video",
    ),
    "a list of other files": (written("a.mp4", "ffconcat version 1.0\nfile '/etc/passwd'\n"), "as a video"),
    "a gif of one frame": (saved("a.gif"), None),
    "a gif cut off": (
        cut(saved("a.gif", save_all=True, append_images=moving_disc(20), duration=50), 0.5),
        "damaged",
    ),
    "a gif of 65,535 x 65,535 pixels": (gif_bomb, "too large"),
    "an empty folder": (lambda f: (f / "frames").mkdir() or f / "frames", "without pictures"),
    "a folder of other files": (lambda f: written("a.txt", "mine")(f).parent, "without pictures"),
    "frames of different sizes": (
        frames(lambda: [*moving_disc(3), disc(size=(80, 64)), *moving_disc(2)]),
        "differ in size",
    ),
    "a folder of one frame": (frames(lambda: [disc()]), None),
    "frames beside a damaged mask": (damaged_mask, r"001_mask\.png"),
    "frames with masks of another shape": (
        lambda f: masked(f, (64, 20), 255),
        "64 x 20 pixels, its picture 64",
    ),
    "frames with black masks": (lambda f: masked(f, (64, 64), 0), "black everywhere"),
    "a folder of folders": (
        lambda f: write_frames(f / "a" / "images", moving_disc(3)).parent,
        "give one of them",
    ),
    "an empty folder of masks": (empty_masks, None),
    "a damaged frame": (broken_frame, r"002\.png.*damaged"),
    "numbers with gaps": (frames(lambda: moving_disc(6), "walk 1{}00.jpg"), None),
}

MODELS = {
    "glb cut off": (written("a.glb", b"glTF\x02\0\0\0\xff\xff\0\0\xff\xff\0\0JSON{"), "glTF"),
    "glb of its first word": (written("a.glb", b"glTF"), "glTF"),
    "gltf of junk": (written("a.gltf", "{'no': json"), "glTF"),
    "gltf that is a list": (written("a.gltf", "[1, 2]"), "glTF|3D model"),
    "gltf without a mesh": (gltf(lambda d: (d["nodes"][0].pop("mesh"), d.pop("meshes"))), "a.gltf"),
    "gltf without its buffer": (gltf(buffer=False), "a.gltf"),
    "gltf whose data end early": (gltf(lambda d: d["accessors"][0].update(count=9999)), "a.gltf"),
    "gltf of 10^12 vertices": (
        gltf(lambda d: (d["accessors"][0].update(count=10**12), d["accessors"][0].pop("bufferView"))),
        "a.gltf",
    ),
    "gltf whose nodes are in a circle": (
        gltf(lambda d: (d["nodes"][0].update(children=[1]), d["nodes"].append({"children": [0]}))),
        "a.gltf",
    ),
    "gltf with a missing texture": (
        gltf(
            lambda d: (
                d["meshes"][0]["primitives"][0].update(material=0),
                d.update(
                    materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
                    textures=[{"source": 0}],
                    images=[{"uri": "gone.png"}],
                ),
            )
        ),
        r"gone\.png",
    ),
    "gltf with NaN": (gltf(positions=np.where(np.arange(24).reshape(8, 3) == 5, np.nan, BOX)), None),
    "gltf as it should be": (gltf(), None),
    "gltf of version 1 in bytes": (written("a.glb", b"glTF\1\0\0\0" + bytes(40)), "is glTF 1"),
    "gltf that requires glass": (
        gltf(lambda d: d.update(extensionsRequired=["KHR_materials_transmission"])),
        "requires the extension KHR_materials_transmission, which is not supported: save it without",
    ),
    "gltf that requires what nobody knows": (
        gltf(lambda d: d.update(extensionsRequired=["EXT_wonder"])),
        "requires the extension EXT_wonder",
    ),
    "gltf whose instances are not there": (
        gltf(
            lambda d: d["nodes"][0].update(
                extensions={"EXT_mesh_gpu_instancing": {"attributes": {"SCALE": 9}}}
            )
        ),
        "a.gltf",
    ),
    "gltf that is hidden": (
        gltf(lambda d: d["nodes"][0].update(extensions={"KHR_node_visibility": {"visible": False}})),
        "no triangles",
    ),
    "gltf whose light is no number": (
        gltf(
            lambda d: (
                d["meshes"][0]["primitives"][0].update(material=0),
                d.update(materials=[{"emissiveFactor": [float("nan"), float("inf"), -1]}]),
            )
        ),
        None,
    ),
    "fbx": (written("a.fbx", b"Kaydara FBX Binary  \0" + JUNK), "an FBX model.*export it as GLB"),
    "fbx of another name": (written("a.glb", b"Kaydara FBX Binary  \0" + JUNK), "a.glb"),
    "a scene of blender": (written("scene", b"BLENDER-v300" + JUNK), "a scene of Blender.*export it as GLB"),
    "collada": (written("a.dae", "<?xml version='1.0'?><COLLADA></COLLADA>"), "a Collada model"),
    "gaussians that are no ply": (written("a.splat", JUNK), "no PLY.*plain PLY"),
    "an archive of a model": (written("a", b"PK\3\4" + JUNK), "is an archive: unpack it"),
    "obj of nothing": (written("a.obj", "# nothing\n"), "no triangles|3D model"),
    "obj of points": (written("a.obj", "v 0 0 0\nv 1 1 1\nv 2 0 1\n"), "no triangles"),
    "obj of junk": (written("a.obj", JUNK), "no triangles|3D model"),
    "obj whose faces point nowhere": (obj(faces=FACES + 100), "no triangles|3D model"),
    "obj whose vertices are all NaN": (obj(BOX * np.nan), "no triangles|no extent"),
    "obj with a NaN": (obj([*BOX, [np.nan] * 3], [*FACES, [0, 1, 8]]), None),
    "obj of one point": (obj(BOX * 0 + 3), "no extent"),
    "obj of immense size": (obj(BOX * 1e30), "no extent"),
    "obj of words": (written("a.obj", "v 0 zero 0\n"), "damaged near line 1: .*'zero'"),
    "obj with two numbers": (written("a.obj", "v 0 0 0\nv 1 0\n"), "line 2 lacks a number"),
    "obj whose corner is a word": (written("a.obj", "v 0 0 0\nf 1 a 1\n"), "a face has the corner 'a'"),
    "obj with a comment in a face": (obj(extra="# a\n"), None),
    "obj with normals of zero": (
        written("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 1\nvn 0 0 0\nvn nan 0 0\nf 1//1 2//2 3//7\n"),
        None,
    ),
    "obj of a polygon on a line": (
        written("a.obj", "v 0 0 0\nv 1 0 0\nv 2 0 1\nv 3 0 0\nv 0 2 0\nf 1 2 4 2\nf 1 2 5\n"),
        None,
    ),
    "obj with a texture that is damaged": (
        lambda f: write_textured_obj(f) and (f / "a b.png").write_bytes(b"\x89PNG") and f / "square.obj",
        None,
    ),
    "obj without a suffix": (renamed(obj(), "a"), None),
    "stl without a suffix": (lambda f: write_stl(f / "a"), None),
    "stl in words without a suffix": (written("a", ASCII_STL), None),
    "stl named glb": (lambda f: write_stl(f / "a.glb"), None),
    "ply named obj": (lambda f: write_ply(f / "a.obj"), None),
    "obj of tiny size": (obj(BOX * 1e-7), None),
    "obj far away": (obj(BOX + 1e7), None),
    "obj of quads": (written("a.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 1\nf 1 2 3 4\n"), None),
    "obj without its materials": (obj(extra="mtllib gone.mtl\nusemtl skin\n"), None),
    "obj without its texture": (lambda f: write_textured_obj(f, texture=False), None),
    "obj with a texture of 20,000 x 20,000": (texture_bomb, None),
    "obj seen from its edge": (obj([[0, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 2]]), "turn it"),
    "stl of zero triangles": (written("a.stl", bytes(84)), "no triangles|3D model"),
    "stl that claims too much": (lambda f: write_stl(f / "a.stl", count=10**9), "3D model|no triangles"),
    "stl of junk": (written("a.stl", JUNK), "no triangles|3D model|no extent"),
    "stl in words": (written("a.stl", ASCII_STL), None),
    "stl in words cut off": (written("a.stl", ASCII_STL[:60]), "no triangles|3D model"),
    "ply of its first word": (written("a.ply", "ply\n"), "3D model|no triangles"),
    "ply without an end of its header": (written("a.ply", "ply\nformat ascii 1.0\n" * 9), "3D model"),
    "ply of points": (lambda f: write_ply(f / "a.ply", faces=np.zeros((0, 3), int)), "no triangles"),
    "ply that claims 10^12 vertices": (written("a.ply", LARGE_PLY), "no triangles"),
    "ply that claims 10^12 vertices, with faces": (
        written("a.ply", LARGE_PLY.replace("end_header", FACE_HEADER)),
        "cut off: 0 of 1000000000000",
    ),
    "ply whose faces are cut off": (cut(lambda f: write_ply(f / "a.ply"), 0.9), "cut off: .* of 12 face"),
    "ply with words for numbers": (
        lambda f: written("a.ply", write_ply(f / "b.ply").read_text() + "and so on\n")(f),
        "something else than numbers",
    ),
    "ply whose faces point nowhere": (
        lambda f: write_ply(f / "a.ply", faces=FACES + 100),
        "no triangles",
    ),
    "gaussians cut off": (splats(claim=5000), "200 of 5000"),
    "gaussians that claim 10^12": (splats(claim=10**12), "at most"),
    "gaussians of NaN": (splats(lambda c: c.update(y=c["y"] * np.nan)), "can be seen"),
    "gaussians with some NaN": (splats(lambda c: c["y"].__setitem__(slice(20), np.nan)), None),
    "gaussians without a rotation": (splats(lambda c: c.pop("rot_3")), "no property rot_3"),
    "gaussians of immense size": (splats(lambda c: c.update(scale_0=c["scale_0"] + 100)), "can be seen"),
    "compressed gaussians": (written("a.ply", COMPRESSED_PLY.encode() + bytes(8)), "compressed"),
}

HEAVY = {
    "64 megapixels in 60 kB": PICTURES["64 megapixels in 60 kB"],
    "a text chunk that unpacks to 200 MB": PICTURES["a text chunk that unpacks to 200 MB"],
    "a gif of 1,000 frames": (large_gif, None),
    "10,000 frames": (video("a.mp4", lambda: moving_disc(10_000), preset="ultrafast"), None),
    "five frames of 64 megapixels": (large_frames, None),
    "obj with a texture of 20,000 x 20,000": MODELS["obj with a texture of 20,000 x 20,000"],
    "gltf of 10^12 vertices": MODELS["gltf of 10^12 vertices"],
    "stl that claims too much": MODELS["stl that claims too much"],
    "ply that claims 10^12 vertices": MODELS["ply that claims 10^12 vertices"],
    "gaussians that claim 10^12": MODELS["gaussians that claim 10^12"],
}
