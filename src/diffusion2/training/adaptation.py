"""Going on from the weights of a pair with other latents, so that hours of training are not lost.

What latents mean changes the first and the last layers alone. These are led through the linear map that
guesses the old latents best from the new ones, and back: the new network begins about where the old one was.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.training.diffusion import make_network


class LatentMaps(NamedTuple):
    """Best linear guesses of latents from others.

    Attributes:
        to_old: (C_old, C_new).
        to_new: (C_new, C_old).
    """

    to_old: Tensor
    to_new: Tensor


def latent_maps(old: PatchAutoencoder, new: PatchAutoencoder, moment: Tensor) -> LatentMaps:
    """Fit the maps between the latents of two autoencoders, by least squares over patches.

    Args:
        old: of pictures on white, or with alpha.
        new: of pictures with alpha, and the same patches.
        moment: second moment of patches with alpha, see `training.vae.second_moment`.
    """
    flat = [vae.components.flatten(1).double() for vae in (old, new)]
    a, b = (F.pad(components, (0, len(moment) - components.shape[1])) for components in flat)
    across = a @ moment @ b.T
    of_old, of_new = a @ moment @ a.T, b @ moment @ b.T
    return LatentMaps(
        (across @ torch.linalg.pinv(of_new, hermitian=True)).float(),
        (across.T @ torch.linalg.pinv(of_old, hermitian=True)).float(),
    )


def adapt_network(
    network: SpatioTemporalUNet, config: Mapping[str, Any], maps: LatentMaps
) -> SpatioTemporalUNet:
    """Build a network of this configuration that goes on from one of other latents.

    Its first layer and its cross-attention read the new latents as the old ones, of the noisy sequence and of
    the picture; what else the first layer takes starts without effect. Its last layer writes new latents.
    Everything else is copied where it has the same shape, and starts anew where not, as in wider levels.

    Args:
        network: of the old latents.
        config: of the new network.
        maps: between the latents.
    """
    adapted = make_network(config)
    old, state = maps.to_old.shape[0], network.state_dict()
    kernel = state["conv_in.weight"]
    read = [
        torch.einsum("ochw,cd->odhw", part, maps.to_old) for part in kernel[:, : 2 * old].split(old, dim=1)
    ]
    state["conv_in.weight"] = _with_inputs(torch.cat(read, 1), int(config["in_channels"]))
    state["conv_out.weight"] = torch.einsum("dc,cihw->dihw", maps.to_new, state["conv_out.weight"])
    state["conv_out.bias"] = maps.to_new @ state["conv_out.bias"]
    areas = PooledLatentEncoder().size ** 2
    for name, weight in state.items():
        if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            pooled = torch.einsum("ocp,cd->odp", weight.unflatten(1, (old, areas)), maps.to_old)
            state[name] = pooled.flatten(1)
    copy_fitting(adapted, state)
    return adapted


def adapt_decoder(old: PatchAutoencoder, new: PatchAutoencoder, maps: LatentMaps) -> None:
    """Let an autoencoder decode as the old one does, what the old one's pictures lack being zero at first."""
    state: dict[str, Tensor] = {
        name: tensor for name, tensor in old.state_dict().items() if name.startswith("decoder.")
    }
    first, last = "decoder.conv_in.weight", "decoder.conv_out"
    state[first] = torch.einsum("ochw,cd->odhw", state[first], maps.to_old)
    more = new.config["out_channels"] - old.config["out_channels"]
    state[f"{last}.weight"] = F.pad(state[f"{last}.weight"], (0, 0, 0, 0, 0, 0, 0, more))
    state[f"{last}.bias"] = F.pad(state[f"{last}.bias"], (0, more))
    copy_fitting(new, state)


@torch.no_grad()
def copy_fitting(network: nn.Module, state: Mapping[str, Tensor]) -> int:
    """Copy the tensors whose name and shape a network has; count them."""
    own = network.state_dict()
    fitting = [name for name, tensor in state.items() if name in own and own[name].shape == tensor.shape]
    for name in fitting:
        own[name].copy_(state[name])
    return len(fitting)


def _with_inputs(kernel: Tensor, channels: int) -> Tensor:
    return F.pad(kernel, (0, 0, 0, 0, 0, channels - kernel.shape[1]))
