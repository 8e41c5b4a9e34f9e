"""Checkpoints of stage 1, from which an interrupted run goes on."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffusion2.events import Report, Warned, ignore
from diffusion2.runs.atomic_tensors import hash_tensors, save_tensors

KEPT = 2


@dataclass(frozen=True)
class Checkpoints:
    """States of sampling, `step_010.safetensors` and so on; the newest two are kept.

    Attributes:
        folder: where they are; made with the first of them.
    """

    folder: Path

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Keep the state of sampling after `step` steps; older checkpoints but one are removed.

        Raises:
            OSError: it can't be written; the earlier ones stay.
        """
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step_{step:03d}.safetensors"
        save_tensors(path, tensors, {"checksum": hash_tensors(tensors)})
        for old in self._paths()[:-KEPT]:
            old.unlink()

    def latest(self, report: Report = ignore) -> tuple[int, dict[str, Tensor]] | None:
        """Read the newest checkpoint that is as it was written: (steps done, tensors), or None.

        Args:
            report: takes a note of each newer one that is damaged.
        """
        for path in reversed(self._paths()):
            tensors = _read(path)
            if tensors is not None:
                return int(path.stem.removeprefix("step_")), tensors
            report(Warned(f"{path} is damaged: going on from what is before it"))
        return None

    def _paths(self) -> list[Path]:
        paths = self.folder.glob("step_*.safetensors")
        return sorted((p for p in paths if p.stem[5:].isdecimal()), key=lambda p: int(p.stem[5:]))


def _read(path: Path) -> dict[str, Tensor] | None:
    """Read a checkpoint; None where it can't be read, or differs from what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            checksum = (file.metadata() or {}).get("checksum")
    except (OSError, SafetensorError):
        return None
    return tensors if checksum == hash_tensors(tensors) else None
