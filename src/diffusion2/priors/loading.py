"""Loading the pair of priors that settings name.

The modules that build networks are imported when a pair is loaded: their libraries take seconds, and bad
input is refused before.
"""

from collections.abc import Collection

import torch

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.priors.devices import choose_device, choose_dtype
from diffusion2.priors.prior import PriorPair
from diffusion2.weights.catalogue import full_size_paths, mini_folder


def load_priors(settings: GenerateSettings, networks: Collection[str] = ("video", "multiview")) -> PriorPair:
    """Load the pair that settings name, as they say: where it runs, in which precision, compiled or not.

    Args:
        settings: `priors`, `weights` and `sampling` choose what is loaded; `size` has to fit it.
        networks: of the full-size pair's two that denoise, those that will be used. The other one is known,
            but takes no memory.

    Raises:
        WeightsError: the weights are missing, damaged or others.
        BackendUnavailable: there is no such device.
        InputError: the settings' picture size does not fit the networks.
    """
    sampling = settings.sampling
    device = choose_device(sampling.device, settings.priors)
    if device == "cuda":
        device = (
            f"cuda:{torch.cuda.current_device()}"  # by its number, as other threads have their own "cuda"
        )
    if settings.priors == "mini":
        from diffusion2.priors.mini import load_pair

        pair = load_pair(
            "mini", mini_folder(), precision=sampling.precision, device=device, offload=sampling.offload
        )
    else:
        from diffusion2.priors.full_size import load_full_size

        pair = load_full_size(
            *full_size_paths(settings.weights),
            dtype=choose_dtype(sampling.precision, device),
            device=device,
            offload=sampling.offload,
            networks=networks,
        )
    if settings.size % pair.codec.factor:
        raise InputError(f"size must be a multiple of {pair.codec.factor}, not {settings.size}")
    if sampling.compile:
        _compile(pair)
    return pair


def _compile(pair: PriorPair) -> None:
    from diffusion2.priors.network import NetworkPrior

    for prior in (pair.video, pair.multiview):
        assert isinstance(prior, NetworkPrior)
        prior.compile()
