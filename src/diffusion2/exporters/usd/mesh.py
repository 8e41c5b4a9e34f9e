"""The textured mesh as USD: moved by bones (`UsdSkel`) or by time samples of its points, or still.

Light is baked into the texture, so `UsdPreviewSurface` emits it and reflects nothing.
"""

# pyright: reportAttributeAccessIssue=false
# pxr makes its names when it is imported, where pyright can't see them.
from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from diffusion2.events import stage as reported
from diffusion2.exporters.axes import GLTF_FROM_WORLD, turn_points, turn_rotations
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.keys import PLACES_PER_FRAME, key_times
from diffusion2.exporters.skin import Skin, make_moving_skin
from diffusion2.exporters.texture import encode_texture, path_beside, upward
from diffusion2.exporters.usd.material import UVS, add_material
from diffusion2.exporters.usd.scene import (
    ROOT,
    add_root,
    bounds,
    make_stage,
    quaternions,
    save_stage,
    time_codes,
    vectors,
)
from diffusion2.exporters.writing import writing
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.reconstruction.mesh import extract_mesh

if TYPE_CHECKING:
    from pxr import Usd, UsdGeom

ROOT_BONE = "bones"
"""Above all bones, as Unreal wants one that is."""


def write_usd_mesh(job: Job) -> None:
    """Write the mesh with its motion, or as it is at the time that is asked for; its texture stands beside.

    Raises:
        ExportError: the files can't be written.
        InputError: the asset has no surface.
    """
    beside = path_beside(job.path)
    with writing(job.path, "the scene") as temporary, writing(beside, "the texture") as picture:
        mesh = extract_mesh(job.asset, job.matrix, job.settings.mesh, job.report)
        with reported(job.report, "usd"):
            picture.write_bytes(encode_texture(mesh.texture))
            save_stage(lay_out_mesh(mesh, job, f"./{beside.name}"), temporary)


def write_usdz(job: Job) -> None:
    """Write the same with its texture inside, as one file.

    Raises:
        ExportError: the file can't be written.
        InputError: the asset has no surface.
    """
    from pxr import UsdUtils

    with writing(job.path, "the scene") as temporary, TemporaryDirectory() as folder:
        mesh = extract_mesh(job.asset, job.matrix, job.settings.mesh, job.report)
        with reported(job.report, "usd"):
            scene = Path(folder, "object.usdc")
            beside = path_beside(scene)
            beside.write_bytes(encode_texture(mesh.texture))
            save_stage(lay_out_mesh(mesh, job, f"./{beside.name}"), scene)
            # Of a full disk it says nothing, but the table at the archive's end is missing then.
            if not (UsdUtils.CreateNewUsdzPackage(str(scene), str(temporary)) and is_zipfile(temporary)):
                raise OSError("OpenUSD could not write all of it; is the disk full?")


def lay_out_mesh(mesh: Mesh4D, job: Job, texture: str) -> Usd.Stage:
    """Make a stage of a mesh: with its motion, or as it is at the time that the settings name.

    Args:
        mesh: what to show.
        job: its settings, the place of a given model and its report count.
        texture: where its texture lies, seen from the file.
    """
    from pxr import UsdGeom, UsdSkel

    moment, field = job.settings.time, mesh.deformation
    moves = moment is None and field is not None
    stage = make_stage(mesh.metadata, moves=moves)
    by_bones = moves and job.settings.animation == "skin"
    root = add_root(stage, UsdSkel.Root if by_bones else UsdGeom.Xform, job.model_frame)
    shown = _add_mesh(stage, mesh)
    add_material(stage, shown, texture)
    if field is None or moment is not None:
        _place(shown, mesh, mesh.at(moment or 0.0))
    elif by_bones:
        _place(shown, mesh, mesh.vertices)
        times, skin = make_moving_skin(mesh, field, job.report)
        codes = time_codes(mesh.metadata, times)
        _add_bones(stage, shown, skin, codes)
        for code in codes:  # what is outside may be left out when it is drawn
            root.CreateExtentAttr().Set(UsdGeom.Boundable.ComputeExtentFromPlugins(root, code), code)
    else:
        _place(shown, mesh, mesh.at(0.0))  # for programs that ask for no time
        times = key_times(mesh.metadata, PLACES_PER_FRAME)
        for time, code in zip(times.tolist(), time_codes(mesh.metadata, times), strict=True):
            _place(shown, mesh, mesh.at(time), code)
    return stage


