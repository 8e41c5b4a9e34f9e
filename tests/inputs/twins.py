"""Files that say the same thing in another way.

Each is (how to make it in a folder, how to make its plain twin, a pattern of the note to be told or None).
"""

import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageDraw

from .conftest import write_frames

WIDTH, HEIGHT = 96, 64
MATRICES = {
    "as it is": (1, 0, 0, 1),
    "mirrored left to right": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "turned by a half": (-1, 0, 0, -1),
    "turned right": (0, 1, -1, 0),
    "turned left": (0, -1, 1, 0),
    "turned right and mirrored": (0, 1, 1, 0),
    "turned left and mirrored": (0, -1, -1, 0),
}
"""a, b, c, d of the display matrix: (x, y) is shown at (a x + c y, b x + d y)."""
ORIENTATIONS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""How a picture is stored so that an orientation tag turns it upright."""
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), 2.19921875
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), 2.2
BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))


def creature(x=40, ground=(255, 255, 255), mode="RGB"):
    """Something of several colours that looks different in every mirror."""
    picture = Image.new(mode, (WIDTH, HEIGHT), ground)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((x - 26, 20, x + 18, 40), fill=(220, 140, 40))
    draw.ellipse((x + 10, 8, x + 30, 28), fill=(200, 40, 40))
    draw.rectangle((x - 26, 40, x - 18, 54), fill=(120, 75, 30))
    draw.rectangle((x - 22, 12, x - 6, 20), fill=(40, 160, 70))
    draw.polygon([(x - 36, 20), (x - 26, 22), (x - 26, 34)], fill=(40, 70, 200))
    return picture


def walk(count=5, **options):
    return [creature(38 + 4 * i, **options) for i in range(count)]


def silhouette(picture):
    return Image.fromarray((np.asarray(picture.convert("RGB")).min(-1) < 250).astype(np.uint8) * 255)


def busy(picture, seed=0):
    """The picture on a ground that no rule cuts out."""
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.composite(picture, Image.fromarray(noise), silhouette(picture))


def plain_picture(folder):
    creature().save(folder / "twin.png")
    return folder / "twin.png"


def plain_frames(folder):
    return write_frames(folder / "twin", walk())


def picture(name, make=creature, **options):
    def made(folder):
        make().save(folder / name, **options)
        return folder / name

    return made


# -- colours, by formulas of their own --------------------------------------------------------------


def to_xyz(primaries):
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return columns * np.linalg.solve(columns, np.array([0.3127 / 0.3290, 1, 0.3583 / 0.3290]))


def light_of(picture, primaries):
    """Linear light of an sRGB picture in other primaries, white is 1."""
    values = np.asarray(picture, np.float64) / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return (light @ (np.linalg.inv(to_xyz(primaries)) @ to_xyz(BT709)).T).clip(0, None)


def pq(light):
    power = (light * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light):
    shown = light * 203 / 1000
    luminance = (shown @ np.array([0.2627, 0.678, 0.0593]))[..., None]
    scene = shown * np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1)
    logarithmic = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithmic)


def as_bytes(light, gamma):
    return Image.fromarray((light.clip(0, 1) ** (1 / gamma) * 255).round().astype(np.uint8))


def profile(primaries, gamma):
    """An ICC profile of version 2 for a display, with a power law."""

    def number(value):
        return struct.pack(">i", round(value * 65536))

    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d65, d50 = np.array([0.3127 / 0.3290, 1, 0.3583 / 0.3290]), np.array([0.9642, 1, 0.8249])
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford
    columns = (adapt @ to_xyz(primaries)).T
    tags = {
        f"{c}XYZ".encode(): b"XYZ \0\0\0\0" + b"".join(map(number, xyz))
        for c, xyz in zip("rgb", columns, strict=True)
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags |= {f"{c}TRC".encode(): curve for c in "rgb"}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + b"".join(map(number, d50))
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + b"".join(map(number, d50)) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def profiled(name, space, mode="RGB"):
    def make(folder):
        stored = as_bytes(light_of(creature(), space[0]), space[1])
        stored = stored.quantize(16) if mode == "P" else stored.convert(mode)
        stored.save(
            folder / name, icc_profile=profile(*space), **({"lossless": True} if "web" in name else {})
        )
        return folder / name

    return make


# -- videos -----------------------------------------------------------------------------------------


def write_yuv(path, values, codec, pixels, matrix, full=False, tags=(2, 2, 2)):
    """Write pictures (H, W, 3) in [0, 1] with the Y'CbCr matrix of (red's weight, blue's weight).

    Colours of half the width are averages of two pixels.
    """
    import av

    bits = 10 if pixels.endswith("10le") else 8
    red, blue = matrix
    with av.open(str(path), "w") as container:
        options = {"crf": "4", "x265-params": "log-level=none:lossless=1"}
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = values[0].shape[1], values[0].shape[0], pixels
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_primaries = tags
        context.color_range = 2 if full else 1
        for value in values:
            luma = value @ np.array([red, 1 - red - blue, blue])
            chroma = [(value[..., 2] - luma) / (2 - 2 * blue), (value[..., 0] - luma) / (2 - 2 * red)]
            low, high, reach = (0, 255, 255) if full else (16, 219, 224)
            if "422" in pixels:
                chroma = [(c[:, ::2] + c[:, 1::2]) / 2 for c in chroma]
            planes = [luma * high + low, *(c * reach + 128 for c in chroma)]
            frame = av.VideoFrame(stream.width, stream.height, pixels)
            for plane, content in zip(frame.planes, planes, strict=True):
                kind = np.uint8 if bits == 8 else np.uint16
                rows = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
                rows[:, : plane.width] = (content * 2 ** (bits - 8)).round().clip(0, 2**bits - 1)
                plane.update(rows)
            frame.colorspace, frame.color_trc, frame.color_primaries = tags
            frame.color_range = context.color_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def coloured_video(name, encode, codec="libx264", pixels="yuv444p", **options):
    def make(folder):
        return write_yuv(folder / name, [encode(p) for p in walk()], codec, pixels, **options)

    return make


def hdr_video(encode, code, tags=(9, 9)):
    """A video of HDR; tags are those of its matrix and primaries, 2 says nothing."""
    return coloured_video(
        "a.mov",
        lambda p: encode(light_of(p, BT2020)),
        "libx265",
        "yuv444p10le",
        matrix=(0.2627, 0.0593),
        tags=(tags[0], code, tags[1]),
    )


def bt(matrix, code, full=False):
    return coloured_video(
        "a.mp4", lambda p: np.asarray(p) / 255, matrix=matrix, full=full, tags=(code, 1 if code else 2, 1)
    )


def shown_by(matrix, name="a.mp4", codec="libx264", **options):
    """A video whose display matrix turns it upright."""

    def make(folder):
        import av

        a, b, c, d = matrix
        rows, columns = np.mgrid[: HEIGHT if a else WIDTH, : WIDTH if a else HEIGHT]
        x, y = a * columns + c * rows, b * columns + d * rows
        x, y = x - x.min(), y - y.min()
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10, options={"crf": "1", **options})
            if not hasattr(stream, "set_display_matrix"):
                pytest.skip("needs a PyAV that writes display matrices (18)")
            stream.height, stream.width = x.shape
            stream.pix_fmt = "yuv444p"
            one = 1 << 16
            stream.set_display_matrix([a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30])
            for shown in walk():
                stored = np.ascontiguousarray(np.asarray(shown)[y, x])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
            container.mux(stream.encode())
        return folder / name

    return make


def shown_by_its_pictures(folder):
    """A video whose orientation stands in H.264's own message, before the first frame alone."""
    import av
    from av.bitstream import BitStreamFilterContext

    plain = shown_by(MATRICES["mirrored left to right"])(folder)
    with av.open(str(plain)) as source, av.open(str(folder / "b.mp4"), "w") as container:
        stream = source.streams.video[0]
        copy = container.add_stream_from_template(stream)
        copy.set_display_matrix([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30])
        mirror = BitStreamFilterContext(
            "h264_metadata=display_orientation=insert:flip=horizontal", stream, copy
        )
        for packet in source.demux(stream):
            for changed in mirror.filter(packet if packet.size else None):
                changed.stream = copy
                container.mux(changed)
    return folder / "b.mp4"


