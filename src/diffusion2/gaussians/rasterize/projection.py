"""From Gaussians in the world to splats in the picture, and the gradients back.

EWA splatting (Zwicker et al., 2002) as in gsplat: the perspective projection is linearised at the
mean. With A = J R_view R(quat) diag(scales), the projected covariance is A Aᵀ + 0.3 I.
Computed in float64: the determinant of long thin Gaussians cancels badly in float32.
"""

import math

import numpy as np

from diffusion2.gaussians.rasterize.compile import (
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
    inline,
    kernel,
)
from diffusion2.gaussians.rasterize.rendering import COVARIANCE_BLUR, JACOBIAN_MARGIN, MIN_ALPHA
from diffusion2.gaussians.rasterize.simd import load, splat, store
from diffusion2.gaussians.rasterize.threads import take

CHUNK = 512
"""Gaussians in one task."""

NOT_FINITE_MEANS, NOT_FINITE_QUATS, BAD_SCALES, BAD_OPACITIES, NOT_FINITE_COLORS = 1, 2, 4, 8, 16
"""Bits that `project` sets for input it can't draw."""

# Slack on the ellipse's size so that rounding can't lose a pixel that is just inside.
_REACH_SLACK = 1e-3

# Pixels; beyond this float32 can't follow, and nothing of use can be drawn.
_FAR = 1e15


@inline
def _to_camera(mean, view):
    x, y, z = np.float64(mean[0]), np.float64(mean[1]), np.float64(mean[2])
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@inline
def _normalized(quat):
    """The quaternion divided by its length, and what it was multiplied by."""
    w, x, y, z = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    factor = 1 / max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    return w * factor, x * factor, y * factor, z * factor, factor


@inline
def _rotation(w, x, y, z):
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip


@inline
def _view_axes(m, s0, s1, s2, view):
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
def _dot(a, x, y, z):
    return a[0] * x + a[1] * y + a[2] * z


@inline
def _clamp(value, low, high):
    return min(max(value, low), high)


@inline
def _jacobian(x, y, z, K, width, height):
    """J's four entries that are not 0, and whether x / z and y / z were inside their bounds."""
    margin_x, margin_y, per_z = JACOBIAN_MARGIN * width, JACOBIAN_MARGIN * height, 1 / z
    jx, jy = K[0, 0] * per_z, K[1, 1] * per_z
    # Pixels from the principal point.
    u, v = jx * x, jy * y
    u_in = _clamp(u, -K[0, 2] - margin_x, width - K[0, 2] + margin_x)
    v_in = _clamp(v, -K[1, 2] - margin_y, height - K[1, 2] + margin_y)
    return jx, -u_in * per_z, jy, -v_in * per_z, u == u_in, v == v_in


@inline
def _covariance(a, b):
    """A Aᵀ + e I for rows a, b of A: xx, xy, yy, and the determinant.

    det = |a x b|² + e (|a|² + |b|²) + e²: a sum of squares, in which nothing cancels.
    """
    e = COVARIANCE_BLUR
    xx, yy = a[0] * a[0] + a[1] * a[1] + a[2] * a[2], b[0] * b[0] + b[1] * b[1] + b[2] * b[2]
    xy = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    p0, p1, p2 = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    return xx + e, xy, yy + e, p0 * p0 + p1 * p1 + p2 * p2 + e * (xx + yy) + e * e


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
def _check(means, quats, scales, opacities, colors, i_mean, i_quat, i_scale, i_opacity, i_color):
    found = 0
    for k in range(3):
        if not math.isfinite(means[i_mean, k]):
            found |= NOT_FINITE_MEANS
        if not (math.isfinite(scales[i_scale, k]) and scales[i_scale, k] >= 0):
            found |= BAD_SCALES
        if not math.isfinite(colors[i_color, k]):
            found |= NOT_FINITE_COLORS
    for k in range(4):
        if not math.isfinite(quats[i_quat, k]):
            found |= NOT_FINITE_QUATS
    if not (opacities[i_opacity] >= 0 and opacities[i_opacity] <= 1):
        found |= BAD_OPACITIES
    return found


