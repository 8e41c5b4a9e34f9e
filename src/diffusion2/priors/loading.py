"""Loading the pair of priors that settings name.

The modules that build networks are imported when a pair is loaded: their libraries take seconds, and bad
input is refused before.
"""

from collections.abc import Callable, Collection

import torch

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.priors.devices import choose_device, choose_dtype
from diffusion2.priors.prior import PriorPair
from diffusion2.weights.catalogue import full_size_paths, mini_folder

NETWORKS = ("video", "multiview")
LoadPriors = Callable[[GenerateSettings, Collection[str]], PriorPair]
"""Gives the pair that settings name: `load_priors`, or a `KeptPriors`."""


class KeptPriors:
    """Loads pairs as `load_priors` does and keeps the last one, for runs that follow each other.

    A prior is a function of its arguments, so a run is the same with a pair that others have used before.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._pair: PriorPair | None = None

    def __call__(self, settings: GenerateSettings, networks: Collection[str] = NETWORKS) -> PriorPair:
        """Give the pair of settings; arguments and errors are those of `load_priors`."""
        key = (*what_is_loaded(settings), *sorted(networks))
        if self._pair is None or key != self._key:
            self._pair = None  # goes first: there may be no room for two
            self._pair, self._key = load_priors(settings, networks), key
        check_size(settings, self._pair)
        return self._pair


def what_is_loaded(settings: GenerateSettings) -> tuple[object, ...]:
    """Return all that `load_priors` looks at, but for the size: equal for settings that can share a pair."""
    sampling = settings.sampling
    return (
        settings.priors,
        settings.weights,
        sampling.device,
        sampling.precision,
        sampling.offload,
        sampling.compile,
    )


def load_priors(settings: GenerateSettings, networks: Collection[str] = NETWORKS) -> PriorPair:
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
    check_size(settings, pair)
    if sampling.compile:
        _compile(pair)
    return pair


def check_size(settings: GenerateSettings, pair: PriorPair) -> None:
    """Refuse pictures of which a pair can't make latents.

    Raises:
        InputError: the settings' size is no multiple of what it has to be.
    """
    if settings.size % pair.codec.factor:
        raise InputError(f"size must be a multiple of {pair.codec.factor}, not {settings.size}")


def _compile(pair: PriorPair) -> None:
    from diffusion2.priors.network import NetworkPrior

    for prior in (pair.video, pair.multiview):
        assert isinstance(prior, NetworkPrior)
        prior.compile()
