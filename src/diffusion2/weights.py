"""Which weights there are, which are missing, and which preset can run. Imports nothing heavy."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from diffusion2.errors import WeightsError

MINI_VARIABLE = "DIFFUSION2_MINI_WEIGHTS"
MINI_PARTS = ("vae", "video", "multiview")


@dataclass(frozen=True)
class WeightsEntry:
    """One network's weights.

    Attributes:
        pair: the pair of priors it belongs to.
        name: the network.
        licence: under which licence it comes.
        source: where it comes from.
        files: its files that are here; empty where it is missing.
    """

    pair: str
    name: str
    licence: str
    source: str
    files: tuple[Path, ...] = ()

    @property
    def megabytes(self) -> float:
        """Size of its files in MB."""
        return sum(path.stat().st_size for path in self.files) / 1e6


def mini_folder() -> Path:
    """Give the folder of the mini pair: the environment's, else the package's."""
    given = os.environ.get(MINI_VARIABLE)
    return Path(given) if given else Path(__file__).parent / "priors" / "mini_weights"


def list_weights() -> list[WeightsEntry]:
    """List all networks that a preset may need, with the files that are here."""
    mini = [
        WeightsEntry(
            "mini",
            part,
            "Apache-2.0",
            str(mini_folder() / part),
            tuple(sorted((mini_folder() / part).glob("*.safetensors"))),
        )
        for part in MINI_PARTS
    ]
    full = [
        WeightsEntry("svd-sv3d", "video (SVD-XT)", "Stability AI", "stable-video-diffusion-img2vid-xt"),
        WeightsEntry("svd-sv3d", "multiview (SV3D_p)", "Stability AI", "sv3d"),
    ]
    return mini + full


def check_available(pair: str) -> None:
    """Refuse a pair whose weights are missing.

    Raises:
        WeightsError: names the networks that are missing and what to do.
    """
    if pair == "svd-sv3d":
        raise WeightsError(
            "the full-size pair (SVD-XT with SV3D_p) is not part of this package and this version can't load "
            "it yet: use --preset mini"
        )
    missing = [entry for entry in list_weights() if entry.pair == pair and not entry.files]
    if missing:
        names = ", ".join(entry.name for entry in missing)
        raise WeightsError(
            f"weights of the {pair} pair are missing: {names} in {mini_folder()}: install the package with "
            f"its weights, or set {MINI_VARIABLE} to a folder that has vae/, video/ and multiview/"
        )


def choose_preset() -> tuple[str, str]:
    """Choose the preset that this machine can run: (name, why)."""
    return "mini", "the weights of the full-size pair are not here"


def weights_hashes(pair: str) -> dict[str, str]:
    """Give the sha256 of every file of a pair's weights, by network and file name."""
    hashes = {}
    for entry in list_weights():
        if entry.pair == pair:
            for path in entry.files:
                with path.open("rb") as file:
                    hashes[f"{entry.name}/{path.name}"] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