@kernel
def project(
    queues, worker, count, means, quats, scales, opacities, colors, per_camera,
    viewmats, Ks, width, height, near_plane, band_rows, splats, wrong, capacities,
):  # fmt: skip
    """Write the record of every Gaussian in every camera; HALF_WIDTH is 0 where nothing can be seen.

    Args:
        queues: see `threads`; a task is `CHUNK` Gaussians in a camera.
        worker: see `threads`.
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
            found = _check(
                means, quats, scales, opacities, colors, i_mean, i_quat, i_scale, i_opacity, i_color
            )
            wrong[task] |= found
            if found == 0 and opacities[i_opacity] >= MIN_ALPHA:
                out[RED], out[GREEN], out[BLUE] = colors[i_color, 0], colors[i_color, 1], colors[i_color, 2]
                _project_one(
                    means[i_mean], quats[i_quat], scales[i_scale], np.float64(opacities[i_opacity]),
                    viewmats[c], Ks[c], width, height, near_plane, band_rows, out, capacities[task],
                )  # fmt: skip


@inline
def _project_one(
    mean, quat, scale, opacity, view, K, width, height, near_plane, band_rows, out, pairs
):  # fmt: skip
    x, y, z = _to_camera(mean, view)
    if not z >= near_plane:
        return
    u = K[0, 0] * x / z + K[0, 2]
    v = K[1, 1] * y / z + K[1, 2]
    if not (abs(u) <= _FAR and abs(v) <= _FAR):
        return
    qw, qx, qy, qz, _ = _normalized(quat)
    m = _rotation(qw, qx, qy, qz)
    w = _view_axes(m, scale[0], scale[1], scale[2], view)
    jx, jxz, jy, jyz, _, _ = _jacobian(x, y, z, K, width, height)
    a = jx * w[0] + jxz * w[6], jx * w[1] + jxz * w[7], jx * w[2] + jxz * w[8]
    b = jy * w[3] + jyz * w[6], jy * w[4] + jyz * w[7], jy * w[5] + jyz * w[8]
    xx, xy, yy, det = _covariance(a, b)

    reach = 2 * math.log(opacity / MIN_ALPHA) * (1 + _REACH_SLACK) + _REACH_SLACK
    half_width, half_height = math.sqrt(reach * xx), math.sqrt(reach * yy)
    if _count_pairs(u, v, half_width, half_height, width, height, band_rows, pairs) == 0:
        return
    scale_det = 0.125 / det
    out[U], out[V], out[DEPTH] = u, v, z
    out[POWER_XX], out[POWER_XY], out[POWER_YY] = -0.5 * yy * scale_det, xy * scale_det, -0.5 * xx * scale_det
    out[LOG_OPACITY] = 0.125 * math.log(opacity)
    out[HALF_WIDTH], out[HALF_HEIGHT] = min(half_width, _FAR), min(half_height, _FAR)
    slope = xy / xx
    out[SLOPE], out[ASPECT] = slope, min(math.sqrt(det) / xx, _FAR)
    out[TOP_X] = half_width * (xy / math.sqrt(xx * yy))


@inline
def _to_axes(a, b, conic, h):
    """Carry the gradient of log alpha's quadratic form back to the two rows of A.

    With C the inverse covariance and G = d loss / d C, d loss / d A = 2 H A for H = -C G C.

    Args:
        a: first row of A.
        b: second row of A.
        conic: C's xx, xy, yy.
        h: the sums of h dx², h dx dy, h dy².
    """
    cxx, cxy, cyy = conic
    gxx, gxy, gyy = -0.5 * h[0], -0.5 * h[1], -0.5 * h[2]
    txx, txy = gxx * cxx + gxy * cxy, gxx * cxy + gxy * cyy
    tyx, tyy = gxy * cxx + gyy * cxy, gxy * cxy + gyy * cyy
    hxx, hxy, hyy = -2 * (cxx * txx + cxy * tyx), -2 * (cxx * txy + cxy * tyy), -2 * (cxy * txy + cyy * tyy)
    return (
        (hxx * a[0] + hxy * b[0], hxx * a[1] + hxy * b[1], hxx * a[2] + hxy * b[2]),
        (hxy * a[0] + hyy * b[0], hxy * a[1] + hyy * b[1], hxy * a[2] + hyy * b[2]),
    )


@inline
def _quat_gradient(w, x, y, z, d):
    """Gradient of a unit quaternion from that of its rotation matrix (9 numbers, row by row)."""
    return (
        2 * (x * (d[7] - d[5]) + y * (d[2] - d[6]) + z * (d[3] - d[1])),
        2 * (w * (d[7] - d[5]) + y * (d[1] + d[3]) + z * (d[2] + d[6]) - 2 * x * (d[4] + d[8])),
        2 * (w * (d[2] - d[6]) + x * (d[1] + d[3]) + z * (d[5] + d[7]) - 2 * y * (d[0] + d[8])),
        2 * (w * (d[3] - d[1]) + x * (d[2] + d[6]) + y * (d[5] + d[7]) - 2 * z * (d[0] + d[4])),
    )


@inline
def _turn_back(view, x, y, z):
    """A vector of the camera in the axes of the world."""
    return (
        view[0, 0] * x + view[1, 0] * y + view[2, 0] * z,
        view[0, 1] * x + view[1, 1] * y + view[2, 1] * z,
        view[0, 2] * x + view[1, 2] * y + view[2, 2] * z,
    )


@kernel
def project_backward(
    queues, worker, count, means, quats, scales, opacities, per_camera, viewmats, Ks, width, height,
    spans, pair_grads, grad_means, grad_quats, grad_scales, grad_opacities, grad_colors, grad_means2d,
):  # fmt: skip
    """Add up the gradients of each Gaussian's pairs and carry them back to the inputs.

    Args:
        queues: see `threads`; a task is `CHUNK` Gaussians, in all cameras.
        worker: see `threads`.
        count: N.
        means: these and the next seven as given to `project`.
        quats: as above.
        scales: as above.
        opacities: as above.
        per_camera: as above.
        viewmats: as above.
        Ks: as above.
        width: as above.
        height: as above.
        spans: (C, bands, N, 2), see `binning.bin_splats`.
        pair_grads: (16 P,), see `blending.blend_backward`.
        grad_means: as means, all zero, written; and so on for the next four.
        grad_quats: as above.
        grad_scales: as above.
        grad_opacities: as above.
        grad_colors: as above.
        grad_means2d: (C, N, 2), all zero, written.
    """
    total = np.empty(16, dtype=np.float32)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        for n in range(task * CHUNK, min(task * CHUNK + CHUNK, count)):
            for c in range(len(viewmats)):
                if not _add_pairs(spans[c], n, pair_grads, total):
                    continue
                i_mean, i_quat = n + c * count * per_camera[0], n + c * count * per_camera[1]
                i_scale, i_opacity = n + c * count * per_camera[2], n + c * count * per_camera[3]
                i_color = n + c * count * per_camera[4]
                for k in range(3):
                    grad_colors[i_color, k] += total[6 + k]
                grad_opacities[i_opacity] += total[0] / opacities[i_opacity]
                _project_one_backward(
                    means[i_mean], quats[i_quat], scales[i_scale], viewmats[c], Ks[c], width, height, total,
                    grad_means[i_mean], grad_quats[i_quat], grad_scales[i_scale], grad_means2d[c, n],
                )  # fmt: skip


@inline
def _add_pairs(spans, n, pair_grads, total):
    """Write the sum of a Gaussian's pairs in one camera to `total`; says whether it has any."""
    sums, found = splat(np.float32(0)), False
    for band in range(len(spans)):
        first = spans[band, n, 0]
        for slot in range(first, first + spans[band, n, 1]):
            sums += load(pair_grads, slot * 16)
            found = True
    store(total, 0, sums)
    return found


