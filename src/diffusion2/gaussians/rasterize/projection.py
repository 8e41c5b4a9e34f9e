"""From Gaussians in the world to splats in the picture.

EWA splatting (Zwicker et al., 2002) as in gsplat: the perspective projection is linearised at the
mean. With A = J R_view R(quat) diag(scales), the projected covariance is A Aᵀ + e I with
e = `COVARIANCE_BLUR`. Computed in float64: the determinant of long thin Gaussians cancels badly in float32.
"""

import math

import numpy as np

from diffusion2.gaussians.rasterize.layout import (
    ASPECT,
    BLUE,
    DEPTH,
    GREEN,
    HALF_HEIGHT,
    HALF_WIDTH,
    LOG_OPACITY,
    POWER_XX,
    POWER_XY,
    POWER_YY,
    RED,
    SLOPE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TOP_X,
    U,
    V,
)
from diffusion2.gaussians.rasterize.rendering import COVARIANCE_BLUR, JACOBIAN_MARGIN, MIN_ALPHA
from diffusion2.kernels.compile import inline, kernel
from diffusion2.kernels.threads import take
from diffusion2.quaternions import rotation_entries

CHUNK = 512
"""Gaussians in one task."""

NOT_FINITE_MEANS, NOT_FINITE_QUATS, BAD_SCALES, BAD_OPACITIES, NOT_FINITE_COLORS = 1, 2, 4, 8, 16
"""Bits that `project` sets for input it can't draw."""

# Slack on the ellipse's size so that rounding can't lose a pixel that is just inside.
_REACH_SLACK = 1e-3

# Pixels; beyond this float32 can't follow, and nothing of use can be drawn.
_FAR = 1e15

_LOG_MIN_ALPHA = math.log(MIN_ALPHA)


@inline
def to_camera(mean, view):
    """A point of the world in a camera's axes."""
    x, y, z = np.float64(mean[0]), np.float64(mean[1]), np.float64(mean[2])
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@inline
def normalized(quat):
    """The quaternion divided by its length, and what it was multiplied by."""
    w, x, y, z = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    factor = 1 / max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    return w * factor, x * factor, y * factor, z * factor, factor


rotation = inline(rotation_entries)


@inline
def view_axes(m, s0, s1, s2, view):
    """R_view R(quat) diag(scales), row by row."""
    r00, r01, r02 = view[0, 0], view[0, 1], view[0, 2]
    r10, r11, r12 = view[1, 0], view[1, 1], view[1, 2]
    r20, r21, r22 = view[2, 0], view[2, 1], view[2, 2]
    return (
        (r00 * m[0] + r01 * m[3] + r02 * m[6]) * s0,
        (r00 * m[1] + r01 * m[4] + r02 * m[7]) * s1,
        (r00 * m[2] + r01 * m[5] + r02 * m[8]) * s2,
        (r10 * m[0] + r11 * m[3] + r12 * m[6]) * s0,
        (r10 * m[1] + r11 * m[4] + r12 * m[7]) * s1,
        (r10 * m[2] + r11 * m[5] + r12 * m[8]) * s2,
        (r20 * m[0] + r21 * m[3] + r22 * m[6]) * s0,
        (r20 * m[1] + r21 * m[4] + r22 * m[7]) * s1,
        (r20 * m[2] + r21 * m[5] + r22 * m[8]) * s2,
    )


@inline
def _clamp(value, low, high):
    return min(max(value, low), high)


@inline
def jacobian(x, y, z, K, width, height):
    """J's four entries that are not 0, and whether x / z and y / z were inside their bounds."""
    margin_x, margin_y, per_z = JACOBIAN_MARGIN * width, JACOBIAN_MARGIN * height, 1 / z
    jx, jy = K[0, 0] * per_z, K[1, 1] * per_z
    # Pixels from the principal point.
    u, v = jx * x, jy * y
    u_in = _clamp(u, -K[0, 2] - margin_x, width - K[0, 2] + margin_x)
    v_in = _clamp(v, -K[1, 2] - margin_y, height - K[1, 2] + margin_y)
    return jx, -u_in * per_z, jy, -v_in * per_z, u == u_in, v == v_in


@inline
def covariance(a, b):
    """A Aᵀ + e I for rows a, b of A: xx, xy, yy, its determinant, and that of A Aᵀ.

    det = |a x b|² + e (|a|² + |b|²) + e²: a sum of squares, in which nothing cancels.
    """
    e = COVARIANCE_BLUR
    xx, yy = a[0] * a[0] + a[1] * a[1] + a[2] * a[2], b[0] * b[0] + b[1] * b[1] + b[2] * b[2]
    xy = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    p0, p1, p2 = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    area = p0 * p0 + p1 * p1 + p2 * p2
    return xx + e, xy, yy + e, area + e * (xx + yy) + e * e, area


@inline
def _tiles_over(centre, reach, size, tile):
    """First and last tile that centre ± reach (and a pixel more) can touch along one side of the picture."""
    first = math.floor(_clamp(centre - reach - 1.5, 0.0, np.float64(size)))
    last = math.floor(_clamp(centre + reach + 0.5, -1.0, np.float64(size - 1)))
    return np.int64(first) // tile, np.int64(last) // tile if last >= first else -1


@inline
def _count_pairs(u, v, half_width, half_height, width, height, band_rows, pairs):
    """Add to `pairs` the tiles under a bounding box, band by band; gives their number."""
    left, right = _tiles_over(u, half_width, width, TILE_WIDTH)
    top, bottom = _tiles_over(v, half_height, height, TILE_HEIGHT)
    total = 0
    for band in range(len(pairs)):
        rows = min(bottom, band_rows * (band + 1) - 1) - max(top, band_rows * band) + 1
        found = max(right - left + 1, 0) * max(rows, 0)
        pairs[band] += found
        total += found
    return total


