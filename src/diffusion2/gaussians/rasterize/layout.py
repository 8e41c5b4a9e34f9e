"""What the rasteriser's kernels share: the record of a Gaussian, the blocks and tiles of a picture."""

SPLAT_SIZE = 16
"""Floats in the record of one Gaussian as one camera sees it: one cache line."""

# Where they stand in the record. alpha at (dx, dy) from the mean is exp(8 t) with
# t = LOG_OPACITY + POWER_XX dx² + POWER_XY dx dy + POWER_YY dy².
U, V, POWER_XX, POWER_XY, POWER_YY, LOG_OPACITY, RED, GREEN, BLUE, DEPTH = range(10)
# The ellipse inside which alpha is at least 1/255: see `binning._rows_between`.
HALF_WIDTH, HALF_HEIGHT, SLOPE, ASPECT, TOP_X = range(10, 15)

BLOCK = 4
"""Pixels are drawn in blocks of BLOCK x BLOCK, one `Vec16`, lane = 4 y + x. A round Gaussian touches fewer
of them than of any other shape with 16 pixels."""

TILE_COLUMNS, TILE_ROWS = 8, 8
"""Blocks across and down a tile. The blocks a Gaussian touches in a tile are bits of an int64: block
(column, row) is bit TILE_ROWS column + row."""

TILE_WIDTH, TILE_HEIGHT = BLOCK * TILE_COLUMNS, BLOCK * TILE_ROWS
"""In pixels."""


def count_tiles(width: int, height: int) -> tuple[int, int]:
    """Return the tiles across and down a picture."""
    return -(-width // TILE_WIDTH), -(-height // TILE_HEIGHT)
