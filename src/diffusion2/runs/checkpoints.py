"""Checkpoints of stage 1, from which an interrupted run goes on."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from diffusion2.atomic_files import atomic_path

KEPT = 2


@dataclass(frozen=True)
class Checkpoints:
    """States of sampling, `step_010.safetensors` and so on; the newest two are kept.

    Attributes:
        folder: where they are; made with the first of them.
    """

    folder: Path

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Keep the state of sampling after `step` steps; older checkpoints but one are removed."""
        self.folder.mkdir(exist_ok=True)
        with atomic_path(self.folder / f"step_{step:03d}.safetensors") as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)
        for old in self._paths()[:-KEPT]:
            old.unlink()

    def latest(self) -> tuple[int, dict[str, Tensor]] | None:
        """Read the newest checkpoint that can be read: (steps done, tensors), or None."""
        for path in reversed(self._paths()):
            try:
                with safe_open(path, framework="pt") as file:
                    tensors = {key: file.get_tensor(key) for key in file.keys()}
            except (OSError, SafetensorError):
                continue
            return int(path.stem.removeprefix("step_")), tensors
        return None

    def _paths(self) -> list[Path]:
        paths = self.folder.glob("step_*.safetensors")
        return sorted((p for p in paths if p.stem[5:].isdecimal()), key=lambda p: int(p.stem[5:]))