def thumbnail_track(folder):
    """A video beside larger pictures of it, one for every six frames."""
    import av

    with av.open(str(folder / "a.mkv"), "w") as container:
        large, real = (container.add_stream("libx264", rate=10, options={"crf": "1"}) for _ in range(2))
        large.width, large.height, real.width, real.height = 2 * WIDTH, 2 * HEIGHT, WIDTH, HEIGHT
        large.pix_fmt = real.pix_fmt = "yuv444p"
        for index, shown in enumerate(walk(13)):
            container.mux(real.encode(av.VideoFrame.from_ndarray(np.asarray(shown), format="rgb24")))
            if index % 6 == 0:
                frame = av.VideoFrame(2 * WIDTH, 2 * HEIGHT, "yuv444p")
                frame.pts, frame.time_base = index, Fraction(1, 10)
                container.mux(large.encode(frame))
        for stream in (large, real):
            container.mux(stream.encode())
    return folder / "a.mkv"


def two_streams(small_first=True, still=False):
    """A video beside a thumbnail of itself in other colours, or beside a large cover that is one frame."""

    def make(folder):
        import av

        with av.open(str(folder / "a.mkv"), "w") as container:
            sizes = [(192, 128) if still else (48, 32), (WIDTH, HEIGHT)]
            sizes = sizes if small_first else sizes[::-1]
            streams = []
            for size in sizes:
                stream = container.add_stream("libx264", rate=Fraction(10), options={"crf": "1"})
                stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
                streams.append(stream)
            for index, shown in enumerate(walk()):
                for stream, size in zip(streams, sizes, strict=True):
                    real = size == (WIDTH, HEIGHT)
                    if still and not real and index:
                        continue
                    pixels = np.asarray(shown if real else Image.new("RGB", size, "black"))
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            for stream in streams:
                container.mux(stream.encode())
        return folder / "a.mkv"

    return make


