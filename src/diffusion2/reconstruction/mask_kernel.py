"""Growing regions of pixels, as a kernel."""

import numpy as np

from diffusion2.kernels.compile import kernel
from diffusion2.kernels.threads import take


@kernel
def grow_regions(queues, worker, scratch, within, grown):
    """Spread the seeds of masks through edges of pixels as far as they reach.

    Args:
        queues: see `threads`; a task is a mask.
        worker: see `threads`.
        scratch: (H W,), used as int32s: the pixels whose neighbours are still to be looked at.
        within: (B, H, W) uint8, 1 where it may spread.
        grown: (B, H, W) uint8, 1 at the seeds, which lie within; written.
    """
    todo = scratch.view(np.int32)
    height, width = within.shape[1], within.shape[2]
    while True:
        b = take(queues, worker)
        if b < 0:
            break
        free, reached, count = within[b], grown[b], 0
        for y in range(height):
            for x in range(width):
                if reached[y, x]:
                    todo[count] = y * width + x
                    count += 1
        while count > 0:
            count -= 1
            y, x = todo[count] // width, todo[count] % width
            if y > 0 and free[y - 1, x] and not reached[y - 1, x]:
                reached[y - 1, x] = 1
                todo[count] = (y - 1) * width + x
                count += 1
            if y < height - 1 and free[y + 1, x] and not reached[y + 1, x]:
                reached[y + 1, x] = 1
                todo[count] = (y + 1) * width + x
                count += 1
            if x > 0 and free[y, x - 1] and not reached[y, x - 1]:
                reached[y, x - 1] = 1
                todo[count] = y * width + x - 1
                count += 1
            if x < width - 1 and free[y, x + 1] and not reached[y, x + 1]:
                reached[y, x + 1] = 1
                todo[count] = y * width + x + 1
                count += 1
