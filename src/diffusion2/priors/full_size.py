"""Loading SVD-XT with SV3D_p: from diffusers' folders, or from the single files that were released.

The video network, the autoencoder and the image encoder come from SVD-XT. Of SV3D_p only its network is read:
the autoencoder and the image encoder were not trained with it. Whatever lies in a single file under released
names is turned into diffusers' and transformers' layout; `docs/weights.md` says what is taken from where.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

from diffusion2.errors import WeightsError
from diffusion2.priors import released
from diffusion2.priors.autoencoder_keys import autoencoder_sources
from diffusion2.priors.checkpoint_keys import unet_sources
from diffusion2.priors.clip_image_encoder import ClipImageEncoder, build_empty_encoder
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.device_memory import DeviceMemory
from diffusion2.priors.image_encoder_keys import image_encoder_sources
from diffusion2.priors.network import NetworkMultiviewPrior, NetworkVideoPrior
from diffusion2.priors.prior import PriorPair
from diffusion2.priors.stored_network import StoredNetwork, build_empty, read_config
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.weights.catalogue import network_files
from diffusion2.weights.tensor_files import TensorFiles

DECODED_AT_ONCE = 10
"""Images of a sequence that the decoder sees, and mixes in time, together; as in the authors' code."""


def load_full_size(
    svd: Path,
    sv3d: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    offload: bool = False,
    networks: Collection[str] = ("video", "multiview"),
) -> PriorPair:
    """Load the pair of SVD-XT and SV3D_p, into the memory of the CPU; they go to the device when they work.

    Args:
        svd: SVD-XT, a folder of diffusers with `unet/`, `vae/` and `image_encoder/`, or the released file.
        sv3d: SV3D_p, the released file, or a folder with `unet/`.
        dtype: what the two networks compute in. The autoencoder and the image encoder, a small part of the
            work, compute in float32, the autoencoder as in the release.
        device: where all of it works.
        offload: keep only the network that works on the device; see `DeviceMemory`.
        networks: of the two that denoise, those that will be used; the other is checked, but not read.

    Raises:
        WeightsError: something is missing, damaged, or not what it should be; the message names it.
    """
    parts = read_svd(svd)
    parts["orbit"] = read_sv3d(sv3d, parts["unet"].network.config)
    _check_pair(parts, svd, sv3d)
    for part in parts.values():
        part.check()  # all of them, before any of them is read
    # the largest first, and each one's file closed when it is read: memory is that of the networks alone
    video, multiview = (
        parts[part].load(dtype) if name in networks else parts[part].network
        for name, part in (("video", "unet"), ("multiview", "orbit"))
    )
    del parts["unet"], parts["orbit"]
    memory = DeviceMemory(device, offload=offload)
    encoder = ClipImageEncoder(parts.pop("image_encoder").load(), memory=memory)
    codec = LatentCodec(parts.pop("vae").load(), batch_size=DECODED_AT_ONCE, memory=memory)
    return PriorPair(
        "svd-sv3d",
        NetworkVideoPrior(video, codec, encoder, dtype, memory),
        NetworkMultiviewPrior(multiview, codec, encoder, dtype, memory),
        codec,
    )


def read_svd(path: Path, configs: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, StoredNetwork]:
    """Find the parts of SVD-XT: "unet", "vae" and "image_encoder".

    Args:
        path: the folder or the file.
        configs: of the parts in a single file, by their names; None: the released ones.

    Raises:
        WeightsError: a part is missing or damaged. Parameters are not compared yet.
    """
    if path.is_file():
        files, given = TensorFiles([path]), configs or {}
        unet = build_empty(SpatioTemporalUNet, given.get("unet", released.UNET), "SVD-XT")
        vae_config = given.get("vae", released.AUTOENCODER)
        vae = build_empty(AutoencoderKLTemporalDecoder, vae_config, "SVD-XT")
        encoder = build_empty_encoder(given.get("image_encoder", released.IMAGE_ENCODER), "SVD-XT")
        levels = len(vae_config["block_out_channels"])
        return {
            "unet": StoredNetwork(unet, files, unet_sources(files.shapes), "the network of SVD-XT"),
            "vae": StoredNetwork(
                vae, files, autoencoder_sources(files.shapes, levels), "the autoencoder of SVD-XT"
            ),
            "image_encoder": StoredNetwork(
                encoder, files, image_encoder_sources(files.shapes), "the image encoder of SVD-XT"
            ),
        }
    parts = {
        "unet": _in_folder(path / "unet", SpatioTemporalUNet),
        "vae": _in_folder(path / "vae", AutoencoderKLTemporalDecoder),
        "image_encoder": _in_folder(path / "image_encoder", None),
    }
    _check_vector(parts["unet"].network.config, released.VIDEO_VALUES, path, "SVD-XT")
    return parts


def read_sv3d(path: Path, video_config: Mapping[str, Any] = released.UNET) -> StoredNetwork:
    """Find the network of SV3D_p.

    Args:
        path: the released file, or a folder with `unet/`.
        video_config: of SVD-XT, from which that of a single file differs in the added vector alone.

    Raises:
        WeightsError: it is missing, damaged or another model. Parameters are not compared yet.
    """
    if path.is_file():
        files = TensorFiles([path])
        width = released.ORBIT_VALUES * video_config["addition_time_embed_dim"]
        config = {**video_config, "projection_class_embeddings_input_dim": width}
        network = build_empty(SpatioTemporalUNet, config, "SV3D_p")
        return StoredNetwork(network, files, unet_sources(files.shapes), "the network of SV3D_p")
    folder = path / "unet" if (path / "unet").is_dir() else path
    stored = _in_folder(folder, SpatioTemporalUNet)
    _check_vector(stored.network.config, released.ORBIT_VALUES, path, "SV3D_p")
    return stored


def _in_folder(folder: Path, kind: Any) -> StoredNetwork:
    """Find a network of diffusers, or of transformers where there is no kind, in its folder."""
    config = read_config(folder / "config.json", "a folder of diffusers has unet/, vae/ and image_encoder/")
    described_by = str(folder / "config.json")
    network = (
        build_empty_encoder(config, described_by) if kind is None else build_empty(kind, config, described_by)
    )
    files = TensorFiles(network_files(folder))
    sources = files.as_they_are()
    sources.pop("vision_model.embeddings.position_ids", None)  # older versions of transformers wrote it
    return StoredNetwork(network, files, sources)


def _check_vector(config: Mapping[str, Any], values: int, path: Path, name: str) -> None:
    """Refuse another model of the family, which takes another added vector."""
    width = config["projection_class_embeddings_input_dim"]
    expected = values * config["addition_time_embed_dim"]
    if width != expected:
        raise WeightsError(f"{path} is not {name}: its added vector has {width} numbers, {name}'s {expected}")


def _check_pair(parts: Mapping[str, StoredNetwork], svd: Path, sv3d: Path) -> None:
    """Refuse networks that do not work on the same latents and embeddings."""
    channels = parts["vae"].network.config["latent_channels"]
    width = parts["image_encoder"].network.config.projection_dim
    for path, part in ((svd, "unet"), (sv3d, "orbit")):
        config = parts[part].network.config
        if config["out_channels"] != channels or config["cross_attention_dim"] != width:
            raise WeightsError(
                f"{path} is of another pair: it works on {config['out_channels']} channels and embeddings of "
                f"{config['cross_attention_dim']}, {svd} has {channels} and {width}"
            )
