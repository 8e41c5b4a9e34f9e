"""Loading an asset from wherever it is."""

from pathlib import Path

from diffusion2.errors import AssetFormatError
from diffusion2.gaussians.asset import Asset4D
from diffusion2.runs.run_folder import RunFolder


def load_asset(path: str | Path) -> Asset4D:
    """Load an asset from its file or from the folder of its run.

    Raises:
        AssetFormatError: there is none, or it can't be read.
    """
    path = Path(path)
    if path.is_dir():
        if not RunFolder(path).asset_path.is_file():
            raise AssetFormatError(
                f"there is no asset.safetensors in {path}: run diffusion2 reconstruct on it"
            )
        path = RunFolder(path).asset_path
    return Asset4D.load(path)
