"""The mesh as Alembic: one topology, its places at key times, for Blender, Unreal, Maya and Houdini.

Axes are glTF's, y up and the front on +z; units those of the world; times in seconds. It has no textures:
the texture stands beside, to be given to the mesh by hand. It is written with the Alembic project's own
bindings, which `alembic3d` has as wheels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from diffusion2.cameras import ModelFrame
from diffusion2.errors import in_one_line
from diffusion2.events import Progress, Warned, stage
from diffusion2.exporters.axes import GLTF_FROM_WORLD, model_matrix, turn_points
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.keys import PLACES_PER_FRAME, key_times
from diffusion2.exporters.texture import encode_texture, path_beside, upward
from diffusion2.exporters.writing import writing
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.reconstruction.mesh import extract_mesh

if TYPE_CHECKING:
    from alembic3d.AbcGeom import OPolyMeshSchemaSample

OVERHEAD = 65536, 1024
"""Bytes of an archive, and of a sample in it, that are not those of arrays, at most."""


def write_alembic(job: Job) -> None:
    """Write the mesh with its motion, or as it is at the time that is asked for; its texture stands beside.

    Raises:
        ExportError: the files can't be written.
        InputError: the asset has no surface.
    """
    beside = path_beside(job.path)
    with writing(job.path, "the mesh") as temporary, writing(beside, "the texture") as picture:
        mesh = extract_mesh(job.asset, job.matrix, job.settings.mesh, job.report)
        with stage(job.report, "alembic") as progress:
            picture.write_bytes(encode_texture(mesh.texture))
            try:
                write_archive(mesh, temporary, progress, job.settings.time, job.model_frame)
            except RuntimeError as error:  # all that Alembic raises
                raise OSError(in_one_line(error)) from error
    job.report(Warned(f"Alembic has no textures: give {beside.name} to the mesh where it is opened"))


def write_archive(
    mesh: Mesh4D,
    path: Path,
    progress: Progress,
    moment: float | None = None,
    model: ModelFrame | None = None,
) -> None:
    """Write a mesh as an archive.

    Args:
        mesh: what to write.
        path: where to.
        progress: is told of the samples.
        moment: the time that it stands at, from 0 to 1; None: it moves.
        model: moves it to where a given model stands.

    Raises:
        OSError: there is no room for it.
        RuntimeError: it can't be written for another reason.
    """
    from alembic3d import Abc, AbcCoreAbstract, AbcGeom
    from imath import M44d, V3fArrayFromBuffer

    moves = moment is None and mesh.deformation is not None
    times = key_times(mesh.metadata, PLACES_PER_FRAME) if moves else torch.tensor([moment or 0.0])
    triangles = mesh.triangles.numpy()[:, ::-1].astype(np.int32)  # clockwise, as Alembic has them
    _check_room(path, len(times) * 12 * len(mesh.vertices) + triangles.size * 16, len(times))

    archive = Abc.OArchive(str(path))
    step = mesh.metadata.duration_s / max(len(times) - 1, 1)
    clock = archive.addTimeSampling(AbcCoreAbstract.TimeSampling(step, 0.0))
    place = AbcGeom.OXform(archive.getTop(), "object")
    if model is not None:
        rows = model_matrix(GLTF_FROM_WORLD, model).T  # as Imath multiplies from the left
        moved = AbcGeom.XformSample()
        moved.setMatrix(M44d(*rows.flatten().tolist()))
        place.getSchema().set(moved)
    schema = AbcGeom.OPolyMesh(place, "mesh", clock).getSchema()
    progress(0, len(times))
    for number, time in enumerate(times.tolist()):
        points = turn_points(mesh.at(time), GLTF_FROM_WORLD).contiguous().numpy()
        sample = AbcGeom.OPolyMeshSchemaSample()
        sample.setPositions(V3fArrayFromBuffer(points))
        if number == 0:  # later ones have the same triangles
            _set_triangles(sample, mesh, triangles)
        schema.set(sample)
        progress(number + 1, len(times))


def _set_triangles(sample: OPolyMeshSchemaSample, mesh: Mesh4D, triangles: np.ndarray) -> None:
    """Add triangles (T, 3) and their corners' texture coordinates, v upwards."""
    from alembic3d import AbcGeom
    from imath import IntArrayFromBuffer, V2fArrayFromBuffer

    sample.setFaceIndices(IntArrayFromBuffer(triangles.flatten()))
    sample.setFaceCounts(IntArrayFromBuffer(np.full(len(triangles), 3, np.int32)))
    corners = V2fArrayFromBuffer(upward(mesh.uvs)[triangles].reshape(-1, 2))
    sample.setUVs(AbcGeom.OV2fGeomParamSample(corners, AbcGeom.GeometryScope.kFacevaryingScope))


def _check_room(path: Path, arrays: int, samples: int) -> None:
    """Fill a file with as many bytes as will be needed: of a full disk Alembic's library ends the process."""
    with path.open("wb") as file:
        file.write(bytes(arrays + OVERHEAD[0] + samples * OVERHEAD[1]))
