"""From Gaussians in the world to splats in the picture, and the gradients back.

EWA splatting (Zwicker et al., 2002) as in gsplat: the perspective projection is linearised at the
mean. With A = J R_view R(quat) diag(scales), the projected covariance is A Aᵀ + 0.3 I.
Computed in float64: the determinant of long thin Gaussians cancels badly in float32.
"""

import math

import numpy as np

from diffusion2.gaussians.rasterize.compile import (
    BLUE,
    DEPTH,
    GIVEN_X_VARIANCE,
    GREEN,
    HALF_WIDTH,
    INVERSE_VARIANCE,
    LOG_OPACITY,
    POWER_XX,
    POWER_XY,
    POWER_YY,
    REACH,
    RED,
    SLOPE,
    TILE,
    TOP_X,
    U,
    V,
    kernel,
)
from diffusion2.gaussians.rasterize.rendering import COVARIANCE_BLUR, JACOBIAN_MARGIN, MIN_ALPHA
from diffusion2.gaussians.rasterize.threads import take

CHUNK = 512
"""Gaussians in one task."""

NOT_FINITE_MEANS, NOT_FINITE_QUATS, BAD_SCALES, BAD_OPACITIES, NOT_FINITE_COLORS = 1, 2, 4, 8, 16
"""Bits that `project` sets for input it can't draw."""

# Slack on the ellipse's size so that rounding can't lose a pixel that is just inside.
_REACH_SLACK = 1e-3

# Pixels; beyond this float32 can't follow, and nothing of use can be drawn.
_FAR = 1e15


@kernel
def _rotation(w, x, y, z):
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip


@kernel
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


@kernel
def _clamp(value, low, high):
    return min(max(value, low), high)


