"""Loading the pair of priors that comes with the package."""

import json
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffusion2.errors import WeightsError
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.network import NetworkMultiviewPrior, NetworkVideoPrior
from diffusion2.priors.prior import PriorPair
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.weights import mini_folder

WEIGHTS_FILE = "diffusion_pytorch_model.fp16.safetensors"
PIXEL_UNSHUFFLE = 2
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Network = TypeVar("Network", SpatioTemporalUNet, AutoencoderKL)


def load_pair(
    name: Literal["mini"] = "mini", folder: Path | None = None, *, precision: Precision = "auto"
) -> PriorPair:
    """Load a pair of priors.

    Args:
        name: which pair; "mini" is the only one so far.
        folder: holds `vae/`, `video/` and `multiview/` in diffusers' layout; None: the environment's
            `DIFFUSION2_MINI_WEIGHTS`, else the package's own.
        precision: what the networks compute in; "auto" is bfloat16 where the processor has it.

    Raises:
        WeightsError: weights are missing, damaged or not those of their configuration.
    """
    if name != "mini":
        raise WeightsError(f"there are no weights for {name!r} here; the preset mini comes with its own")
    folder = mini_folder() if folder is None else folder
    vae = load_network(AutoencoderKL, folder / "vae")
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    encoder, dtype = PooledLatentEncoder(), choose_dtype(precision)
    video = load_network(SpatioTemporalUNet, folder / "video")
    multiview = load_network(SpatioTemporalUNet, folder / "multiview")
    for part, network in (("video", video), ("multiview", multiview)):
        if network.config["out_channels"] != codec.channels:
            raise WeightsError(
                f"{folder / part} is of another pair: it makes {network.config['out_channels']} channels, "
                f"the latents of {folder / 'vae'} have {codec.channels}"
            )
    return PriorPair(
        name,
        NetworkVideoPrior(video, codec, encoder, dtype),
        NetworkMultiviewPrior(multiview, codec, encoder, dtype),
        codec,
    )


def build_autoencoder(config: dict[str, Any]) -> Any:
    """Build an `AutoencoderKL` with new weights from its configuration."""
    return AutoencoderKL(**config)


def choose_dtype(precision: Precision) -> torch.dtype:
    """Give the type that networks compute in on this CPU."""
    if precision == "auto":
        # without this instruction bfloat16 is emulated, and slower than float32; older torch can't tell
        is_fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return torch.bfloat16 if is_fast() else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def load_network(kind: type[Network], folder: Path) -> Network:
    """Build a network from `config.json` and fill it from its weights file, as float32.

    Args:
        kind: the class.
        folder: holds both files.

    Raises:
        WeightsError: a file is missing or damaged, or tensors are missing, unknown or of another shape; the
            message names the first ones.
    """
    config = _read_config(folder / "config.json")
    try:
        network: Any = kind.from_config(config)
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{folder / 'config.json'} does not describe a {kind.__name__}: {error}"
        ) from error
    _fill(network, _read_tensors(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE)
    return network.eval()


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(
            f"{path} does not exist: install the package anew, or set DIFFUSION2_MINI_WEIGHTS to a folder "
            "that holds vae/, video/ and multiview/"
        )
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path} does not hold a configuration")
    return config


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: its configuration is there, its weights are missing")
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name).float() for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or not a safetensors file: {error}") from error


def _fill(network: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    differing = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    if differing:
        name = differing[0]
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise WeightsError(
            f"{path} does not fit its config.json: {name} should be {expected.get(name, 'absent')}, "
            f"is {found.get(name, 'absent')}{more}"
        )
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise WeightsError(f"{path} holds values that are not finite")
    network.load_state_dict(tensors)
