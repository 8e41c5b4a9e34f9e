"""Networks whose parameters lie in safetensors files, under their own names or under others'."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion2.errors import WeightsError, in_one_line
from diffusion2.weights.tensor_files import Sources, TensorFiles

SHOWN = 3
"""How many differing parameters a message names."""


@dataclass(frozen=True)
class StoredNetwork:
    """A network without parameters (on the device "meta"), and where its parameters lie.

    Attributes:
        network: tells which parameters there have to be, and their shapes.
        files: hold them.
        sources: which tensor becomes which parameter.
        described_by: what says that the network looks like this, for messages.
    """

    network: Any
    files: TensorFiles
    sources: Sources
    described_by: str = "its config.json"

    def check(self) -> None:
        """Compare the parameters that there have to be with those that there are.

        Raises:
            WeightsError: some are missing, unknown or of another shape; the message names the first.
        """
        expected = {name: tuple(tensor.shape) for name, tensor in self.network.state_dict().items()}
        found = {name: source.shape for name, source in self.sources.items()}
        differing = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        if differing:
            named = "; ".join(
                f"{name} should be {expected.get(name, 'absent')}, is {found.get(name, 'absent')}"
                for name in differing[:SHOWN]
            )
            more = f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
            raise WeightsError(f"{self.files.path} does not fit {self.described_by}: {named}{more}")

    def load(self, dtype: torch.dtype = torch.float32) -> Any:
        """Read the parameters one by one, each into its final type: memory for one copy is enough.

        Args:
            dtype: of matrices and kernels; all other parameters become float32.

        Returns:
            The network, ready to run on the CPU; this object is used up.

        Raises:
            WeightsError: see `check`; or values are not finite, or not in this type.
        """
        self.check()
        narrow = _matrices_and_kernels(self.network)
        state = {}
        for name, source in self.sources.items():
            kind = dtype if name in narrow else torch.float32
            parameter = source.read(self.files).to(kind, copy=True).contiguous()
            if not torch.isfinite(parameter).all():
                raise WeightsError(f"{self.files.path} holds values that are not finite as {kind}: {name}")
            state[name] = parameter
        self.network.load_state_dict(state, assign=True)
        return self.network.eval().requires_grad_(False)


def _matrices_and_kernels(network: nn.Module) -> set[str]:
    return {
        f"{name}.{leaf}"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d)
        for leaf, _ in module.named_parameters(recurse=False)
    }


def read_config(path: Path, hint: str) -> dict[str, Any]:
    """Read a network's configuration.

    Args:
        path: a JSON file.
        hint: what to do when it is missing.

    Raises:
        WeightsError: it is missing or holds no configuration.
    """
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: {hint}")
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not readable as JSON: {in_one_line(error)}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path} does not hold a configuration")
    return config


def build_empty(kind: Any, config: Mapping[str, Any], described_by: str) -> Any:
    """Build a network of diffusers from its configuration, without memory for parameters.

    Raises:
        WeightsError: the configuration is not one of this class.
    """
    plain = {name: value for name, value in config.items() if not name.startswith("_")}
    try:
        with torch.device("meta"):
            return kind.from_config(plain)
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{described_by} does not describe a {kind.__name__}: {in_one_line(error)}"
        ) from error