# -- pictures ---------------------------------------------------------------------------------------


def tiff(orientation, mode="RGB", deep=False, **layout):
    def make(folder):
        tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'diffusion2[mesh]'")
        stored = np.asarray(creature().convert(mode))
        stored = np.ascontiguousarray(ORIENTATIONS[orientation](stored))
        if deep:
            stored = stored.astype(np.uint16) * 257
        if layout.get("planarconfig") == "separate":
            stored = np.ascontiguousarray(stored.transpose(2, 0, 1))
        tifffile.imwrite(
            folder / "a.tif",
            stored,
            photometric="minisblack" if mode == "L" else "rgb",
            extrasamples=["unassalpha"] if mode == "RGBA" else [],
            extratags=[(0x0112, 3, 1, orientation, True)],
            metadata=None,
            **layout,
        )
        return folder / "a.tif"

    return make


def grey_tiff(kind, most, orientation=1, **layout):
    """A TIFF of grey in numbers of a kind, up to the most that they are to be."""

    def make(folder):
        tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'diffusion2[mesh]'")
        shown = np.asarray(creature().convert("L"))
        stored = np.ascontiguousarray(ORIENTATIONS.get(orientation, lambda a: a)(shown)) / 255 * most
        extra = [(0x0112, 3, 1, orientation, True)]
        tifffile.imwrite(folder / "a.tif", stored.astype(kind), extratags=extra, metadata=None, **layout)
        return folder / "a.tif"

    return make


def pages(folder):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'diffusion2[mesh]'")
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        for shown in (creature(), Image.new("RGB", (WIDTH, HEIGHT))):
            writer.write(np.asarray(shown), photometric="rgb")
    return folder / "a.tif"


GREY = {
    "tiff of floats": ("f4", 1.0, 1, {}),
    "tiff of floats from another computer, turned": ("f4", 1.0, 6, {"byteorder": ">"}),
    "tiff of 32 bits": ("u4", 2**32 - 1, 1, {}),
    "tiff of 16 bits with a sign, from another computer": ("i2", 2**15 - 1, 8, {"byteorder": ">"}),
}


