"""Which file an asset becomes: a row a format."""

from dataclasses import replace
from pathlib import Path

from diffusion2.cameras import ModelFrame
from diffusion2.config import ExportSettings
from diffusion2.errors import ExportError, InputError
from diffusion2.events import Report, ignore, stage
from diffusion2.exporters.alembic import write_alembic
from diffusion2.exporters.choosing import Extra, Format, Job, check_heeded, choose_format
from diffusion2.exporters.compact import write_compressed_ply, write_splat, write_spz
from diffusion2.exporters.dataset import write_dataset, write_matrix_as_dataset
from diffusion2.exporters.film_files import write_depth_frames, write_exr_frames, write_film, write_png_frames
from diffusion2.exporters.glb import write_mesh
from diffusion2.exporters.gltf_splats import write_gltf_splats
from diffusion2.exporters.html import write_viewer
from diffusion2.exporters.obj import write_obj_frames
from diffusion2.exporters.ply import write_ply, write_ply_frames
from diffusion2.exporters.usd import write_usd_mesh, write_usd_splats, write_usdz
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import ImageMatrix

FRAMES = "frame"
"""How the files of a folder are called, before their numbers."""
DATASET = "dataset"


def _write_viewer(job: Job) -> None:
    with stage(job.report, "viewer"):
        write_viewer(job.asset, job.path, title=job.path.stem)


MOMENT = frozenset({"time"})
PLACED = MOMENT | {"frame"}
FILM = MOMENT | {"camera", "camera_path", "loop", "fps", "seconds", "size"}
SHOWN = FILM | {"background"}
SPLATS = Extra("splats", ("gsply", "zstandard"))
MESH = Extra("mesh", ("skimage", "fast_simplification", "xatlas"))
EXR = Extra("exr", ("OpenEXR",))
MOVING_MESH = PLACED | {"animation", "mesh"}
USD = Extra("usd", ("pxr",))
USD_MESH = Extra("usd", ("pxr", *MESH.modules))
ALEMBIC = Extra("alembic", ("alembic3d", "imath", *MESH.modules))
USD_SPLATS = "with --as splats: the Gaussians, moving"

FORMATS = (
    Format(
        "glb",
        ".glb",
        "a textured mesh, moved by bones",
        write_mesh,
        heeds=MOVING_MESH,
        extra=MESH,
    ),
    Format(
        "splats", ".gltf-splats.glb", "the Gaussians at one moment, as glTF", write_gltf_splats, heeds=PLACED
    ),
    Format("splats", ".glb", "with --as splats: the same", write_gltf_splats, heeds=PLACED),
    Format("html", ".html", "a page that plays offline", _write_viewer),
    Format("mp4", ".mp4", "a video", write_film, heeds=SHOWN),
    Format("webm", ".webm", "a video with alpha", write_film, heeds=SHOWN),
    Format("webp", ".webp", "an animated picture with alpha", write_film, heeds=SHOWN),
    Format("apng", ".apng", "an animated PNG with alpha", write_film, heeds=SHOWN),
    Format("gif", ".gif", "an animated GIF", write_film, heeds=SHOWN),
    Format("png", ".png", "pictures with alpha", write_png_frames, many=True, heeds=SHOWN),
    Format("depth", ".png", "depth in 16 bits", write_depth_frames, many=True, heeds=FILM),
    Format("exr", ".exr", "depth and alpha as floats", write_exr_frames, many=True, heeds=FILM, extra=EXR),
    Format(
        DATASET,
        "",
        "the pictures of the matrix with their cameras",
        write_dataset,
        heeds=frozenset({"layout", "held_out", "frame"}),
    ),
    Format("ply", ".ply", "the Gaussians at one moment", write_ply, heeds=PLACED | {"pad_sh"}),
    Format(
        "ply",
        ".ply",
        "the Gaussians of each frame",
        write_ply_frames,
        many=True,
        heeds=frozenset({"pad_sh", "frame"}),
    ),
    Format(
        "compressed-ply",
        ".compressed.ply",
        "the Gaussians at one moment, rounded, a quarter as large",
        write_compressed_ply,
        heeds=PLACED,
        extra=SPLATS,
    ),
    Format(
        "obj",
        ".obj",
        "a textured mesh of each frame",
        write_obj_frames,
        many=True,
        heeds=frozenset({"mesh", "frame"}),
        extra=MESH,
    ),
    Format("splat", ".splat", "the Gaussians at one moment, rounded", write_splat, heeds=PLACED),
    Format(
        "spz",
        ".spz",
        "the Gaussians at one moment, rounded, the smallest",
        write_spz,
        heeds=MOMENT | {"spz_version"},
        extra=SPLATS,
    ),
    Format(
        "usdc",
        ".usdc",
        "a textured mesh, moved by bones",
        write_usd_mesh,
        heeds=MOVING_MESH,
        extra=USD_MESH,
    ),
    Format("usda", ".usda", "the same as text", write_usd_mesh, heeds=MOVING_MESH, extra=USD_MESH),
    Format(
        "usdz", ".usdz", "the same with its texture inside", write_usdz, heeds=MOVING_MESH, extra=USD_MESH
    ),
    Format("splats", ".usdc", USD_SPLATS, write_usd_splats, heeds=PLACED, extra=USD),
    Format("splats", ".usda", USD_SPLATS, write_usd_splats, heeds=PLACED, extra=USD),
    Format(
        "alembic",
        ".abc",
        "a textured mesh whose points move",
        write_alembic,
        heeds=PLACED | {"mesh"},
        extra=ALEMBIC,
    ),
)


