"""From a source to the known parts of the image matrix, cut out and framed alike."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from diffusion2.cameras import ModelFrame
from diffusion2.config import GenerateSettings, InputSettings
from diffusion2.errors import InputError
from diffusion2.events import Report, Warned, ignore
from diffusion2.image_matrix import Conditions, view_cameras
from diffusion2.inputs.cutting.cut_out import cut_out
from diffusion2.inputs.framing import (
    Box,
    Crop,
    contains,
    crop_about_axis,
    crop_around,
    longer_side,
    matching_crop,
    moved_box,
    show,
    union,
    visible_box,
    whole_picture,
)
from diffusion2.inputs.kinds import check_exists, kind_of
from diffusion2.inputs.picture import WORKING_SIDE_PX
from diffusion2.inputs.videos.video import VideoClip, read_clip, read_views
from diffusion2.runs.source import Source

MIN_OBJECT_PX = 8
BUDGET_PX = 64_000_000
"""Pixels of a sequence that are held at once; longer ones are shrunk more while they are read."""


@dataclass(frozen=True)
class _Part:
    """One known part: pictures, RGBA, in order, and which of them is the shared one.

    Attributes:
        name: what it is, for messages.
        pictures: a row in the order of time, a column in the order of the views, or one picture.
        reference: the index of the picture at the reference view and time.
    """

    name: str
    pictures: list[Image.Image]
    reference: int = -1

    @property
    def reference_box(self) -> Box:
        """Where the object is in the picture that all parts share.

        Raises:
            InputError: it is not there, or smaller than 8 pixels.
        """
        box = visible_box(self.pictures[self.reference])
        if box is None:
            raise InputError(f"{self.name} shows no object at the reference view and time")
        if longer_side(box) < MIN_OBJECT_PX:
            raise InputError(
                f"{self.name}: the object is only {longer_side(box)} pixels large, at least {MIN_OBJECT_PX} "
                "needed: give a larger one"
            )
        return box

    @property
    def whole_box(self) -> Box:
        """Where the object ever is."""
        boxes = (visible_box(picture) for picture in self.pictures)
        return union(box for box in boxes if box is not None)

    def show(self, crop: Crop, size: int) -> Tensor:
        """Return the pictures (N, 4, size, size) in one crop, on white and with alpha."""
        return torch.stack([show(picture, crop, size) for picture in self.pictures])

    def show_as_it_is(self, crop: Crop, size: int, how: InputSettings) -> Tensor:
        """Do so for pictures that were not cut out: alpha of opaque ones leaves out a plain background."""
        shown = self.show(crop, size)
        if not all(picture.getchannel("A").getextrema()[0] == 255 for picture in self.pictures):
            return shown
        try:
            copies = [picture.copy() for picture in self.pictures]
            found = cut_out(copies, replace(how, background="plain"), self.name)
        except InputError:  # it is not plain: the object is all that is shown
            return shown
        return torch.cat([shown[:, :3], replace(self, pictures=found).show(crop, size)[:, 3:]], 1)


@dataclass(frozen=True)
class _Parts:
    """What is known; at least one part is."""

    picture: _Part | None = None
    video: _Part | None = None
    views: _Part | None = None
    model: _Part | None = None
    fps: float | None = None
    model_frame: ModelFrame | None = None


def read_conditions(source: Source, settings: GenerateSettings, report: Report = ignore) -> Conditions:
    """Read whatever the user has of the image matrix.

    A picture becomes the reference view at the reference time; a video the reference view over time (the
    row); a 3D model or a folder of views the views at the reference time (the column). All are framed so that
    they agree about the picture that they share.

    Args:
        source: the files, or the words, and how to read them.
        settings: V, F, size, the cameras, the object's size, the reference frame.
        report: takes notes of what the user should know about the input.

    Returns:
        Conditions whose pictures are on white, with alpha, all in steps of 1/255; the reference frame comes
        first.

    Raises:
        InputError: a part can't be read, shows no object, or does not fit the others.
        WeightsError, BackendUnavailable: what reading it needs is missing.
    """
    source.check()
    parts = _read_parts(source, settings, report)
    boxes = {name: part.reference_box for name, part in _known(parts).items()}
    if source.settings.framing == "keep":
        crops = {name: whole_picture(*part.pictures[0].size) for name, part in _known(parts).items()}
        shown = {
            name: part.show_as_it_is(crops[name], settings.size, source.settings)
            for name, part in _known(parts).items()
        }
    else:
        crops = _choose_crops(parts, boxes, settings, report)
        shown = {name: part.show(crops[name], settings.size) for name, part in _known(parts).items()}
    video, views = shown.get("video"), shown.get("views", shown.get("model"))
    if video is not None and settings.reference_frame == "last":
        video = video.flip(0)
    if "picture" in shown:
        picture = shown["picture"][0]
    elif video is not None:
        picture = video[0]
    else:
        assert views is not None
        picture = views[-1]
    return Conditions(picture, video, views, parts.fps, parts.model_frame)


def _known(parts: _Parts) -> dict[str, _Part]:
    every = {"picture": parts.picture, "video": parts.video, "views": parts.views, "model": parts.model}
    return {name: part for name, part in every.items() if part is not None}


def _read_parts(source: Source, settings: GenerateSettings, report: Report) -> _Parts:
    """Read and cut out every part that is there."""
    files = source.files
    kind = kind_of(files["input"]) if "input" in files else None
    if kind == "video" and "video" in files:
        raise InputError(f"{source.input} is a video, so --video can't be given beside it")
    if kind == "model" and "views" in files:
        raise InputError(f"{source.input} is a 3D model, which gives the views: leave out --views")
    if "mask" in files:
        check_exists(files["mask"])
        if kind != "picture" and kind != "video" and "video" not in files:
            raise InputError(
                "--mask says what the object is in a picture or a video: give one, or leave it out"
            )
    picture = video = views = model = fps = model_frame = None
    if kind == "model":
        from diffusion2.inputs.model import render_model

        pictures, model_frame = render_model(
            files["input"], view_cameras(settings), source.settings, settings.object_size, report
        )
        model = _Part(str(files["input"]), pictures)
    if "views" in files:
        views = _read_views(files["views"], source.settings, settings, report)
    if kind == "video" or "video" in files:
        path = files["input"] if kind == "video" else files["video"]
        mask = None if kind == "picture" else files.get("mask")
        video, fps = _read_row(path, mask, source.settings, settings, report)
        if len(video.pictures) == 1 < settings.frames:
            video, picture, fps = None, video, None
    if kind == "picture":
        clip = read_clip(files["input"], 1, WORKING_SIDE_PX, mask=files.get("mask"))
        picture = _Part(str(files["input"]), _cut_out(clip, source.settings, files["input"], report))
    elif source.prompt:
        from diffusion2.inputs.text import paint

        painted = paint(source.prompt, source.settings, settings.seed, report).convert("RGBA")
        name = f'the picture of "{source.prompt}"'
        picture = _Part(name, _cut_out(VideoClip([painted], [False], 0.0, 1), source.settings, name, report))
    return _Parts(picture, video, views, model, fps, model_frame)


def _read_row(
    path: Path, mask: Path | None, how: InputSettings, settings: GenerateSettings, report: Report
) -> tuple[_Part, float]:
    """Read a video; one picture alone where it has but one frame."""
    check_exists(path)
    side = _working_side(settings.frames)
    clip = read_clip(path, settings.frames, side, start=how.start, fps=how.video_fps, mask=mask)
    if clip.distinct == 1 < settings.frames:
        report(Warned(f"{path} has one frame there: it is taken as a picture, and motion is made for it"))
        clip = replace(clip, pictures=clip.pictures[:1], masked=clip.masked[:1])
    elif clip.distinct < settings.frames:
        report(
            Warned(
                f"{path} has only {clip.distinct} different frames for the {settings.frames} of the run, so "
                f"some are shown more than once; --frames {clip.distinct} takes fewer"
            )
        )
    reference = 0 if settings.reference_frame == "first" else -1
    return _Part(str(path), _cut_out(clip, how, path, report), reference), clip.fps


def _read_views(folder: Path, how: InputSettings, settings: GenerateSettings, report: Report) -> _Part:
    check_exists(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: --views is a folder of pictures, the reference view last")
    clip = read_views(folder, settings.views, _working_side(settings.views))
    return _Part(str(folder), _cut_out(clip, how, folder, report))


def _cut_out(clip: VideoClip, how: InputSettings, name: Path | str, report: Report) -> list[Image.Image]:
    """Separate the object from the background where no mask did, unless pictures are kept as they are."""
    for note in clip.notes:
        report(Warned(note))
    rest = [picture for picture, masked in zip(clip.pictures, clip.masked, strict=True) if not masked]
    if how.framing == "keep" or not rest:
        return clip.pictures
    found = iter(cut_out(rest, how, name, report))
    return [
        picture if masked else next(found) for picture, masked in zip(clip.pictures, clip.masked, strict=True)
    ]


def _working_side(count: int) -> int:
    return min(WORKING_SIDE_PX, math.isqrt(BUDGET_PX // count))


def _choose_crops(
    parts: _Parts, boxes: dict[str, Box], settings: GenerateSettings, report: Report
) -> dict[str, Crop]:
    """Choose each part's crop: one part decides, the others agree with it about the picture they share.

    Args:
        parts: what is known.
        boxes: where the object is in each part's shared picture.
        settings: the object's size.
        report: takes a note when a motion leaves the frame.
    """
    object_size = settings.object_size
    moved = parts.video.whole_box if parts.video else None
    if parts.model is not None:
        anchor, crop = "model", whole_picture(*parts.model.pictures[0].size)
    elif parts.views is not None:
        box = parts.views.whole_box
        if moved is not None:  # nothing of the motion may be cut off
            box = union([box, moved_box(moved, boxes["video"], boxes["views"])])
        anchor, crop = "views", crop_about_axis(box, parts.views.pictures[0].width, object_size)
    elif moved is not None:
        anchor, crop = "video", crop_around(moved, object_size)
    else:
        anchor, crop = "picture", crop_around(boxes["picture"], object_size)
    crops = {
        name: crop if name == anchor else matching_crop(box, boxes[anchor], crop)
        for name, box in boxes.items()
    }
    if parts.model and moved is not None and not contains(crops["video"], moved):
        report(Warned("the motion leaves the frame that the 3D model fills: give a smaller --object-size"))
    return crops
