"""3D Gaussians as PLY, laid out as the program of Kerbl et al. (2023) writes them: what most viewers read.

Numbers are the stored ones: logarithms of scales, logits of opacities, quaternions wxyz, harmonics. Axes are
`PLY_FROM_WORLD`, units those of the world; or both those of the given model.
"""

from pathlib import Path

import numpy as np
import torch

from diffusion2.events import Warned, stage
from diffusion2.exporters.axes import PLY_FROM_WORLD, place_gaussians
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.writing import writing, writing_numbered
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.harmonics import MAX_DEGREE, coefficients
from diffusion2.image_matrix import frame_times


def write_ply(job: Job) -> None:
    """Write one moment.

    Raises:
        ExportError: the file can't be written.
    """
    with writing(job.path, "the Gaussians") as temporary:
        _write(job, job.settings.time or 0.0, temporary)


def write_ply_frames(job: Job) -> None:
    """Write a file for each frame; one where nothing moves.

    Raises:
        ExportError: the files can't be written.
    """
    moves = job.asset.deformation is not None
    times = frame_times(job.asset.metadata.frames if moves else 1)
    what = "the frames"
    with (
        stage(job.report, "frames") as progress,
        writing_numbered(job.path, what, len(times)) as numbered,
    ):
        progress(0, len(times))
        for number, time in enumerate(times.tolist()):
            _write(job, time, numbered(number))
            progress(number + 1, len(times))
    if moves:
        fps = job.asset.metadata.fps
        job.report(Warned(f"{len(times)} files, to be played at {fps:.4g} a second: PLY has no place for it"))
    else:
        job.report(Warned("nothing moves in this asset: one file is all of it"))


def _write(job: Job, time: float, path: Path) -> None:
    placed = place_gaussians(job.asset.at(time), PLY_FROM_WORLD, job.model_frame)
    rows = to_rows(placed, job.settings.pad_sh)
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    lines += [f"property float {name}" for name in rows.dtype.names or ()]
    with path.open("wb") as file:
        file.write("\n".join([*lines, "end_header", ""]).encode("ascii"))
        file.write(rows.tobytes())  # `tofile` says nothing of a full disk


def to_rows(gaussians: Gaussians, pad_sh: bool) -> np.ndarray:
    """Lay N Gaussians out as (N,) records of named float32, in the order of a file.

    Args:
        gaussians: in the file's axes.
        pad_sh: have 45 harmonics above degree 0, zeros where there are none.
    """
    count, known = len(gaussians), 0 if gaussians.shN is None else gaussians.shN.shape[1]
    rest = torch.zeros(count, 3, coefficients(MAX_DEGREE) if pad_sh else known)
    if gaussians.shN is not None:
        rest[:, :, :known] = gaussians.shN.transpose(1, 2)  # all of red first, then green, blue
    columns = {
        "x y z": gaussians.means,
        "nx ny nz": torch.zeros(count, 3),
        "f_dc_0 f_dc_1 f_dc_2": gaussians.sh0[:, 0],
        " ".join(f"f_rest_{k}" for k in range(3 * rest.shape[2])): rest.flatten(1),
        "opacity": gaussians.opacity_logits[:, None],
        "scale_0 scale_1 scale_2": gaussians.log_scales,
        "rot_0 rot_1 rot_2 rot_3": gaussians.quats,
    }
    names = " ".join(columns).split()
    values = torch.cat([column.detach().float().cpu() for column in columns.values()], dim=1)
    return np.ascontiguousarray(values.numpy(), "<f4").view([(name, "<f4") for name in names])[:, 0]
