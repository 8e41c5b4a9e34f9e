"""Checking weights: files, structure, hashes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffusion2.errors import WeightsError
from diffusion2.priors import released
from diffusion2.priors.autoencoder_keys import autoencoder_sources
from diffusion2.priors.full_size import read_sv3d, read_svd
from diffusion2.priors.image_encoder_keys import image_encoder_sources
from diffusion2.priors.mini import load_pair
from diffusion2.weights.catalogue import (
    FULL_SIZE,
    MINI_PARTS,
    SV3D,
    SVD,
    HubModel,
    find_full_size,
    mini_folder,
    model_files,
    noted_hash,
)
from diffusion2.weights.hashes import file_hash
from diffusion2.weights.tensor_files import TensorFiles

VECTOR = "model.diffusion_model.label_emb.0.0.weight"
"""The tensor that tells the family's members apart, by how many numbers condition them beside a picture."""


def check_weights(name: str, folder: str | Path | None = None) -> Iterator[str]:
    """Check weights, and say what was found line by line.

    Args:
        name: "mini", "svd" or "sv3d"; or a path to a folder or file, whose kind is found out.
        folder: see `find_full_size`.

    Raises:
        WeightsError: something is missing, damaged or not what it should be; the message names it.
    """
    kind, path = _kind_and_path(name, folder)
    if kind == "mini":
        load_pair("mini", path, precision="float32")
        files = [file for part in MINI_PARTS for file in sorted((path / part).glob("*.safetensors"))]
        yield f"mini: its networks are as they should be, in {path}"
    else:
        model = next(model for model in FULL_SIZE if model.name == kind)
        yield from _check_full_size(model, path, folder)
        files = model_files(model, path)
    for file in files:
        yield _file_line(file)


def _kind_and_path(name: str, folder: str | Path | None) -> tuple[str, Path]:
    if name == "mini":
        return name, mini_folder()
    for model in FULL_SIZE:
        if name == model.name:
            path = find_full_size(model, folder)
            if path is None:
                raise WeightsError(f"{model.title} is not here: diffusion2 weights fetch {name} fetches it")
            return name, path
    path = Path(name)
    if path.is_file():
        return _kind_by_vector(TensorFiles([path]).shapes.get(VECTOR, (0, 0))[1], path), path
    if not path.is_dir():
        raise WeightsError(f"{name!r} is no file or folder, nor mini, svd or sv3d")
    if all((path / part).is_dir() for part in MINI_PARTS):
        return "mini", path
    config = path / "unet" / "config.json"
    if not config.is_file():
        raise WeightsError(f"{path} is no folder of weights: it has no unet/config.json")
    try:
        values: Any = json.loads(config.read_text())
        width = values["projection_class_embeddings_input_dim"] // values["addition_time_embed_dim"] * 256
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{config} does not describe a network of SVD's kind: {error!r}") from error
    return _kind_by_vector(width, path), path


def _kind_by_vector(width: int, path: Path) -> str:
    kinds = {256 * released.VIDEO_VALUES: SVD.name, 256 * released.ORBIT_VALUES: SV3D.name}
    if width not in kinds:
        found = f"its added vector has {width} numbers" if width else "it has no network of that kind"
        raise WeightsError(f"{path} holds neither SVD (768) nor SV3D_p (1280): {found}")
    return kinds[width]


def _check_full_size(model: HubModel, path: Path, folder: str | Path | None) -> Iterator[str]:
    """Compare names and shapes of all parameters with those that there have to be."""
    if model is SVD:
        for part, stored in read_svd(path).items():
            stored.check()
            yield f"{model.name} {part}: {len(stored.sources)} parameters as they should be, in {path}"
        return
    svd = find_full_size(SVD, folder)
    parts = read_svd(svd) if svd else None
    stored = read_sv3d(path, parts["unet"].network.config if parts else released.UNET)
    stored.check()
    yield f"{model.name} unet: {len(stored.sources)} parameters as they should be, in {path}"
    if parts and path.is_file():
        yield f"{model.name}: {_compare_shared(parts, stored.files)}"


def _compare_shared(parts: dict[str, Any], files: TensorFiles) -> str:
    """Say whether the autoencoder and the image encoder in SV3D_p's file are SVD-XT's, which serve both."""
    levels = len(parts["vae"].network.config["block_out_channels"])
    try:
        found = {
            "vae": autoencoder_sources(files.shapes, levels),
            "image_encoder": image_encoder_sources(files.shapes),
        }
    except WeightsError:
        return "its file holds no autoencoder or image encoder of its own; SVD-XT's are used"
    worst, where = 0.0, ""
    for part, sources in found.items():
        ours = parts[part]
        for name in sources.keys() & ours.sources.keys():
            theirs, mine = sources[name].read(files).float(), ours.sources[name].read(ours.files).float()
            error = float((theirs - mine).abs().max() / mine.abs().max().clamp(min=1e-12))
            if error > worst:
                worst, where = error, f"{part} {name}"
    if worst <= 2**-10:  # of the largest number: half precision's rounding
        return "the autoencoder and the image encoder in its file are SVD-XT's"
    return (
        f"what its file holds beside the network differs from SVD-XT's, which is used: {where} by {worst:.1e}"
    )


def _file_line(path: Path) -> str:
    """Return a file's size and hash, and compare the hash with what the hub said when it was fetched."""
    digest, said = file_hash(path), noted_hash(path)
    if said and said != digest:
        raise WeightsError(f"{path} is damaged: its sha256 is {digest}, the hub's {said}: fetch it again")
    beside = ", as on the hub" if said else ""
    return f"  {path.parent.name}/{path.name}: {path.stat().st_size / 1e6:.1f} MB, sha256 {digest}{beside}"
