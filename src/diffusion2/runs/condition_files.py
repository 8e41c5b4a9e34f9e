"""The known parts of a run in its folder, so that a resumed run needs neither the input nor its programs."""

import json
from dataclasses import replace
from typing import Any

from diffusion2.atomic_files import write_json
from diffusion2.cameras import ModelFrame
from diffusion2.config import GenerateSettings
from diffusion2.errors import AssetFormatError, in_one_line
from diffusion2.image_matrix import Conditions, turn_time
from diffusion2.pictures import with_alpha, write_picture
from diffusion2.runs.matrix_files import read_image, read_pictures, write_pictures
from diffusion2.runs.run_folder import RunFolder


def write_conditions(run: RunFolder, conditions: Conditions, settings: GenerateSettings) -> None:
    """Write what is known; `given.json`, which says what that is, comes last."""
    run.conditions_path.mkdir(exist_ok=True)
    write_picture(run.picture_path, conditions.picture)
    if conditions.video is not None:
        write_pictures(run.video_path, turn_time(conditions.video, settings), "frame")
    if conditions.views is not None:
        write_pictures(run.views_path, conditions.views, "view")
    model = conditions.model_frame
    write_json(
        run.given_path,
        {
            "video": conditions.video is not None,
            "views": conditions.views is not None,
            "fps": conditions.fps,
            "model_frame": None if model is None else model.to_dict(),
        },
    )


def read_made_references(run: RunFolder, conditions: Conditions, settings: GenerateSettings) -> Conditions:
    """Add to what was given the references that an interrupted run has made; each is whole or not there."""
    if conditions.video is None and run.video_path.is_dir():
        video = with_alpha(*read_pictures(run.video_path, "frame"))
        conditions = replace(conditions, video=turn_time(video, settings))
    if conditions.views is None and run.views_path.is_dir():
        views = with_alpha(*read_pictures(run.views_path, "view"))
        conditions = replace(conditions, views=views)
    return conditions


def write_made_references(run: RunFolder, conditions: Conditions, settings: GenerateSettings) -> Conditions:
    """Write the references that are not in the folder yet.

    Returns:
        The conditions as the folder holds them: with references rounded to 8 bits.
    """
    written = conditions.as_written()
    assert written.video is not None
    assert written.views is not None
    if not run.video_path.is_dir():
        write_pictures(run.video_path, turn_time(written.video, settings), "frame")
    if not run.views_path.is_dir():
        write_pictures(run.views_path, written.views, "view")
    return written


def recorded_model_frame(run: RunFolder) -> ModelFrame | None:
    """Read where a given 3D model stands, for exports to there; None where no model was given."""
    model = _read_given(run).get("model_frame") if run.given_path.is_file() else None
    return None if model is None else ModelFrame.from_dict(model)


def was_video_given(run: RunFolder) -> bool:
    """Whether the reference row is of a given video, as it counts where the folder is not of a run."""
    return not run.given_path.is_file() or bool(_read_given(run).get("video"))


def read_recorded_conditions(run: RunFolder, settings: GenerateSettings) -> Conditions | None:
    """Read what `write_conditions` wrote; None where it was not finished.

    Raises:
        AssetFormatError: a file is missing or damaged.
    """
    if not run.given_path.is_file():
        return None
    given = _read_given(run)
    model = given.get("model_frame")
    video = with_alpha(*read_pictures(run.video_path, "frame")) if given.get("video") else None
    views = with_alpha(*read_pictures(run.views_path, "view")) if given.get("views") else None
    return Conditions(
        with_alpha(*read_image(run.picture_path)),
        None if video is None else turn_time(video, settings),
        views,
        given.get("fps"),
        None if model is None else ModelFrame.from_dict(model),
    )


def _read_given(run: RunFolder) -> dict[str, Any]:
    try:
        given = json.loads(run.given_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssetFormatError(f"{run.given_path} can't be read: {in_one_line(error)}") from error
    if not isinstance(given, dict):
        raise AssetFormatError(f"{run.given_path} does not say what was given")
    return given