def heic(tile=0, orientation=1):
    def make(folder):
        pillow_heif = pytest.importorskip("pillow_heif", reason="needs pip install 'diffusion2[heic]'")
        pillow_heif.register_heif_opener()
        exif = Image.Exif()
        exif[0x0112] = orientation
        large = creature().resize((WIDTH * 4, HEIGHT * 4), Image.Resampling.NEAREST)
        stored = Image.fromarray(
            np.ascontiguousarray(ORIENTATIONS.get(orientation, lambda a: a)(np.asarray(large)))
        )
        before = pillow_heif.options.GRID_TILE_SIZE
        pillow_heif.options.GRID_TILE_SIZE = tile
        try:
            stored.save(folder / "a.heic", quality=100, exif=exif.tobytes())
        finally:
            pillow_heif.options.GRID_TILE_SIZE = before
        return folder / "a.heic"

    return make


def animated_png(folder):
    first, *others = walk()
    wrong = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    ImageDraw.Draw(wrong).rectangle((4, 4, 90, 60), fill=(0, 0, 0))
    wrong.save(
        folder / "a.png", save_all=True, default_image=True, append_images=[first, *others], duration=100
    )
    return folder / "a.png"


def layered_png(folder):
    """An animated PNG whose frames are laid over each other and taken away again."""
    first, *others = cut_out_walk()
    wrong = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 255))
    how = {"disposal": 1, "blend": 1, "default_image": True, "duration": 100}
    wrong.save(folder / "a.png", save_all=True, append_images=[first, *others], **how)
    return folder / "a.png"


def palette_png(folder):
    """An animated PNG with one palette, whose frames are parts of the picture."""
    colours = creature().quantize(16)
    first, *others = (shown.quantize(palette=colours) for shown in walk())
    first.save(folder / "a.png", save_all=True, append_images=others, duration=100)
    return folder / "a.png"


def cut_out_walk():
    pictures = [shown.convert("RGBA") for shown in walk()]
    for shown in pictures:
        shown.putalpha(silhouette(shown))
    return pictures


# -- folders ----------------------------------------------------------------------------------------


def turned_frames(folder):
    """Every other frame lies on its side and says so."""
    (folder / "f").mkdir()
    for index, shown in enumerate(walk()):
        exif = Image.Exif()
        exif[0x0112] = 6 if index % 2 else 1
        stored = Image.fromarray(np.rot90(np.asarray(shown), 1)) if index % 2 else shown
        stored.save(folder / "f" / f"{index}.png", exif=exif)
    return folder / "f"


def littered_frames(folder):
    """What systems leave in folders, and what can't be a frame."""
    path = write_frames(folder / "f", walk())
    for name in (".DS_Store", "._000.png", "Thumbs.db", "desktop.ini", ".hidden.png", "notes.txt"):
        (path / name).write_bytes(b"nothing")
    return path


def signed_frames(folder):
    (folder / "f").mkdir()
    for time, shown in zip((-10, -2, 0, 1, 10), walk(), strict=True):
        shown.save(folder / "f" / f"frame_{time}.png")
    return folder / "f"


def timed_frames(folder):
    (folder / "f").mkdir()
    for time, shown in zip(("0", "0.25", "0.5", "0.75", "1.0"), walk(), strict=True):
        shown.save(folder / "f" / f"t={time}.png")
    return folder / "f"


def masked_frames(name, change=lambda mask: mask, folder_name="f", frame_name="{:03d}.png"):
    """Frames on a busy ground with their masks under a name of {:03d}."""

    def make(folder):
        path = write_frames(folder / folder_name, [busy(p, i) for i, p in enumerate(walk())], frame_name)
        for index, shown in enumerate(walk()):
            place = path / name.format(index)
            place.parent.mkdir(exist_ok=True)
            change(silhouette(shown)).save(place)
        return path

    return make


