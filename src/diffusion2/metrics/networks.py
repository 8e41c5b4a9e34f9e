"""The networks of the perceptual scores: those that are here, and why the others are not."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from diffusion2.config import check_known
from diffusion2.errors import WeightsError
from diffusion2.weights.packaged import find_packaged_file

NetworkName = Literal["lpips_alex", "lpips_vgg", "clip", "i3d"]
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
NOT_ASKED = "not asked for"


@dataclass(frozen=True)
class Networks:
    """The networks that could be loaded.

    Attributes:
        loaded: by a name in `NETWORKS`.
        missing: why another one isn't there, in one line.
    """

    loaded: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def why_not(self, name: str) -> str:
        """Say why a network isn't there."""
        return self.missing.get(name, NOT_ASKED)


def load_networks(want: Collection[str] | None = None, *, clip: str | None = None) -> Networks:
    """Load the networks that are wanted; one that is missing is remembered with the reason, never an error.

    Args:
        want: names in `NETWORKS`; None for all.
        clip: folder or hub name of the CLIP model; None for where `load_clip` finds it by itself.

    Raises:
        InputError: an unknown name is wanted.
    """
    wanted = set(NETWORKS if want is None else want)
    check_known("network", sorted(wanted), NETWORKS)
    loaded, missing = {}, {}
    for name in NETWORKS:
        if name in wanted:
            try:
                loaded[name] = _load(name, clip)
            except WeightsError as error:
                missing[name] = str(error)
    return Networks(loaded, missing)


def find_metric_network(name: str) -> str:
    """Say where a network would be loaded from, without loading it.

    Args:
        name: one of `NETWORKS`.

    Raises:
        WeightsError: it isn't here; the message says what to do.
    """
    if name == "clip":
        from diffusion2.metrics.clip import find_clip_weights

        return find_clip_weights()
    from diffusion2.metrics.i3d import FILE
    from diffusion2.metrics.lpips import BACKBONES

    files = {"i3d": FILE, "lpips_alex": BACKBONES["alex"].file, "lpips_vgg": BACKBONES["vgg"].file}
    return str(find_packaged_file(files[name]))


def _load(name: str, clip: str | None) -> Any:
    if name == "clip":
        from diffusion2.metrics.clip import load_clip

        return load_clip(clip)
    if name == "i3d":
        from diffusion2.metrics.i3d import load_i3d

        return load_i3d()
    from diffusion2.metrics.lpips import load_lpips

    return load_lpips("vgg" if name == "lpips_vgg" else "alex")
