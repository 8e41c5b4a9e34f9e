"""From the gradients of splats back to those of the Gaussians.

The reverse of `projection`, whose steps are done again here: cheaper than keeping them.
"""

import numpy as np

from diffusion2.gaussians.rasterize.projection import (
    CHUNK,
    covariance,
    jacobian,
    normalized,
    rotation,
    to_camera,
    view_axes,
)
from diffusion2.kernels.compile import inline, kernel
from diffusion2.kernels.simd import load, splat, store
from diffusion2.kernels.threads import take


@inline
def _dot(a, x, y, z):
    return a[0] * x + a[1] * y + a[2] * z


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
def _add_to_axes(a, b, conic, area, h, da, db):
    """Add what the two rows of A gain by the factor sqrt(det A Aᵀ / det C⁻¹) on the opacity.

    The derivative of log det A Aᵀ by A is 2 (A Aᵀ)⁻¹ A, and with the blur 2 C A; h is d loss / d log alpha.
    """
    xx, xy, yy = _dot(a, a[0], a[1], a[2]), _dot(a, b[0], b[1], b[2]), _dot(b, b[0], b[1], b[2])
    per_area = h / area
    p, q, r = yy * per_area - h * conic[0], -xy * per_area - h * conic[1], xx * per_area - h * conic[2]
    return (
        (da[0] + p * a[0] + q * b[0], da[1] + p * a[1] + q * b[1], da[2] + p * a[2] + q * b[2]),
        (db[0] + q * a[0] + r * b[0], db[1] + q * a[1] + r * b[1], db[2] + q * a[2] + r * b[2]),
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
    queues, worker, scratch, count, means, quats, scales, opacities, per_camera, viewmats, Ks, width, height,
    antialiased, spans, pair_grads, grad_means, grad_quats, grad_scales, grad_opacities, grad_colors,
):  # fmt: skip
    """Add up the gradients of each Gaussian's pairs and carry them back to the inputs.

    Args:
        queues: see `threads`; a task is `CHUNK` Gaussians, in all cameras.
        worker: see `threads`.
        scratch: (16,).
        count: N.
        means: these and the next eight as given to `project`.
        quats: as above.
        scales: as above.
        opacities: as above.
        per_camera: as above.
        viewmats: as above.
        Ks: as above.
        width: as above.
        height: as above.
        antialiased: as above.
        spans: (C, bands, N, 2), see `binning.bin_splats`.
        pair_grads: (16 P,), see `blending.blend_backward`.
        grad_means: as means, all zero, written; and so on for the next four.
        grad_quats: as above.
        grad_scales: as above.
        grad_opacities: as above.
        grad_colors: as above.
    """
    total = scratch[:16]
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
                    means[i_mean], quats[i_quat], scales[i_scale], viewmats[c], Ks[c], width, height,
                    antialiased, total, grad_means[i_mean], grad_quats[i_quat], grad_scales[i_scale],
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
    mean, quat, scale, view, K, width, height, antialiased, total, grad_mean, grad_quat, grad_scale,
):  # fmt: skip
    """Carry `total`, a Gaussian's gradients in one picture, back to its mean, rotation and scales."""
    x, y, z = to_camera(mean, view)
    qw, qx, qy, qz, factor = normalized(quat)
    m = rotation(qw, qx, qy, qz)
    s0, s1, s2 = np.float64(scale[0]), np.float64(scale[1]), np.float64(scale[2])
    w = view_axes(m, s0, s1, s2, view)
    jx, jxz, jy, jyz, free_x, free_y = jacobian(x, y, z, K, width, height)
    a = jx * w[0] + jxz * w[6], jx * w[1] + jxz * w[7], jx * w[2] + jxz * w[8]
    b = jy * w[3] + jyz * w[6], jy * w[4] + jyz * w[7], jy * w[5] + jyz * w[8]
    xx, xy, yy, det, area = covariance(a, b)
    per_det, per_z = 1 / det, 1 / z
    conic = yy * per_det, -xy * per_det, xx * per_det

    grad_u = conic[0] * total[1] + conic[1] * total[3]
    grad_v = conic[1] * total[1] + conic[2] * total[3]
    da, db = _to_axes(a, b, conic, (total[2], total[4], total[5]))
    if antialiased:
        da, db = _add_to_axes(a, b, conic, area, np.float64(total[0]), da, db)

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
