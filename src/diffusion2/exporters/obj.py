"""The mesh as Wavefront OBJ, a file for each frame, with one material and one texture for all of them.

Axes are glTF's, y up and the front on +z, as programs expect of OBJ; units those of the world; or both those
of the given model.
"""

from pathlib import Path

import numpy as np
import torch

from diffusion2.events import Warned, stage
from diffusion2.exporters.axes import GLTF_FROM_WORLD, place_points
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.texture import NAME, encode_texture, upward
from diffusion2.exporters.writing import writing_numbered
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.image_matrix import frame_times
from diffusion2.reconstruction.mesh import extract_mesh


def write_obj_frames(job: Job) -> None:
    """Write a mesh for each frame, one where nothing moves; all have the same triangles.

    Raises:
        ExportError: the files can't be written.
        InputError: the asset has no surface.
        BackendUnavailable: the libraries of the extra `mesh` are not installed.
    """
    count = job.asset.metadata.frames if job.asset.deformation is not None else 1
    with writing_numbered(job.path, "the meshes", count) as numbered:
        mesh = extract_mesh(job.asset, job.matrix, job.settings.mesh, job.report)
        with stage(job.report, "frames") as progress:
            progress(0, count)
            material = _write_material(mesh, numbered(0).parent, job.path.name.partition("*")[0])
            before, after = _constant_parts(mesh, material)
            # A vertex of the surface is one here, also where the texture has a seam.
            _, first = np.unique(mesh.welded.numpy(), return_index=True)
            for number, time in enumerate(frame_times(count).tolist()):
                vertices = mesh.at(time)[torch.from_numpy(first)]
                points = place_points(vertices, GLTF_FROM_WORLD, job.model_frame)
                numbered(number).write_text(before + _rows("v", points.numpy()) + after, encoding="utf-8")
                progress(number + 1, count)
    fps = f", to be played at {job.asset.metadata.fps:.4g} a second" if count > 1 else ": nothing moves"
    job.report(Warned(f"{count} {'meshes' if count > 1 else 'mesh'}{fps}; texture and material are beside"))


def _write_material(mesh: Mesh4D, folder: Path, prefix: str) -> str:
    """Write the texture and the material that has it; give the material's file name."""
    name = f"{prefix}{NAME}"
    (folder / f"{name}.png").write_bytes(encode_texture(mesh.texture))
    lines = ["newmtl object", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", "illum 1", f"map_Kd {name}.png", ""]
    (folder / f"{name}.mtl").write_text("\n".join(lines), encoding="utf-8")
    return f"{name}.mtl"


def _constant_parts(mesh: Mesh4D, material: str) -> tuple[str, str]:
    """Get what stands before and after the places: texture coordinates, v upwards, and triangles from 1."""
    corners = np.unique(mesh.welded.numpy(), return_inverse=True)[1][mesh.triangles.numpy()] + 1
    seen = mesh.triangles.numpy() + 1
    faces = "".join(
        "f " + " ".join(f"{v}/{vt}" for v, vt in zip(*row, strict=True)) + "\n"
        for row in zip(corners.tolist(), seen.tolist(), strict=True)
    )
    return f"mtllib {material}\no object\n", _rows("vt", upward(mesh.uvs)) + "usemtl object\n" + faces


def _rows(keyword: str, values: np.ndarray) -> str:
    return "".join(f"{keyword} {' '.join(f'{x:.6g}' for x in row)}\n" for row in values.tolist())
