"""From a moving asset to a moving mesh."""

import torch

from diffusion2.cameras import Cameras
from diffusion2.config import MeshSettings
from diffusion2.events import Report, ignore, stage
from diffusion2.gaussians import Asset4D, render
from diffusion2.gaussians.mesh import Mesh4D, carry
from diffusion2.gaussians.rasterize import Rendering
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction.mesh.fusion import Volume, draw_depths, fuse, look_around, smoothed
from diffusion2.reconstruction.mesh.raster import draw_mesh
from diffusion2.reconstruction.mesh.surface import (
    Surface,
    extract_surface,
    simplify,
    smooth,
    unwrap,
    without_floaters,
)
from diffusion2.reconstruction.mesh.texture import Painted, Photo, fit_texture, splat_photos
from diffusion2.reconstruction.targets import closeness, find_alphas

STAGE = "mesh"

_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Distances, in units of the truncation, at which the surface is looked for."""


_REFERENCE_PICTURE, _REFERENCE_VIEW = 8.0, 2.0
"""How much the reference picture and the others of its view count for the texture, beside any other."""


def extract_mesh(
    asset: Asset4D,
    matrix: ImageMatrix | None = None,
    settings: MeshSettings | None = None,
    report: Report = ignore,
) -> Mesh4D:
    """Extract a textured mesh that the asset's deformation carries.

    Depths of the canonical Gaussians are fused into a signed distance, whose zero becomes triangles. Colours
    of the Gaussians seen from all around become the texture, which is then fitted to the matrix, the
    reference view and frame counting most ("texture refined from the reference frame", section 3.4).

    Args:
        asset: what to turn into a mesh.
        matrix: the pictures it was made from, to refine the texture on; None leaves the Gaussians' colours.
        settings: None for the defaults.
        report: takes the stage's events.

    Raises:
        InputError: when the asset has no surface.
        BackendUnavailable: when the libraries of the extra `mesh` are not installed.
    """
    settings = settings or MeshSettings()
    with stage(report, STAGE) as progress, torch.no_grad():
        progress(0, 4, "depths")
        cameras = look_around(
            asset.metadata.radius, asset.metadata.fov_deg, asset.metadata.elevation_deg, settings.picture_size
        )
        pictures = [render(Asset4D(asset.gaussians), cameras[view]) for view in range(len(cameras))]
        depths = [draw_depths(asset.gaussians, cameras[view]) for view in range(len(cameras))]
        volume = smoothed(fuse(asset.gaussians, cameras, depths, settings.resolution))
        progress(1, 4, "surface")
        surface = _surface(volume, cameras, pictures, settings)
        progress(2, 4, "unwrapping")
        welded, triangles, uvs = unwrap(surface, settings.texture_size)
        vertices = surface.vertices[welded]
        painted = Painted(triangles, uvs, welded, settings.texture_size)
        progress(3, 4, "texture")
        photos = _photos_of_asset(vertices, cameras, pictures)
        texture = splat_photos(painted, photos)
        if matrix is not None:
            photos = _photos_of_matrix(asset, vertices, matrix)
            texture = fit_texture(painted, texture, photos, settings.texture_rounds)
        progress(4, 4)
    return Mesh4D(vertices, triangles, uvs, texture, welded, asset.deformation, asset.metadata)


def _surface(volume: Volume, cameras: Cameras, pictures: list[Rendering], settings: MeshSettings) -> Surface:
    """Extract the surface at the distance at which its silhouettes are those of the Gaussians.

    Averaging depths seen at low angles moves the surface inwards by a part of a cell.
    """
    best, agreement = None, -1.0
    for level in _LEVELS:
        surface = smooth(without_floaters(extract_surface(volume, level)), settings.smoothing)
        found = _silhouette_agreement(surface, cameras, pictures)
        if found > agreement:
            best, agreement = surface, found
    assert best is not None
    return simplify(best, settings.triangles)


def _silhouette_agreement(surface: Surface, cameras: Cameras, pictures: list[Rendering]) -> float:
    """Return the area that mesh and Gaussians both cover, as a share of what either covers."""
    both, either = 0, 0
    for k in range(0, len(cameras), 3):
        viewmat, K = (torch.as_tensor(x[k], dtype=torch.float32) for x in (cameras.viewmats, cameras.Ks))
        hits = draw_mesh(surface.vertices, surface.triangles, viewmat, K, cameras.height, cameras.width)
        ours, theirs = hits.triangles >= 0, pictures[k].alpha[0, :, :, 0] > 0.5
        both += int((ours & theirs).sum())
        either += int((ours | theirs).sum())
    return both / max(either, 1)


def _photos_of_asset(vertices: torch.Tensor, cameras: Cameras, pictures: list[Rendering]) -> list[Photo]:
    photos = []
    for k, drawn in enumerate(pictures):
        viewmat, K = (torch.as_tensor(x[k], dtype=torch.float32) for x in (cameras.viewmats, cameras.Ks))
        photos.append(Photo(vertices, drawn.rgb[0].clamp(0, 1), drawn.alpha[0, :, :, 0], viewmat, K, 1.0))
    return photos


def _photos_of_matrix(asset: Asset4D, vertices: torch.Tensor, matrix: ImageMatrix) -> list[Photo]:
    weights = closeness(matrix, 0.02)
    alphas, known = find_alphas(matrix)
    alphas = alphas * known  # pixels of an estimated outline mix in some background
    moved = carry(vertices, asset.deformation, matrix.times.float())
    viewmats, Ks = (
        torch.as_tensor(x, dtype=torch.float32) for x in (matrix.cameras.viewmats, matrix.cameras.Ks)
    )
    reference = matrix.reference_view
    photos = []
    for view in range(matrix.views):
        for frame in range(matrix.frames):
            if view != reference and frame != matrix.reference_frame:
                continue
            weight = float(weights[view, frame])
            if view == reference:  # nearer to what was given than any other
                weight *= _REFERENCE_PICTURE if frame == matrix.reference_frame else _REFERENCE_VIEW
            image = matrix.images[view, frame].float().clamp(0, 1).permute(1, 2, 0)
            photos.append(
                Photo(moved[frame], image, alphas[view, frame, 0], viewmats[view], Ks[view], weight)
            )
    return photos
