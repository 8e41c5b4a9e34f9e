"""What a file is, by its contents before its name."""

import re
from pathlib import Path
from typing import Literal

from diffusion2.errors import InputError, in_one_line
from diffusion2.inputs.picture import open_input
from diffusion2.inputs.videos.frames import is_animation
from diffusion2.inputs.videos.video_file import NoVideo, VideoFile
from diffusion2.pictures import NoPicture

Kind = Literal["picture", "video", "model"]

ModelFormat = Literal["gltf", "obj", "ply", "stl"]

LONGEST_NAME = 200
BEGIN = 1 << 16
"""Bytes of a file that tell what it is."""
MODELS: dict[str, ModelFormat] = {
    ".glb": "gltf",
    ".gltf": "gltf",
    ".vrm": "gltf",
    ".obj": "obj",
    ".ply": "ply",
    ".stl": "stl",
}
OBJ_LINES = re.compile(rb"^(v|vn|vt|f|mtllib|usemtl|[go]|s|#)(\s|$)")
OBJ_VERTEX = re.compile(rb"^v\s+[-+.\d]\S*\s+[-+.\d]\S*\s+[-+.\d]", re.MULTILINE)
OTHER_MODELS = {
    b"Kaydara FBX": "an FBX model",
    b"; FBX ": "an FBX model",
    b"BLENDER": "a scene of Blender",
    b"#usda": "a scene in USD",
    b"PXR-USDC": "a scene in USD",
}
OTHER_SUFFIXES = {
    ".fbx": "an FBX model",
    ".blend": "a scene of Blender",
    ".usd": "a scene in USD",
    ".usda": "a scene in USD",
    ".usdc": "a scene in USD",
    ".usdz": "a scene in USD",
    ".dae": "a Collada model",
    ".3ds": "a model of 3ds Max",
    ".max": "a model of 3ds Max",
    ".3mf": "a 3MF model",
    ".x3d": "an X3D model",
    ".wrl": "a VRML model",
    ".off": "an OFF model",
    ".splat": "a file of Gaussians that is no PLY",
    ".ksplat": "a file of Gaussians that is no PLY",
    ".spz": "a file of Gaussians that is no PLY",
    ".sog": "a file of Gaussians that is no PLY",
}
VIDEOS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".ogv", ".3gp"}


def kind_of(path: Path) -> Kind:
    """Tell what a file or folder is; a folder is taken for the frames of a video.

    Raises:
        InputError: it is missing, empty, damaged, or none of them.
    """
    check_exists(path)
    if path.is_dir():
        return "video"
    begin = _begin(path)
    if _sure_format(begin) is not None:
        return "model"
    try:
        with open_input(path) as picture:
            return "video" if is_animation(picture) else "picture"
    except NoPicture:
        pass
    if model_format(path) is not None:
        return "model"
    _refuse_other_models(path, begin)
    try:
        with VideoFile(path):
            return "video"
    except NoVideo as error:
        if path.suffix.lower() in VIDEOS:
            raise InputError(str(error)) from None
        raise InputError(
            f"{path} is no picture, video or 3D model that can be read: give a PNG, an MP4 or a GLB file"
        ) from None


def model_format(path: Path) -> ModelFormat | None:
    """Tell the format of a 3D model by its contents, or else by its suffix; None of what is no model."""
    begin = _begin(path)
    sure = _sure_format(begin)
    if sure is not None:
        return sure
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"{" and re.search(rb'"(asset|accessors|bufferViews|meshes|nodes)"\s*:', text):
        return "gltf"
    if text[:5].lower() == b"solid" and b"facet" in text:
        return "stl"
    if len(begin) >= 84 and path.stat().st_size == 84 + 50 * int.from_bytes(begin[80:84], "little") > 84:
        return "stl"
    lines = [line.strip() for line in text.splitlines()[:200]]
    if OBJ_VERTEX.search(text) and all(OBJ_LINES.match(line) for line in lines[:-1] if line):
        return "obj"
    return MODELS.get(path.suffix.lower())


def _sure_format(begin: bytes) -> ModelFormat | None:
    """Tell the formats that begin with a word of their own."""
    if begin[:4] == b"glTF":
        return "gltf"
    return "ply" if re.match(rb"ply\s", begin) else None


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BEGIN)


def _refuse_other_models(path: Path, begin: bytes) -> None:
    """Say how a model of a format that is not read can be brought into one that is.

    Raises:
        InputError: it is such a model, or an archive.
    """
    found = next((name for sign, name in OTHER_MODELS.items() if begin.startswith(sign)), None)
    found = found or OTHER_SUFFIXES.get(path.suffix.lower())
    if found is not None:
        way = "save it as a plain PLY" if "PLY" in found else "export it as GLB, from Blender for instance"
        raise InputError(f"{path} is {found}, which can't be read: {way}")
    if begin[:4] in (b"PK\3\4", b"Rar!", b"7z\xbc\xaf"):
        raise InputError(f"{path} is an archive: unpack it, and give the picture, video or model in it")


def check_exists(path: Path) -> None:
    """Refuse what is no file and no folder, or is empty.

    Raises:
        InputError: says why.
    """
    try:
        if not path.exists():
            raise InputError(f"there is no file {path}")
        if path.is_dir():
            return
        if not path.is_file():
            raise InputError(f"{path} is no regular file: give a picture, a video or a 3D model")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path} is empty")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{str(path)[:LONGEST_NAME]} can't be read: {in_one_line(error)}") from error
