"""The moving asset: canonical Gaussians, how they move, and its file."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.errors import AssetFormatError, ExportError, InputError, in_one_line
from diffusion2.gaussians.deformation import DeformationField, DeformationSettings
from diffusion2.gaussians.gaussians import Gaussians, shapes_of
from diffusion2.gaussians.metadata import AssetMetadata
from diffusion2.gaussians.posing import Posed
from diffusion2.quaternions import multiply_quats
from diffusion2.runs.atomic_tensors import hash_tensors, save_tensors

FORMAT = "diffusion2 asset"
FORMAT_VERSION = 1
_GAUSSIANS, _DEFORMATION = "gaussians.", "deformation."


@dataclass(frozen=True)
class Asset4D:
    """A moving 3D object.

    Attributes:
        gaussians: the canonical Gaussians, which the deformation moves.
        deformation: the field that moves them; None for a static object.
        metadata: its speed, its reference view, and more; written as JSON.
    """

    gaussians: Gaussians
    deformation: DeformationField | None = None
    metadata: AssetMetadata = AssetMetadata()

    def __post_init__(self) -> None:
        """Refuse metadata that are a plain table, which nothing has checked."""
        if not isinstance(self.metadata, AssetMetadata):
            raise InputError(f"an asset's metadata are AssetMetadata, not {type(self.metadata).__name__}")

    def at(self, time: float) -> Gaussians:
        """Return the Gaussians at a time in [0, 1], in the same order at every time.

        Raises:
            InputError: when the time lies outside [0, 1].
        """
        with torch.no_grad():
            posed = self.move([time]).pick(0)
        still = self.gaussians
        log_scales = still.log_scales if posed.growths is None else still.log_scales + posed.growths
        return replace(still, means=posed.means, quats=posed.quats, log_scales=log_scales)

    def move(self, times: Tensor | list[float]) -> Posed:
        """Pose the Gaussians at T times in [0, 1]; differentiable.

        Raises:
            InputError: when a time lies outside [0, 1].
        """
        moments = torch.as_tensor(times, dtype=self.gaussians.means.dtype)
        if not bool(((moments >= 0) & (moments <= 1)).all()):
            raise InputError(f"a time lies in [0, 1], not {moments.tolist()}: divide seconds by the length")
        return deform(self.gaussians, self.deformation, moments)

    def save(self, path: str | Path) -> None:
        """Write `asset.safetensors`: the whole file or nothing.

        Raises:
            ExportError: when the file can't be written.
        """
        path = Path(path)
        tensors = _flatten(self)
        header = {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            "checksum": hash_tensors(tensors),
            "metadata": json.dumps(self.metadata.to_dict()),
        }
        if self.deformation is not None:
            header["deformation"] = json.dumps(asdict(self.deformation.settings))
        try:
            save_tensors(path, tensors, header)
        except OSError as error:
            raise ExportError(f"{path}: the asset could not be written: {in_one_line(error)}") from error

    @staticmethod
    def load(path: str | Path) -> "Asset4D":
        """Read what `save` wrote.

        Raises:
            AssetFormatError: when there is no such file, when it isn't an asset, is damaged, or was written
                in a newer format.
        """
        header, tensors = _read(Path(path))
        try:
            return _unflatten(header, tensors)
        except (AssetFormatError, InputError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise AssetFormatError(
                f"{path}: not an asset this version can read: {in_one_line(error)}"
            ) from error


def deform(gaussians: Gaussians, deformation: DeformationField | None, times: Tensor) -> Posed:
    """Pose the Gaussians at (T,) times; differentiable."""
    if deformation is None:
        count = len(times)
        return Posed(gaussians.means.expand(count, -1, -1), gaussians.quats.expand(count, -1, -1))
    motion = deformation(gaussians.means, times)
    quats = multiply_quats(motion.rotations, gaussians.quats)
    return Posed(gaussians.means + motion.translations, quats, motion.growths)


def _flatten(asset: Asset4D) -> dict[str, Tensor]:
    tensors = {_GAUSSIANS + name: tensor for name, tensor in asset.gaussians.tensors().items()}
    if asset.deformation is not None:
        tensors |= {_DEFORMATION + name: tensor for name, tensor in asset.deformation.state_dict().items()}
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise AssetFormatError(f"{path}: no such file; an asset is a file like asset.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            _check_header(path, header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise AssetFormatError(f"{path}: not a safetensors file, or damaged: {in_one_line(error)}") from error
    if not all(tensor.dtype == torch.float32 for tensor in tensors.values()):
        raise AssetFormatError(f"{path}: an asset holds float32 tensors only")
    if header.get("checksum") != hash_tensors(tensors):
        raise AssetFormatError(f"{path}: the contents differ from what was written (checksum); copy it again")
    return header, tensors


def _check_header(path: Path, header: dict[str, str]) -> None:
    if header.get("format") != FORMAT:
        raise AssetFormatError(f"{path}: a safetensors file, but not an asset of diffusion2")
    version = header.get("format_version", "")
    if not version.isdecimal():
        raise AssetFormatError(f"{path}: the format version is {version!r}, not a number")
    if int(version) > FORMAT_VERSION:
        raise AssetFormatError(
            f"{path}: written in format {version}, readable up to {FORMAT_VERSION}: upgrade diffusion2"
        )


def _unflatten(header: dict[str, str], tensors: dict[str, Tensor]) -> Asset4D:
    known = shapes_of(0)
    missing = [name for name in known if _GAUSSIANS + name not in tensors]
    if missing:
        raise ValueError(f"the Gaussians' tensor {missing[0]} is missing")
    parts = {name: tensors.pop(_GAUSSIANS + name) for name in known}
    if _GAUSSIANS + "shN" in tensors:
        parts["shN"] = tensors.pop(_GAUSSIANS + "shN")
    for name, tensor in [*parts.items(), *tensors.items()]:
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values that are not finite")
    gaussians = Gaussians(**parts)
    metadata = AssetMetadata.from_dict(json.loads(header["metadata"]))
    if "deformation" not in header:
        if tensors:
            raise ValueError(f"unexpected tensor {next(iter(tensors))}")
        return Asset4D(gaussians, None, metadata)
    settings = DeformationSettings.from_dict(json.loads(header["deformation"]), "deformation.")
    with torch.device("meta"):
        field_ = DeformationField(settings)
    state = {name.removeprefix(_DEFORMATION): tensor for name, tensor in tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in field_.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if wanted != found:
        wrong = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
        raise ValueError(f"the deformation's tensor {wrong} is missing, unexpected or of another shape")
    field_.load_state_dict(state, assign=True)
    return Asset4D(gaussians, field_.requires_grad_(False), metadata)
