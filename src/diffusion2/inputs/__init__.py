"""What can start a run, each ending in `Conditions`."""

from diffusion2.inputs.conditions import read_conditions

__all__ = ["read_conditions"]
