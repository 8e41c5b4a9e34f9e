"""Commands about this machine: what is here and what will run."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Weights:
    """Show which weights are here and which are missing."""

    action: Positional[Literal["list"]] = "list"
    """list: name, size, licence and place."""

    def run(self) -> None:
        """Print the table."""
        from diffusion2.doctor import weights_lines

        print("\n".join(weights_lines()))


@dataclass(frozen=True)
class Doctor:
    """Show what this machine has and what will run on it."""

    def run(self) -> None:
        """Print the report."""
        from diffusion2.doctor import machine_lines

        print("\n".join(machine_lines()))
