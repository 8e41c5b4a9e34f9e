"""Models of other formats than glTF: OBJ, PLY and STL, and trained Gaussians."""
