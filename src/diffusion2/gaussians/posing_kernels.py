"""Posing Gaussians, and the gradients, as kernels: see `posing` for what they compute."""

import math

import numpy as np

from diffusion2.kernels.compile import inline, kernel
from diffusion2.kernels.threads import take

CHUNK = 256
"""Gaussians or nodes in one task."""


@inline
def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inline
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline
def _blend(outputs, index, weights):
    """The weighted sum of some rows (of 6) of a moment's outputs: the shift, and the turn as a quaternion."""
    zero = np.float32(0)
    s0, s1, s2, r0, r1, r2 = zero, zero, zero, zero, zero, zero
    for j in range(len(index)):
        row, weight = outputs[index[j]], weights[j]
        s0 += weight * row[0]
        s1 += weight * row[1]
        s2 += weight * row[2]
        r0 += weight * row[3]
        r1 += weight * row[4]
        r2 += weight * row[5]
    squared = r0 * r0 + r1 * r1 + r2 * r2
    root = math.sqrt(np.float32(1) + squared)
    # 1 / root, which some processors only estimate; written so that no turn gives exactly 1
    w = np.float32(1) - squared / (root * (np.float32(1) + root))
    return (s0, s1, s2), w, (r0 * w, r1 * w, r2 * w)


@kernel
def pose_forward(
    queues, worker, scratch, outputs, of_picture, index, weights, means, quats, out_means, out_quats
):
    """Move and turn every Gaussian in every picture.

    Args:
        queues: see `threads`; a task is `CHUNK` Gaussians in a picture.
        worker: see `threads`.
        scratch: not used.
        outputs: (T, K, 6).
        of_picture: (B,) which moment each picture shows.
        index: (N, k) int32, nodes of each Gaussian.
        weights: (N, k), their weights.
        means: (N, 3).
        quats: (N, 4).
        out_means: (B, N, 3), written.
        out_quats: (B, N, 4), written.
    """
    count = len(means)
    chunks = (count + CHUNK - 1) // CHUNK
    two = np.float32(2)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        b, first = task // chunks, task % chunks * CHUNK
        moment = outputs[of_picture[b]]
        for n in range(first, min(first + CHUNK, count)):
            shift, w, v = _blend(moment, index[n], weights[n])
            x = means[n, 0], means[n, 1], means[n, 2]
            u = _cross(v, x)
            turned = _cross(v, (u[0] + w * x[0], u[1] + w * x[1], u[2] + w * x[2]))
            for i in range(3):
                out_means[b, n, i] = x[i] + two * turned[i] + shift[i]
            a, q = quats[n, 0], (quats[n, 1], quats[n, 2], quats[n, 3])
            c = _cross(v, q)
            out_quats[b, n, 0] = w * a - _dot(v, q)
            for i in range(3):
                out_quats[b, n, 1 + i] = w * q[i] + a * v[i] + c[i]


@kernel
def pose_backward(
    queues, worker, scratch, outputs, of_picture, gains, index, weights, means, quats, grad_out_means,
    grad_out_quats, grad_blended, grad_means, grad_quats,
):  # fmt: skip
    """Carry gradients back to the Gaussians, and to what was blended for each of them.

    Args:
        queues: see `threads`; a task is `CHUNK` Gaussians in all pictures.
        worker: see `threads`.
        scratch: not used.
        outputs: as in `pose_forward`, and so all up to quats but gains.
        of_picture: as above.
        gains: (B,) factors on what a picture's gradients say about the motion.
        index: as above.
        weights: as above.
        means: as above.
        quats: as above.
        grad_out_means: (B, N, 3).
        grad_out_quats: (B, N, 4).
        grad_blended: (B, N, 6), written.
        grad_means: (N, 3), written.
        grad_quats: (N, 4), written.
    """
    count = len(means)
    two = np.float32(2)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        for n in range(task * CHUNK, min(task * CHUNK + CHUNK, count)):
            x = means[n, 0], means[n, 1], means[n, 2]
            a, q = quats[n, 0], (quats[n, 1], quats[n, 2], quats[n, 3])
            for i in range(3):
                grad_means[n, i] = 0
            for i in range(4):
                grad_quats[n, i] = 0
            for b in range(len(of_picture)):
                _, w, v = _blend(outputs[of_picture[b]], index[n], weights[n])
                g = grad_out_means[b, n, 0], grad_out_means[b, n, 1], grad_out_means[b, n, 2]
                h, k = grad_out_quats[b, n, 0], (
                    grad_out_quats[b, n, 1], grad_out_quats[b, n, 2], grad_out_quats[b, n, 3],
                )  # fmt: skip
                # The turned mean is x + 2 w v × x + 2 v (v·x) - 2 x (v·v).
                vg, vx, vv, xg = _dot(v, g), _dot(v, x), _dot(v, v), _dot(x, g)
                gv, xxg = _cross(g, v), _cross(x, g)
                # The product with the Gaussian's own rotation (a, q) is (w a - v·q, w q + a v + v × q).
                kv, qk = _cross(k, v), _cross(q, k)
                by_w = two * _dot(v, xxg) + h * a + _dot(k, q)
                grad_quats[n, 0] += h * w + _dot(k, v)
                along = np.float32(0)
                for i in range(3):
                    grad_means[n, i] += g[i] + two * (vg * v[i] - vv * g[i] + w * gv[i])
                    grad_quats[n, 1 + i] += w * k[i] - h * v[i] + kv[i]
                    by_v = two * (vx * g[i] + vg * x[i] - two * xg * v[i] + w * xxg[i])
                    by_v += a * k[i] - h * q[i] + qk[i]
                    along += v[i] * by_v
                    grad_blended[b, n, i] = gains[b] * g[i]
                    grad_blended[b, n, 3 + i] = by_v
                # (w, v) is (1, r) / |(1, r)|, so v = w r.
                for i in range(3):
                    by_v = grad_blended[b, n, 3 + i]
                    grad_blended[b, n, 3 + i] = gains[b] * (w * by_v - v[i] * (w * w * by_w + w * along))


@kernel
def gather_nodes(queues, worker, scratch, of_picture, starts, members, weights, grad_blended, grad_outputs):
    """Add up at every node what was blended from it.

    Args:
        queues: see `threads`; a task is a node.
        worker: see `threads`.
        scratch: not used.
        of_picture: as in `pose_forward`.
        starts: (K + 1,) where a node's entries begin in the next two.
        members: (N k,) int32, the Gaussians that use a node.
        weights: (N k,) their weights of it.
        grad_blended: (B, N, 6).
        grad_outputs: (T, K, 6), all zero, written.
    """
    while True:
        node = take(queues, worker)
        if node < 0:
            break
        for b in range(len(of_picture)):
            blended, out = grad_blended[b], grad_outputs[of_picture[b], node]
            for entry in range(starts[node], starts[node + 1]):
                row, weight = blended[members[entry]], weights[entry]
                for i in range(6):
                    out[i] += weight * row[i]