@kernel
def _jacobian(x, y, z, K, width, height):
    """J's four entries that are not 0, and whether x / z and y / z were inside their bounds."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = JACOBIAN_MARGIN * width / fx, JACOBIAN_MARGIN * height / fy
    u, v = x / z, y / z
    u_in = _clamp(u, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    v_in = _clamp(v, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    return fx / z, -fx * u_in / z, fy / z, -fy * v_in / z, u == u_in, v == v_in


@kernel
def _covariance(a, b):
    """A Aᵀ + e I for rows a, b of A: xx, xy, yy, and the determinant.

    det = |a x b|² + e (|a|² + |b|²) + e²: a sum of squares, in which nothing cancels.
    """
    e = COVARIANCE_BLUR
    xx, yy = a[0] * a[0] + a[1] * a[1] + a[2] * a[2], b[0] * b[0] + b[1] * b[1] + b[2] * b[2]
    xy = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    p0, p1, p2 = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    return xx + e, xy, yy + e, p0 * p0 + p1 * p1 + p2 * p2 + e * (xx + yy) + e * e


@kernel
def _tiles_over(centre, reach, size):
    """How many tiles centre ± reach (and a pixel more) can touch along one side of the picture."""
    first = math.floor(_clamp(centre - reach - 1.5, 0.0, np.float64(size)))
    last = math.floor(_clamp(centre + reach + 0.5, -1.0, np.float64(size - 1)))
    return max(np.int64(last) // TILE - np.int64(first) // TILE + 1, 0) if last >= first else 0


@kernel
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
    counter, tasks, count, means, quats, scales, opacities, colors, per_camera,
    viewmats, Ks, width, height, near_plane, splats, status,
):  # fmt: skip
    """Write the record of every Gaussian in every camera; HALF_WIDTH is 0 where nothing can be seen.

    Args:
        counter: see `threads`.
        tasks: chunks of `CHUNK` Gaussians, camera after camera.
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
        splats: (C, N, SPLAT_SIZE), written.
        status: (tasks, 2) int64, written: bits for what is wrong with the input, and the number of
            tiles under the splats' bounding boxes.
    """
    chunks = (count + CHUNK - 1) // CHUNK
    while True:
        task = take(counter)
        if task >= tasks:
            break
        c = task // chunks
        first = (task - c * chunks) * CHUNK
        view, K = viewmats[c], Ks[c]
        found, capacity = 0, 0
        for n in range(first, min(first + CHUNK, count)):
            i_mean, i_quat = n + c * count * per_camera[0], n + c * count * per_camera[1]
            i_scale, i_opacity = n + c * count * per_camera[2], n + c * count * per_camera[3]
            i_color = n + c * count * per_camera[4]
            out = splats[c, n]
            out[HALF_WIDTH] = 0.0
            wrong = _check(
                means, quats, scales, opacities, colors, i_mean, i_quat, i_scale, i_opacity, i_color
            )
            found |= wrong
            opacity = np.float64(opacities[i_opacity])
            if wrong != 0 or opacity < MIN_ALPHA:
                continue
            mx, my, mz = (
                np.float64(means[i_mean, 0]),
                np.float64(means[i_mean, 1]),
                np.float64(means[i_mean, 2]),
            )
            z = view[2, 0] * mx + view[2, 1] * my + view[2, 2] * mz + view[2, 3]
            if not z >= near_plane:
                continue
            x = view[0, 0] * mx + view[0, 1] * my + view[0, 2] * mz + view[0, 3]
            y = view[1, 0] * mx + view[1, 1] * my + view[1, 2] * mz + view[1, 3]
            u = K[0, 0] * x / z + K[0, 2]
            v = K[1, 1] * y / z + K[1, 2]

            qw, qx, qy, qz = (
                np.float64(quats[i_quat, 0]), np.float64(quats[i_quat, 1]),
                np.float64(quats[i_quat, 2]), np.float64(quats[i_quat, 3]),
            )  # fmt: skip
            length = max(math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz), 1e-12)
            m = _rotation(qw / length, qx / length, qy / length, qz / length)
            axes = _view_axes(m, scales[i_scale, 0], scales[i_scale, 1], scales[i_scale, 2], view)
            jx, jxz, jy, jyz, _, _ = _jacobian(x, y, z, K, width, height)
            a0, a1, a2 = (
                jx * axes[0] + jxz * axes[6],
                jx * axes[1] + jxz * axes[7],
                jx * axes[2] + jxz * axes[8],
            )
            b0, b1, b2 = (
                jy * axes[3] + jyz * axes[6],
                jy * axes[4] + jyz * axes[7],
                jy * axes[5] + jyz * axes[8],
            )
            xx, xy, yy, det = _covariance((a0, a1, a2), (b0, b1, b2))

            reach = 2 * math.log(opacity / MIN_ALPHA) * (1 + _REACH_SLACK) + _REACH_SLACK
            half_width, half_height = math.sqrt(reach * xx), math.sqrt(reach * yy)
            rect = _tiles_over(u, half_width, width) * _tiles_over(v, half_height, height)
            if rect == 0 or not (abs(u) <= _FAR and abs(v) <= _FAR):
                continue
            capacity += rect
            out[U], out[V], out[DEPTH] = u, v, z
            out[POWER_XX], out[POWER_XY], out[POWER_YY] = -yy / det / 16, xy / det / 8, -xx / det / 16
            out[LOG_OPACITY] = math.log(opacity) / 8
            out[RED], out[GREEN], out[BLUE] = colors[i_color, 0], colors[i_color, 1], colors[i_color, 2]
            out[REACH], out[INVERSE_VARIANCE], out[GIVEN_X_VARIANCE] = reach, 1 / xx, min(det / xx, _FAR)
            out[SLOPE], out[TOP_X], out[HALF_WIDTH] = (
                xy / xx,
                xy * math.sqrt(reach / yy),
                min(half_width, _FAR),
            )
        status[task, 0], status[task, 1] = found, capacity


@kernel
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


@kernel
def _quat_gradient(w, x, y, z, d):
    """Gradient of a unit quaternion from that of its rotation matrix (9 numbers, row by row)."""
    return (
        2 * (x * (d[7] - d[5]) + y * (d[2] - d[6]) + z * (d[3] - d[1])),
        2 * (w * (d[7] - d[5]) + y * (d[1] + d[3]) + z * (d[2] + d[6]) - 2 * x * (d[4] + d[8])),
        2 * (w * (d[2] - d[6]) + x * (d[1] + d[3]) + z * (d[5] + d[7]) - 2 * y * (d[0] + d[8])),
        2 * (w * (d[3] - d[1]) + x * (d[2] + d[6]) + y * (d[5] + d[7]) - 2 * z * (d[0] + d[4])),
    )


@kernel
def project_backward(
    counter, tasks, count, means, quats, scales, opacities, per_camera, viewmats, Ks, width, height,
    spans, pair_grads, grad_means, grad_quats, grad_scales, grad_opacities, grad_colors, grad_means2d,
):  # fmt: skip
    """Add up the gradients of each Gaussian's pairs and carry them back to the inputs.

    Args:
        counter: see `threads`.
        tasks: chunks of `CHUNK` Gaussians; a task does all cameras of its Gaussians.
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
        spans: (C, N, 2), see `binning.bin_splats`.
        pair_grads: (P, 16), see `blending.blend_backward`.
        grad_means: as means, all zero, written; and so on for the next four.
        grad_quats: as above.
        grad_scales: as above.
        grad_opacities: as above.
        grad_colors: as above.
        grad_means2d: (C, N, 2), all zero, written.
    """
    total = np.empty(16, dtype=np.float64)
    while True:
        task = take(counter)
        if task >= tasks:
            break
        for n in range(task * CHUNK, min(task * CHUNK + CHUNK, count)):
            for c in range(len(viewmats)):
                first, pairs = spans[c, n, 0], spans[c, n, 1]
                if pairs == 0:
                    continue
                total[:] = 0
                for slot in range(first, first + pairs):
                    for k in range(10):
                        total[k] += pair_grads[slot, k]
                i_mean, i_quat = n + c * count * per_camera[0], n + c * count * per_camera[1]
                i_scale, i_opacity = n + c * count * per_camera[2], n + c * count * per_camera[3]
                i_color = n + c * count * per_camera[4]
                for k in range(3):
                    grad_colors[i_color, k] += total[6 + k]
                grad_opacities[i_opacity] += total[0] / opacities[i_opacity]
                _one_backward(
                    means[i_mean], quats[i_quat], scales[i_scale], viewmats[c], Ks[c], width, height, total,
                    grad_means[i_mean], grad_quats[i_quat], grad_scales[i_scale], grad_means2d[c, n],
                )  # fmt: skip


@kernel
def _one_backward(
    mean, quat, scale, view, K, width, height, total, grad_mean, grad_quat, grad_scale, grad_mean2d
):
    """Carry `total`, a Gaussian's gradients in one picture, back to its mean, rotation and scales."""
    mx, my, mz = np.float64(mean[0]), np.float64(mean[1]), np.float64(mean[2])
    x = view[0, 0] * mx + view[0, 1] * my + view[0, 2] * mz + view[0, 3]
    y = view[1, 0] * mx + view[1, 1] * my + view[1, 2] * mz + view[1, 3]
    z = view[2, 0] * mx + view[2, 1] * my + view[2, 2] * mz + view[2, 3]
    qw, qx, qy, qz = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    length = max(math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz), 1e-12)
    qw, qx, qy, qz = qw / length, qx / length, qy / length, qz / length
    m = _rotation(qw, qx, qy, qz)
    w = _view_axes(m, scale[0], scale[1], scale[2], view)
    jx, jxz, jy, jyz, free_x, free_y = _jacobian(x, y, z, K, width, height)
    a = jx * w[0] + jxz * w[6], jx * w[1] + jxz * w[7], jx * w[2] + jxz * w[8]
    b = jy * w[3] + jyz * w[6], jy * w[4] + jyz * w[7], jy * w[5] + jyz * w[8]
    xx, xy, yy, det = _covariance(a, b)
    conic = yy / det, -xy / det, xx / det

    grad_u = conic[0] * total[1] + conic[1] * total[3]
    grad_v = conic[1] * total[1] + conic[2] * total[3]
    grad_mean2d[0], grad_mean2d[1] = grad_u, grad_v
    da, db = _to_axes(a, b, conic, (total[2], total[4], total[5]))

    # A = J W: to J (its four entries), and from there and from u, v, z to the point in the camera.
    d_jx, d_jxz, d_jy, d_jyz = 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        d_jx += da[k] * w[k]
        d_jxz += da[k] * w[6 + k]
        d_jy += db[k] * w[3 + k]
        d_jyz += db[k] * w[6 + k]
    dx, dy = jx * grad_u, jy * grad_v
    dz = total[9] - (jx * x * grad_u + jy * y * grad_v) / z - (d_jx * jx + d_jy * jy) / z
    # jxz is -fx x / z² where free, and -fx bound / z where x / z is at its bound.
    dx -= d_jxz * jx / z if free_x else 0.0
    dy -= d_jyz * jy / z if free_y else 0.0
    dz -= d_jxz * jxz / z * (2 if free_x else 1) + d_jyz * jyz / z * (2 if free_y else 1)
    for k in range(3):
        grad_mean[k] += view[0, k] * dx + view[1, k] * dy + view[2, k] * dz

    # W = R_view M diag(scales): to the columns of M (d is 3 x 3, row by row), scales and rotation.
    d = np.empty(9, dtype=np.float64)
    for k in range(3):
        d0, d1, d2 = jx * da[k], jy * db[k], jxz * da[k] + jyz * db[k]
        to_scale = 0.0
        for row in range(3):
            value = view[0, row] * d0 + view[1, row] * d1 + view[2, row] * d2
            to_scale += value * m[3 * row + k]
            d[3 * row + k] = value * scale[k]
        grad_scale[k] += to_scale
    g = _quat_gradient(qw, qx, qy, qz, d)
    along = g[0] * qw + g[1] * qx + g[2] * qy + g[3] * qz
    grad_quat[0] += (g[0] - along * qw) / length
    grad_quat[1] += (g[1] - along * qx) / length
    grad_quat[2] += (g[2] - along * qy) / length
    grad_quat[3] += (g[3] - along * qz) / length
