"""Meshes in PLY files, as Blender, MeshLab, CloudCompare and scanners write them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from diffusion2.errors import InputError
from diffusion2.events import Report, Warned
from diffusion2.inputs.models.looks import (
    GREY_LOOK,
    PARTLY,
    Look,
    TextureFiles,
    alpha_of,
    make_texture,
    transparency,
)
from diffusion2.inputs.models.ply import Columns, Element, Lists, read_elements, read_header
from diffusion2.inputs.models.polygons import Polygons
from diffusion2.meshes.materials import Material

CORNERS = ("vertex_indices", "vertex_index")
UVS = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
TEXTURE = "texturefile"


def read_ply(path: Path, report: Report) -> tuple[Polygons, list[Look]]:
    """Read polygons and their looks, in the file's own axes.

    Raises:
        InputError: the file is damaged, cut off, or has no faces.
    """
    header = read_header(path)
    vertices = None if header is None else header.element("vertex")
    if header is None or vertices is None or not {"x", "y", "z"} <= set(vertices.names):
        raise InputError(f"{path} can't be read as a 3D model: the header of a PLY is damaged in it")
    faces = header.element("face") or header.element("tristrips")
    if faces is None or not faces.count:
        raise InputError(f"{path} has no triangles to draw, only points")
    name = next((name for name in CORNERS if name in faces.names), None)
    if name is None:
        raise InputError(f"{path} can't be read as a 3D model: its faces have no {CORNERS[0]}")
    tables = read_elements(path, header, faces.name)
    table, rows = tables["vertex"], tables[faces.name]
    listed = rows[name]
    if not isinstance(listed, Lists):
        raise InputError(f"{path} can't be read as a 3D model: {name} is no list")
    corners, counts = listed.values.astype(np.int64), listed.lengths
    if faces.name == "tristrips":
        corners, counts = _strips(corners)
    named = [c.split(maxsplit=1)[1].strip() for c in header.comments if c.lower().startswith(TEXTURE + " ")]
    numbers = rows.get("texnumber")
    looks_of = np.zeros(len(counts), np.int64)
    if isinstance(numbers, np.ndarray) and len(named) > 1 and len(numbers) == len(counts):
        looks_of = numbers.astype(np.int64).clip(0, len(named) - 1)
    mesh = Polygons(
        _columns(table, ("x", "y", "z")),
        corners,
        counts,
        looks_of,
        _at(_columns(table, ("nx", "ny", "nz"), may_lack=True), corners),
        _uvs(rows, table, corners, counts),
        _colors(vertices, table, faces, rows, corners, counts),
        _alphas(path, vertices, table, corners, report),
    )
    return mesh, _looks(path, named, mesh, report)


def _columns(table: Columns, names: tuple[str, ...], *, may_lack: bool = False) -> np.ndarray:
    found = [table.get(name) for name in names]
    if may_lack and not all(isinstance(column, np.ndarray) for column in found):
        return np.zeros((0, len(names)))
    return np.stack([np.asarray(column, np.float64) for column in found], axis=1)


def _at(rows: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """Assign each corner the row of its vertex; None of no rows."""
    return rows[corners.clip(0, len(rows) - 1)] if len(rows) else None


def _uvs(rows: Columns, table: Columns, corners: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """Find the corners' places in the texture: with the faces, as MeshLab has them, or with the vertices."""
    wedges = rows.get("texcoord")
    if isinstance(wedges, Lists) and (wedges.lengths == 2 * counts).all():
        return wedges.values.astype(np.float64).reshape(-1, 2)
    for names in UVS:
        found = _at(_columns(table, names, may_lack=True), corners)
        if found is not None:
            return found
    return None


def _colors(
    vertices: Element,
    table: Columns,
    faces: Element,
    rows: Columns,
    corners: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray | None:
    """Find the corners' colours, those of vertices before those of faces, all in [0, 1]."""
    for element, columns in ((vertices, table), (faces, rows)):
        for names in COLORS:
            if not set(names) <= columns.keys():
                continue
            values = _columns(columns, names)
            values = np.nan_to_num(values / _most(element, names[0])).clip(0, 1)
            if element is vertices:
                return _at(values, corners)
            return np.repeat(values, counts, axis=0) if len(values) == len(counts) else None
    return None


def _alphas(
    path: Path, vertices: Element, table: Columns, corners: np.ndarray, report: Report
) -> np.ndarray | None:
    """Find the corners' opacities (C,) in [0, 1]; None where all are opaque, or none is seen at all."""
    values = _columns(table, ("alpha",), may_lack=True)[:, 0]
    found = np.nan_to_num(values / _most(vertices, "alpha")).clip(0, 1) if len(values) else values
    if not len(found) or (found >= 1).all():
        return None
    if not found.any():
        report(Warned(f"{path}: the alpha of its vertices hides all of it, and does not count"))
        return None
    report(Warned(f"{path}: the alpha of its vertices is taken as opacity; save it without if it is none"))
    return found[corners.clip(0, len(found) - 1)]


def _most(element: Element, name: str) -> float:
    """Tell what stands for 1 in a column: the most that whole numbers can be, else 1."""
    kind = np.dtype(next(column.dtype for column in element.properties if column.name == name))
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0


def _strips(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take strips of triangles apart; -1 stands between strips, and every other triangle is turned over."""
    k = np.arange(max(len(corners) - 2, 0))
    triangles = np.stack([corners[k], corners[k + 1], corners[k + 2]], axis=1)
    begins = np.concatenate([[0], np.nonzero(corners < 0)[0] + 1])
    odd = (k - begins[np.searchsorted(begins, k, side="right") - 1]) % 2 == 1
    triangles[odd] = triangles[odd][:, [1, 0, 2]]
    triangles = triangles[(triangles >= 0).all(1)]
    return triangles.reshape(-1), np.full(len(triangles), 3)


def _looks(path: Path, named: list[str], mesh: Polygons, report: Report) -> list[Look]:
    """Read the textures that the comments name."""
    plain = GREY_LOOK
    if mesh.alphas is not None:
        partly = float(((mesh.alphas > 0.1) & (mesh.alphas < 0.9)).mean()) > PARTLY
        plain = replace(plain, material=Material("BLEND" if partly else "MASK", double_sided=True))
    if not named or mesh.uvs is None:
        if named:
            report(Warned(f"{path} names the texture {named[0]}, but not where it lies: it is drawn without"))
        return [plain] * max(len(named), 1)
    pictures = TextureFiles(path, report)
    looks = []
    for name in named:
        picture = pictures.read(name)
        alpha = alpha_of(picture)
        alpha = alpha if alpha is not None and alpha.any() else None
        if picture is None:
            looks.append(plain)
            continue
        material = transparency(alpha, 1.0) if mesh.alphas is None else plain.material
        looks.append(Look(np.ones(3), texture=make_texture(picture, alpha), material=material))
    pictures.tell()
    return looks
