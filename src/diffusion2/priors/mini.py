"""Loading the pair of priors that comes with the package."""

from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from diffusion2.errors import WeightsError
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.device_memory import DeviceMemory
from diffusion2.priors.devices import Precision, choose_dtype
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.lifted_views import guess_orbits, lifted_channels, sees_lifted
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.network import NetworkMultiviewPrior, NetworkVideoPrior
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.prior import PriorPair
from diffusion2.priors.stored_network import StoredNetwork, build_empty, read_config
from diffusion2.priors.unet import SpatioTemporalUNet, drop_idle, has_idle
from diffusion2.weights.catalogue import mini_folder
from diffusion2.weights.tensor_files import TensorFiles

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
INSTALL = (
    "install the package anew, or set DIFFUSION2_MINI_WEIGHTS to a folder that holds vae/, lifter/, video/ "
    "and multiview/"
)
PIXEL_UNSHUFFLE = 2
Network = TypeVar("Network", SpatioTemporalUNet, PatchAutoencoder, AutoencoderKL, Lifter)
AUTOENCODERS = {kind.__name__: kind for kind in (AutoencoderKL, PatchAutoencoder)}
"""By what their configuration calls them; one that says nothing is of the first kind."""


def load_pair(
    name: Literal["mini"] = "mini",
    folder: Path | None = None,
    *,
    precision: Precision = "auto",
    device: str = "cpu",
    offload: bool = False,
) -> PriorPair:
    """Load the mini pair of priors; see `full_size` for the other one.

    Args:
        name: which pair; "mini" is the only one of this kind.
        folder: holds `vae/`, `video/`, `multiview/` and, unless nothing is to be guessed, `lifter/`, in
            diffusers' layout; None: the environment's `DIFFUSION2_MINI_WEIGHTS`, else the package's own.
        precision: what the networks compute in; see `choose_dtype`.
        device: where they run.
        offload: keep only the network that works on the device; see `DeviceMemory`.

    Raises:
        WeightsError: weights are missing, damaged or not those of their configuration.
    """
    if name != "mini":
        raise WeightsError(f"load_pair loads the mini pair; {name!r} is for full_size.load_full_size")
    folder = mini_folder() if folder is None else folder
    vae = load_network(_autoencoder_kind(folder / "vae"), folder / "vae")
    memory = DeviceMemory(device, offload=offload)
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE, memory=memory)
    encoder, dtype = PooledLatentEncoder(), choose_dtype(precision, device)
    video = load_network(SpatioTemporalUNet, folder / "video")
    multiview = load_network(SpatioTemporalUNet, folder / "multiview")
    wanted = sees_lifted(multiview.config) or (folder / "lifter").is_dir()
    lifter = load_lifter(folder) if wanted else None
    _check_channels(folder, codec, video, multiview)
    return PriorPair(
        name,
        NetworkVideoPrior(video, codec, encoder, dtype, memory),
        NetworkMultiviewPrior(multiview, codec, encoder, dtype, memory, lifter),
        codec,
        None if lifter is None else partial(guess_orbits, lifter, codec.encode_scaled),
    )


def _check_channels(folder: Path, codec: LatentCodec, video: Any, multiview: Any) -> None:
    """Refuse networks that are not of one pair.

    Raises:
        WeightsError: one is of another latent space, is shown something else, or a part is missing.
    """
    lifted = sees_lifted(multiview.config)
    if lifted and codec.picture_channels != 4:
        raise WeightsError(
            f"{folder / 'multiview'} is shown what a lifter makes, but the pair's latents hold no alpha"
        )
    channels = codec.channels
    of_multiview = lifted_channels(channels) if lifted else 2 * channels
    for part, network, taken in (("video", video, 2 * channels), ("multiview", multiview, of_multiview)):
        if network.config["out_channels"] != channels:
            raise WeightsError(
                f"{folder / part} is of another pair: it makes {network.config['out_channels']} channels, "
                f"the latents of {folder / 'vae'} have {channels}: {INSTALL}"
            )
        if network.config["in_channels"] != taken:
            raise WeightsError(
                f"{folder / part} is of another pair: it takes {network.config['in_channels']} channels, "
                f"not {taken}: {INSTALL}"
            )


def load_lifter(folder: Path | None = None) -> Lifter:
    """Load the lifter of the mini pair.

    Args:
        folder: see `load_pair`; the lifter is in its `lifter/`.

    Raises:
        WeightsError: the pair has none; see also `load_network`.
    """
    folder = mini_folder() if folder is None else folder
    if not (folder / "lifter").is_dir():
        raise WeightsError(f"{folder} has no lifter/: {INSTALL}")
    return load_network(Lifter, folder / "lifter")


def _autoencoder_kind(folder: Path) -> type[AutoencoderKL]:
    name = _read_config(folder).get("_class_name", "AutoencoderKL")
    if name not in AUTOENCODERS:
        raise WeightsError(
            f"{folder / 'config.json'} describes a {name}, not one of {', '.join(AUTOENCODERS)}"
        )
    return AUTOENCODERS[name]


def load_network(kind: type[Network], folder: Path) -> Network:
    """Build a network from `config.json` and fill it from its weights file, as float32.

    Args:
        kind: the class.
        folder: holds both files.

    Raises:
        WeightsError: a file is missing or damaged, or tensors are missing, unknown or of another shape; the
            message names the first ones.
    """
    network = build_empty(kind, _read_config(folder), str(folder / "config.json"))
    files = TensorFiles([folder / WEIGHTS_FILE])
    if isinstance(network, SpatioTemporalUNet) and not has_idle(files.shapes):
        drop_idle(network)
    return StoredNetwork(network, files, files.as_they_are()).load()


def _read_config(folder: Path) -> dict[str, Any]:
    return read_config(
        folder / "config.json",
        INSTALL,
    )