def _add_mesh(stage: Usd.Stage, mesh: Mesh4D) -> UsdGeom.Mesh:
    """Add what stays of the mesh while it moves: triangles and texture coordinates."""
    from pxr import Sdf, UsdGeom, Vt

    shown = UsdGeom.Mesh.Define(stage, f"{ROOT}/mesh")
    triangles = mesh.triangles.numpy().astype(np.int32)
    shown.CreateFaceVertexCountsAttr(Vt.IntArray(len(triangles), 3))
    shown.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.flatten()))
    shown.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    primvars = UsdGeom.PrimvarsAPI(shown)
    st = primvars.CreatePrimvar(UVS, Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    st.Set(Vt.Vec2fArray.FromNumpy(upward(mesh.uvs)))
    return shown


def _place(shown: UsdGeom.Mesh, mesh: Mesh4D, vertices: Tensor, code: float | None = None) -> None:
    """Set the vertices (P, 3) and their normals at a time code, or for all of them, before bones act."""
    from pxr import Usd, UsdGeom

    code = Usd.TimeCode.Default() if code is None else code
    points = _turned(vertices)
    shown.GetPointsAttr().Set(vectors(points), code)
    shown.GetExtentAttr().Set(bounds(points), code)
    shown.GetNormalsAttr().Set(vectors(_turned(mesh.normals(vertices))), code)
    shown.SetNormalsInterpolation(UsdGeom.Tokens.vertex)


def _add_bones(stage: Usd.Stage, shown: UsdGeom.Mesh, skin: Skin, codes: list[float]) -> None:
    """Add a skeleton that the mesh follows, and how it moves."""
    from pxr import UsdSkel, Vt

    count = len(skin.places)
    names = [ROOT_BONE, *(f"{ROOT_BONE}/bone_{k}" for k in range(count))]
    unmoved = np.tile(np.eye(4), (count + 1, 1, 1))
    unmoved[1:, 3, :3] = _turned(skin.places).numpy()  # rows, as USD multiplies from the left
    matrices = Vt.Matrix4dArray.FromNumpy(unmoved)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{ROOT}/skeleton")
    skeleton.CreateJointsAttr(names)
    skeleton.CreateBindTransformsAttr(matrices)
    skeleton.CreateRestTransformsAttr(matrices)

    motion = UsdSkel.Animation.Define(stage, f"{ROOT}/skeleton/motion")
    motion.CreateJointsAttr(names)
    motion.CreateScalesAttr(Vt.Vec3hArray(count + 1, (1, 1, 1)))
    still, unturned = torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]])
    rotations = turn_rotations(skin.rotations, GLTF_FROM_WORLD)
    for code, places, turns in zip(codes, _turned(skin.translations), rotations, strict=True):
        motion.CreateTranslationsAttr().Set(vectors(torch.cat([still, places])), code)
        motion.CreateRotationsAttr().Set(quaternions(torch.cat([unturned, turns])), code)

    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().AddTarget(motion.GetPath())
    binding = UsdSkel.BindingAPI.Apply(shown.GetPrim())
    binding.CreateSkeletonRel().AddTarget(skeleton.GetPath())
    joints = Vt.IntArray.FromNumpy((skin.joints + 1).flatten().numpy().astype(np.int32))
    per_vertex = skin.joints.shape[1]
    binding.CreateJointIndicesPrimvar(False, per_vertex).Set(joints)
    weights = Vt.FloatArray.FromNumpy(skin.weights.flatten().numpy())
    binding.CreateJointWeightsPrimvar(False, per_vertex).Set(weights)


def _turned(points: Tensor) -> Tensor:
    return turn_points(points, GLTF_FROM_WORLD)