def find_format(path: str | Path, name: str | None = None) -> Format:
    """Find the format that a path, and what `--as` says, ask for; errors are those of `export`."""
    return choose_format(FORMATS, Path(path), name)


def export(
    asset: Asset4D,
    path: str | Path,
    settings: ExportSettings | None = None,
    *,
    name: str | None = None,
    matrix: ImageMatrix | None = None,
    report: Report = ignore,
) -> Path:
    """Write an asset for other programs; the suffix says what it becomes. See docs/exports.md.

    What is there under that name is replaced when all is written; when anything fails, nothing is changed.

    Args:
        asset: what to write.
        path: a file; or for a file per frame a pattern such as `fox_*.ply`, or a folder, where files are
            called `frame_000` and so on.
        settings: None for the defaults.
        name: the format, where the suffix leaves a choice, or there is none.
        matrix: the pictures that the asset was made from; the texture of a mesh is refined on them, and a
            dataset consists of them.
        report: takes the events of the work.

    Returns:
        The path, as it was given.

    Raises:
        ExportError: the suffix is unknown, the asset is empty, or the file can't be written.
        InputError: the name is unknown or goes with other files, or a setting changes nothing in this format.
        BackendUnavailable: the format needs libraries that are not installed.
    """
    settings, path = settings or ExportSettings(), Path(path)
    chosen = find_format(path, name)
    check_heeded(FORMATS, chosen, settings)
    chosen.check_extra()
    if not len(asset.gaussians):
        raise ExportError("the asset has no Gaussians: there is nothing to export")
    _check_frame(settings, asset.metadata.model_frame)
    job = Job(asset, path, settings, report, matrix)
    if chosen.many and "*" not in path.name:
        job = replace(job, path=path / f"{FRAMES}_*{chosen.suffix}")
    chosen.write(job)
    return path


def export_matrix(
    matrix: ImageMatrix,
    path: str | Path,
    settings: ExportSettings | None = None,
    *,
    model: ModelFrame | None = None,
    report: Report = ignore,
) -> Path:
    """Write an image matrix as a dataset where no asset was made of it, such as ground truth.

    Args:
        matrix: its pictures and cameras.
        path: the folder.
        settings: None for the defaults.
        model: where a given 3D model or capture stands, where there is one.
        report: takes the events of the work.

    Returns:
        The path, as it was given.

    Raises:
        ExportError: the folder holds other files, or can't be written.
        InputError: the path is one of a file, or a setting changes nothing in a dataset.
    """
    settings, path = settings or ExportSettings(), Path(path)
    check_heeded(FORMATS, find_format(path, DATASET), settings)
    _check_frame(settings, model)
    model = model if settings.frame == "model" else None
    write_matrix_as_dataset(matrix, path, settings, model=model, report=report)
    return path


def _check_frame(settings: ExportSettings, model: ModelFrame | None) -> None:
    if settings.frame == "model" and model is None:
        raise InputError("this was made from neither a 3D model nor a capture: leave out the setting frame")
