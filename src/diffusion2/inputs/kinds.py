"""What a file is, by its contents before its name."""

from pathlib import Path
from typing import Literal

from diffusion2.errors import InputError
from diffusion2.inputs.frames import is_animation
from diffusion2.inputs.picture import open_input
from diffusion2.inputs.video_file import NoVideo, VideoFile
from diffusion2.pictures import NoPicture

Kind = Literal["picture", "video", "model"]

LONGEST_NAME = 200
MODELS = {".glb", ".gltf", ".obj", ".ply", ".stl"}
VIDEOS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".ogv", ".3gp"}


def kind_of(path: Path) -> Kind:
    """Tell what a file or folder is; a folder is taken for the frames of a video.

    Raises:
        InputError: it is missing, empty, damaged, or none of them.
    """
    check_exists(path)
    if path.is_dir():
        return "video"
    with path.open("rb") as file:
        begin = file.read(4)
    if begin == b"glTF" or begin[:3] == b"ply":
        return "model"
    try:
        with open_input(path) as picture:
            return "video" if is_animation(picture) else "picture"
    except NoPicture:
        pass
    if path.suffix.lower() in MODELS:
        return "model"
    try:
        with VideoFile(path):
            return "video"
    except NoVideo as error:
        if path.suffix.lower() in VIDEOS:
            raise InputError(str(error)) from None
        raise InputError(
            f"{path} is no picture, video or 3D model that can be read: give a PNG, an MP4 or a GLB file"
        ) from None


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
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)[:LONGEST_NAME]} can't be read: {reason}") from error
