"""Noise that belongs to a cell of the matrix, whoever computes it, and in whichever order."""

import numpy as np
import torch
from torch import Tensor

MATRIX, REFERENCE_VIDEO, REFERENCE_VIEWS = range(3)
"""Streams: what the noise is for. Different streams of one seed are independent."""


class CellNoise:
    """Unit Gaussian noise as a function of (seed, stream, view, frame, draw) alone.

    A counter-based generator (Philox) is keyed by the seed and the stream; view, frame and draw are its
    counter. So batch size, order and number of processes don't change which noise a cell gets, and neither
    does the number of views and frames.

    Args:
        seed: 0 <= seed < 2^64.
        shape: (V, F, C, h, w).
        stream: `MATRIX`, `REFERENCE_VIDEO` or `REFERENCE_VIEWS`.
    """

    def __init__(self, seed: int, shape: tuple[int, int, int, int, int], stream: int = MATRIX) -> None:
        self.seed, self.shape, self.stream = seed, shape, stream

    def __call__(self, draw: int) -> Tensor:
        """Draw the noise of the whole matrix, (V, F, C, h, w) float32. Draw 0 is where sampling starts."""
        out = np.empty(self.shape, np.float32)
        for view in range(self.shape[0]):
            for frame in range(self.shape[1]):
                out[view, frame] = self.cell(view, frame, draw)
        return torch.from_numpy(out)

    def cell(self, view: int, frame: int, draw: int) -> np.ndarray:
        """Draw one cell's noise, (C, h, w) float32."""
        # the lowest word counts on within a cell: 2^64 blocks of four numbers, never into another cell
        counter = np.array([0, view, frame, draw], np.uint64)
        bits = np.random.Philox(key=np.array([self.seed, self.stream], np.uint64), counter=counter)
        return np.random.Generator(bits).standard_normal(self.shape[2:], dtype=np.float32)