@inline
def _project_one_backward(
    mean, quat, scale, view, K, width, height, total, grad_mean, grad_quat, grad_scale, grad_mean2d
):
    """Carry `total`, a Gaussian's gradients in one picture, back to its mean, rotation and scales."""
    x, y, z = _to_camera(mean, view)
    qw, qx, qy, qz, factor = _normalized(quat)
    m = _rotation(qw, qx, qy, qz)
    s0, s1, s2 = np.float64(scale[0]), np.float64(scale[1]), np.float64(scale[2])
    w = _view_axes(m, s0, s1, s2, view)
    jx, jxz, jy, jyz, free_x, free_y = _jacobian(x, y, z, K, width, height)
    a = jx * w[0] + jxz * w[6], jx * w[1] + jxz * w[7], jx * w[2] + jxz * w[8]
    b = jy * w[3] + jyz * w[6], jy * w[4] + jyz * w[7], jy * w[5] + jyz * w[8]
    xx, xy, yy, det = _covariance(a, b)
    per_det, per_z = 1 / det, 1 / z
    conic = yy * per_det, -xy * per_det, xx * per_det

    grad_u = conic[0] * total[1] + conic[1] * total[3]
    grad_v = conic[1] * total[1] + conic[2] * total[3]
    grad_mean2d[0], grad_mean2d[1] = grad_u, grad_v
    da, db = _to_axes(a, b, conic, (total[2], total[4], total[5]))

    # A = J W: to J (its four entries), and from there and from u, v, z to the point in the camera.
    d_jx, d_jxz = _dot(da, w[0], w[1], w[2]), _dot(da, w[6], w[7], w[8])
    d_jy, d_jyz = _dot(db, w[3], w[4], w[5]), _dot(db, w[6], w[7], w[8])
    # jxz is -fx x / z² where free, and -fx bound / z where x / z is at its bound.
    dx = jx * (grad_u - (d_jxz * per_z if free_x else 0.0))
    dy = jy * (grad_v - (d_jyz * per_z if free_y else 0.0))
    along_z = jx * (x * grad_u + d_jx) + jy * (y * grad_v + d_jy)
    along_z += d_jxz * jxz * (2.0 if free_x else 1.0) + d_jyz * jyz * (2.0 if free_y else 1.0)
    to_mean = _turn_back(view, dx, dy, total[9] - along_z * per_z)
    for k in range(3):
        grad_mean[k] += to_mean[k]

    # W = R_view M diag(scales): to the columns of M diag(scales), then to scales and rotation.
    c0 = _turn_back(view, jx * da[0], jy * db[0], jxz * da[0] + jyz * db[0])
    c1 = _turn_back(view, jx * da[1], jy * db[1], jxz * da[1] + jyz * db[1])
    c2 = _turn_back(view, jx * da[2], jy * db[2], jxz * da[2] + jyz * db[2])
    grad_scale[0] += _dot(c0, m[0], m[3], m[6])
    grad_scale[1] += _dot(c1, m[1], m[4], m[7])
    grad_scale[2] += _dot(c2, m[2], m[5], m[8])
    d = (
        c0[0] * s0, c1[0] * s1, c2[0] * s2,
        c0[1] * s0, c1[1] * s1, c2[1] * s2,
        c0[2] * s0, c1[2] * s1, c2[2] * s2,
    )  # fmt: skip
    g = _quat_gradient(qw, qx, qy, qz, d)
    along = g[0] * qw + g[1] * qx + g[2] * qy + g[3] * qz
    grad_quat[0] += (g[0] - along * qw) * factor
    grad_quat[1] += (g[1] - along * qx) * factor
    grad_quat[2] += (g[2] - along * qy) * factor
    grad_quat[3] += (g[3] - along * qz) * factor