def masks_in_parts(folder):
    """Two masks of every frame, of its left and right half."""
    path = write_frames(folder / "f", [busy(p, i) for i, p in enumerate(walk())])
    for index, shown in enumerate(walk()):
        for half, left in enumerate((0, WIDTH // 2)):
            part = Image.new("L", shown.size)
            part.paste(silhouette(shown).crop((left, 0, left + WIDTH // 2, HEIGHT)), (left, 0))
            part.save(path / f"{index:03d}_mask_{half}.png")
    return path


def one_mask(folder):
    path = write_frames(folder / "f", [busy(creature(), i) for i in range(2)])
    silhouette(creature()).save(path / "mask.png")
    return path


def inverted(mask):
    return Image.eval(mask, lambda value: 255 - value)


def labels(mask):
    return Image.eval(mask, lambda value: value // 255 * 3)


def coloured_labels(mask):
    indexed = Image.eval(mask, lambda value: value // 255)
    indexed.putpalette([0, 0, 0, 128, 0, 0])
    return indexed


def cut_out_mask(mask):
    picture = Image.new("RGBA", mask.size, (90, 90, 90, 0))
    picture.putalpha(mask)
    return picture


PICTURES = {f"tiff of orientation {o}": (tiff(o), plain_picture, None) for o in (2, 3, 4, 5, 6, 7, 8)} | {
    "tiff turned, with alpha": (tiff(6, "RGBA"), plain_picture, None),
    "tiff turned, in tiles": (tiff(8, "RGBA", tile=(16, 16)), plain_picture, None),
    "tiff turned, in planes": (tiff(6, planarconfig="separate"), plain_picture, None),
    "tiff turned, in planes of 16 bits": (tiff(5, deep=True, planarconfig="separate"), plain_picture, None),
    "tiff turned, of 16 bits": (tiff(7, deep=True), plain_picture, None),
    "tiff turned, compressed": (tiff(6, "RGBA", compression="deflate"), plain_picture, None),
    "tiff turned, in strips": (tiff(3, "RGBA", rowsperstrip=5), plain_picture, None),
    "tiff turned, of grey": (tiff(6, "L"), picture("twin.png", lambda: creature().convert("L")), None),
    "tiff turned, of 16-bit grey": (
        tiff(6, "L", deep=True),
        picture("twin.png", lambda: creature().convert("L")),
        None,
    ),
    "tiff of several pages": (pages, plain_picture, "2 pages: the first"),
    "png of 16-bit grey": (
        picture("a.png", lambda: Image.fromarray(np.asarray(creature().convert("L"), np.uint16) * 257)),
        picture("twin.png", lambda: creature().convert("L")),
        None,
    ),
    "heic": (heic(), plain_picture, None),
    "heic of tiles": (heic(64), plain_picture, None),
    "heic of tiles, turned": (heic(64, 6), plain_picture, None),
    "adobe rgb": (profiled("a.png", ADOBE_RGB), plain_picture, None),
    "adobe rgb in a palette": (profiled("a.png", ADOBE_RGB, "P"), plain_picture, None),
    "adobe rgb with alpha": (profiled("a.tif", ADOBE_RGB, "RGBA"), plain_picture, None),
    "display p3": (profiled("a.webp", DISPLAY_P3), plain_picture, None),
    "cmyk": (picture("a.tif", lambda: creature().convert("CMYK")), plain_picture, None),
    "a palette with something transparent": (
        picture("a.png", lambda: creature().quantize(16), transparency=0),
        picture("twin.png", lambda: creature().quantize(16).convert("RGB")),
        None,
    ),
}

PICTURES |= {
    name: (grey_tiff(*how[:3], **how[3]), picture("twin.png", lambda: creature().convert("L")), None)
    for name, how in GREY.items()
}

VIDEOS = {f"a video {name}": (shown_by(matrix), plain_frames, None) for name, matrix in MATRICES.items()} | {
    "a video in PQ": (hdr_video(pq, 16), plain_frames, r"HDR \(PQ\)"),
    "a video in HLG": (hdr_video(hlg, 18), plain_frames, r"HDR \(HLG\)"),
    "a video in PQ that says its curve alone": (hdr_video(pq, 16, tags=(2, 2)), plain_frames, r"HDR \(PQ\)"),
    "a video in HLG that says its curve alone": (hdr_video(hlg, 18, tags=(2, 2)), plain_frames, "HLG"),
    "a video of 10 bits": (
        coloured_video(
            "a.mkv",
            lambda p: np.asarray(p) / 255,
            "ffv1",
            "yuv422p10le",
            matrix=(0.299, 0.114),
            tags=(6, 1, 1),
        ),
        plain_frames,
        None,
    ),
    "a video of 10 bits without tags": (
        coloured_video("a.mkv", lambda p: np.asarray(p) / 255, "ffv1", "yuv444p10le", matrix=(0.299, 0.114)),
        plain_frames,
        "taken for SDR",
    ),
    "a mkv turned and mirrored": (
        shown_by(MATRICES["turned left and mirrored"], "a.mkv"),
        plain_frames,
        None,
    ),
    "a webm turned right": (
        shown_by(MATRICES["turned right"], "a.webm", "libvpx-vp9", **{"b:v": "0"}),
        plain_frames,
        None,
    ),
    "a video mirrored by a message in it": (shown_by_its_pictures, plain_frames, None),
    "a video beside its larger thumbnails": (
        thumbnail_track,
        lambda folder: write_frames(folder / "twin", walk(13)),
        "2 video streams",
    ),
    "a video in BT.601": (bt((0.299, 0.114), 6), plain_frames, None),
    "a video in BT.601, full range": (bt((0.299, 0.114), 6, full=True), plain_frames, None),
    "a video in BT.709": (bt((0.2126, 0.0722), 1), plain_frames, None),
    "a video in BT.709, full range": (bt((0.2126, 0.0722), 1, full=True), plain_frames, None),
    "a video in BT.2020's matrix": (bt((0.2627, 0.0593), 9), plain_frames, None),
    "a video behind its thumbnail": (two_streams(), plain_frames, "2 video streams"),
    "a video before its thumbnail": (two_streams(small_first=False), plain_frames, "2 video streams"),
    "a video behind a large cover": (two_streams(still=True), plain_frames, "2 video streams"),
    "animated png with a palette": (palette_png, plain_frames, None),
    "animated png of layers": (
        layered_png,
        lambda folder: write_frames(folder / "twin", cut_out_walk()),
        "not part of the animation",
    ),
    "animated png with a picture before it": (animated_png, plain_frames, "not part of the animation"),
}

FOLDERS = {
    "frames equal in size once upright": (turned_frames, plain_frames, None),
    "frames among what systems leave": (littered_frames, plain_frames, None),
    "frames numbered from below zero": (signed_frames, plain_frames, None),
    "frames named by their times": (timed_frames, plain_frames, None),
    "masks behind their frames": (masked_frames("{:03d}_mask.png"), plain_frames, "5 pictures .* masks"),
    "masks before their frames": (masked_frames("mask_{:03d}.png"), plain_frames, "5 pictures .* masks"),
    "masks by number": (masked_frames("Mask{}.png"), plain_frames, "5 pictures .* masks"),
    "masks in a folder": (masked_frames("masks/{:03d}.png"), plain_frames, "5 pictures .* masks"),
    "masks of black on white": (
        masked_frames("{:03d}_mask.png", inverted),
        plain_frames,
        "the other way round",
    ),
    "masks of labels": (masked_frames("{:03d}_mask.png", labels), plain_frames, "masks"),
    "masks of coloured labels": (masked_frames("{:03d}_mask.png", coloured_labels), plain_frames, "masks"),
    "masks in alpha": (masked_frames("{:03d}_mask.png", cut_out_mask), plain_frames, "masks"),
    "masks of another size": (
        masked_frames("{:03d}_mask.png", lambda m: m.resize((WIDTH * 2, HEIGHT * 2))),
        plain_frames,
        "is scaled",
    ),
    "masks in parts": (masks_in_parts, plain_frames, "those of one frame together"),
    "masks whose word is stuck": (
        masked_frames("framemask{:03d}.png", frame_name="frame{:03d}.png"),
        plain_frames,
        "masks",
    ),
    "one mask for all": (
        one_mask,
        lambda folder: write_frames(folder / "twin", [creature()] * 2),
        "mask.png is taken",
    ),
}