@inline
def _find_fault(mean, quat, scale, opacity, color):
    """The bits of `NOT_FINITE_MEANS` and so on; 0 times a number is 0 unless it is NaN or infinite."""
    found = 0
    if (mean[0] + mean[1] + mean[2]) * 0 != 0:
        found |= NOT_FINITE_MEANS
    if (quat[0] + quat[1] + quat[2] + quat[3]) * 0 != 0:
        found |= NOT_FINITE_QUATS
    if not ((scale[0] + scale[1] + scale[2]) * 0 == 0 and min(scale[0], scale[1], scale[2]) >= 0):
        found |= BAD_SCALES
    if not (opacity >= 0 and opacity <= 1):
        found |= BAD_OPACITIES
    if (color[0] + color[1] + color[2]) * 0 != 0:
        found |= NOT_FINITE_COLORS
    return found


@kernel
def project(
    queues, worker, scratch, count, means, quats, scales, opacities, colors, per_camera,
    viewmats, Ks, width, height, near_plane, antialiased, band_rows, splats, wrong, capacities,
):  # fmt: skip
    """Write the record of every Gaussian in every camera; HALF_WIDTH is 0 where nothing can be seen.

    Args:
        queues: see `threads`; a task is `CHUNK` Gaussians in a camera.
        worker: see `threads`.
        scratch: not used.
        count: N.
        means: (N or C N, 3), and so on for the other four.
        quats: as above.
        scales: as above.
        opacities: as above.
        colors: as above.
        per_camera: (5,) 1 where the argument has a row for every camera, 0 where shared.
        viewmats: (C, 4, 4) float64.
        Ks: (C, 3, 3) float64.
        width: of the picture.
        height: of the picture.
        near_plane: in world units.
        antialiased: whether opacities make up for the blur.
        band_rows: rows of tiles in a band.
        splats: (C, N, SPLAT_SIZE), written.
        wrong: (tasks,) int64, written: bits for what is wrong with the input.
        capacities: (tasks, bands) int64, written: tiles under the splats' bounding boxes.
    """
    chunks = (count + CHUNK - 1) // CHUNK
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        c = task // chunks
        first = (task - c * chunks) * CHUNK
        wrong[task] = 0
        capacities[task] = 0
        for n in range(first, min(first + CHUNK, count)):
            i_mean, i_quat = n + c * count * per_camera[0], n + c * count * per_camera[1]
            i_scale, i_opacity = n + c * count * per_camera[2], n + c * count * per_camera[3]
            i_color = n + c * count * per_camera[4]
            out = splats[c, n]
            out[HALF_WIDTH] = 0.0
            found = _find_fault(
                means[i_mean], quats[i_quat], scales[i_scale], opacities[i_opacity], colors[i_color]
            )
            wrong[task] |= found
            if found == 0 and opacities[i_opacity] >= MIN_ALPHA:
                out[RED], out[GREEN], out[BLUE] = colors[i_color, 0], colors[i_color, 1], colors[i_color, 2]
                _project_one(
                    means[i_mean], quats[i_quat], scales[i_scale], np.float64(opacities[i_opacity]),
                    viewmats[c], Ks[c], width, height, near_plane, antialiased, band_rows, out,
                    capacities[task],
                )  # fmt: skip


@inline
def _project_one(
    mean, quat, scale, opacity, view, K, width, height, near_plane, antialiased, band_rows, out, pairs
):  # fmt: skip
    x, y, z = to_camera(mean, view)
    if not z >= near_plane:
        return
    jx, jxz, jy, jyz, _, _ = jacobian(x, y, z, K, width, height)
    u, v = jx * x + K[0, 2], jy * y + K[1, 2]
    if not (abs(u) <= _FAR and abs(v) <= _FAR):
        return
    qw, qx, qy, qz, _ = normalized(quat)
    m = rotation(qw, qx, qy, qz)
    w = view_axes(m, scale[0], scale[1], scale[2], view)
    a = jx * w[0] + jxz * w[6], jx * w[1] + jxz * w[7], jx * w[2] + jxz * w[8]
    b = jy * w[3] + jyz * w[6], jy * w[4] + jyz * w[7], jy * w[5] + jyz * w[8]
    xx, xy, yy, det, area = covariance(a, b)
    if antialiased:
        opacity *= math.sqrt(area / det)
        if not opacity >= MIN_ALPHA:
            return

    log_opacity = math.log(opacity)
    reach = 2 * (log_opacity - _LOG_MIN_ALPHA) * (1 + _REACH_SLACK) + _REACH_SLACK
    half_width, half_height = math.sqrt(reach * xx), math.sqrt(reach * yy)
    if _count_pairs(u, v, half_width, half_height, width, height, band_rows, pairs) == 0:
        return
    per_det, per_xx = 0.125 / det, 1 / xx
    out[U], out[V], out[DEPTH] = u, v, z
    out[POWER_XX], out[POWER_XY], out[POWER_YY] = -0.5 * yy * per_det, xy * per_det, -0.5 * xx * per_det
    out[LOG_OPACITY] = 0.125 * log_opacity
    out[HALF_WIDTH], out[HALF_HEIGHT] = min(half_width, _FAR), min(half_height, _FAR)
    out[SLOPE], out[ASPECT] = xy * per_xx, min(math.sqrt(det) * per_xx, _FAR)
    out[TOP_X] = xy * reach / half_height
