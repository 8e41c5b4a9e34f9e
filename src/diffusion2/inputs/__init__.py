"""What can start a run, each ending in `Conditions`."""

from diffusion2.inputs.condition_files import read_recorded_conditions, remember_model, write_conditions
from diffusion2.inputs.conditions import read_conditions

__all__ = ["read_conditions", "read_recorded_conditions", "remember_model", "write_conditions"]
