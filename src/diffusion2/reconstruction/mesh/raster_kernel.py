"""Which triangle is seen at every pixel, as a kernel."""

import numpy as np

from diffusion2.kernels.compile import kernel
from diffusion2.kernels.threads import take

BAND = 16
"""Rows in one task."""


@kernel
def find_triangles(queues, worker, scratch, points, depths, triangles, found, shares, nearest):
    """Write the nearest triangle at every pixel's centre, and its corners' shares there.

    Args:
        queues: see `threads`; a task is `BAND` rows.
        worker: see `threads`.
        scratch: not used.
        points: (P, 2) places in pixels.
        depths: (P,) camera z; triangles with a corner at 0 or less are not drawn.
        triangles: (T, 3) int64.
        found: (H, W) int64, written; -1 where there is none.
        shares: (H, W, 3), written: barycentric coordinates in space, not in the picture.
        nearest: (H, W), written: 1 / depth of the nearest triangle, 0 where there is none.
    """
    height, width = found.shape
    zero, one = np.float32(0), np.float32(1)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        top, bottom = task * BAND, min(task * BAND + BAND, height)
        found[top:bottom] = -1
        nearest[top:bottom] = 0
        shares[top:bottom] = 0
        for t in range(len(triangles)):
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            if min(depths[a], depths[b], depths[c]) <= zero:
                continue
            ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
            cx, cy = points[c, 0], points[c, 1]
            low, high = min(ay, by, cy), max(ay, by, cy)
            if high < top or low > bottom:
                continue
            area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
            if area == 0:
                continue
            per_area = one / area
            first_row = max(top, np.int64(np.ceil(max(low, np.float32(-1)) - 0.5)))
            last_row = min(bottom - 1, np.int64(np.floor(min(high, np.float32(height)) - 0.5)))
            left, right = min(ax, bx, cx), max(ax, bx, cx)
            first = max(0, np.int64(np.ceil(max(left, np.float32(-1)) - 0.5)))
            last = min(width - 1, np.int64(np.floor(min(right, np.float32(width)) - 0.5)))
            per_a, per_b, per_c = one / depths[a], one / depths[b], one / depths[c]
            for y in range(first_row, last_row + 1):
                py = np.float32(y + 0.5)
                for x in range(first, last + 1):
                    px = np.float32(x + 0.5)
                    v = ((px - ax) * (cy - ay) - (cx - ax) * (py - ay)) * per_area
                    w = ((bx - ax) * (py - ay) - (px - ax) * (by - ay)) * per_area
                    u = one - v - w
                    if u < zero or v < zero or w < zero:
                        continue
                    u, v, w = u * per_a, v * per_b, w * per_c
                    total = u + v + w
                    if total > nearest[y, x]:
                        nearest[y, x], found[y, x] = total, t
                        shares[y, x, 0], shares[y, x, 1], shares[y, x, 2] = u / total, v / total, w / total
