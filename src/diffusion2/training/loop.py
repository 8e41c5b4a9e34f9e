"""The training loop: one task, one process or several, resumable at any moment.

A checkpoint holds the weights, their running average, the optimiser's state and the step; beside it
lie a log of held-out figures (`.log.jsonl`) and a sheet of held-out samples (`.png`). What a step
draws depends on the step and the process alone, so a resumed run goes on as if it had never stopped; only
what a task keeps beside its network, as the lifter's adversary, begins anew.
Stop it with Ctrl-C or SIGTERM (it saves). One process alone is paused with SIGSTOP and goes on with SIGCONT;
of several, those that are slow to wake are taken for hung and ended.
"""

import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from diffusion2.config import Between, Settings
from diffusion2.distributed import ALONE, ProcessGroup
from diffusion2.errors import NumericalError, WeightsError, in_one_line
from diffusion2.events import Report, stage
from diffusion2.exporters import write_contact_sheet
from diffusion2.runs.atomic_tensors import save_tensors
from diffusion2.training.optimizer import MuonAdamW, PowerAverage

WARMUP_STEPS = 50
SAVE_SECONDS = 180.0


class TrainingTask(Protocol):
    """What is trained: a network, the loss of one step, and how well it does on held-out data."""

    @property
    def name(self) -> str:
        """Name the task, as its checkpoint does."""
        ...

    @property
    def network(self) -> nn.Module:
        """Return what is trained."""
        ...

    @property
    def matrix_rate(self) -> float:
        """Return the step size for matrices."""
        ...

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Return the loss of one batch, drawn with `rng`."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Measure the network, which holds the averaged weights meanwhile, on held-out data."""
        ...

    def show(self) -> Tensor:
        """Return pictures to judge the averaged weights by, (rows, columns, 3, H, W) in [0, 1]."""
        ...


@dataclass(frozen=True)
class LoopSettings(Settings):
    """How long to train and how often to look.

    Attributes:
        minutes: wall time of this call.
        evaluate_minutes: time between two measurements.
        anneal_minutes: the rate falls to zero over so many last minutes; 0 keeps it, so that a later
            call goes on from the same place.
        rate: factor of all step sizes.
        seed: of all draws.
    """

    minutes: Annotated[float, Between(1e-4, 1e6)]
    evaluate_minutes: Annotated[float, Between(0, 1e6)] = 10.0
    anneal_minutes: Annotated[float, Between(0, 1e6)] = 0.0
    rate: Annotated[float, Between(1e-6, 1e3)] = 1.0
    seed: Annotated[int, Between(0, 2**63 - 1)] = 0


class Trainer:
    """A task, its optimiser and average, and the checkpoint they are kept in.

    Args:
        task: what is trained.
        checkpoint: where to go on from, if it is there, and to save to.
        group: the processes that train it together, all from the same checkpoint.
    """

    def __init__(self, task: TrainingTask, checkpoint: Path, group: ProcessGroup = ALONE) -> None:
        self.task, self.checkpoint, self.group = task, checkpoint, group
        self.optimizer = MuonAdamW(task.network, task.matrix_rate)
        self.average = PowerAverage(task.network)
        self.step = 0
        if checkpoint.is_file():
            self._load()

    def run(self, settings: LoopSettings, report: Report) -> None:
        """Train for the given time; a checkpoint is written every few minutes and at the end.

        Raises:
            NumericalError: the loss is not finite; the last checkpoint stays as it was.
        """
        start = saved = measured = time.monotonic()
        losses: list[float] = []
        stopping = _StopSignal()
        with stage(report, f"train {self.task.name}") as progress, stopping:
            while True:
                elapsed = (time.monotonic() - start) / 60
                if self.group.any(elapsed >= settings.minutes or stopping.requested):
                    break
                losses.append(self._take_step(settings, elapsed))
                now = time.monotonic()
                if self.step % 25 == 0:
                    mean = float(np.mean(losses[-200:]))
                    progress(
                        int(elapsed * 60), int(settings.minutes * 60), f"step {self.step}, loss {mean:.4f}"
                    )
                if now - saved > SAVE_SECONDS and self.group.is_first:
                    self.save()
                    saved = now
                if now - measured > settings.evaluate_minutes * 60 and self.group.is_first:
                    self._measure(float(np.mean(losses[-200:])))
                    measured = time.monotonic()
            if losses and self.group.is_first:
                self.save()
                self._measure(float(np.mean(losses[-200:])))

    def _take_step(self, settings: LoopSettings, elapsed: float) -> float:
        rng = np.random.default_rng((settings.seed, self.step, self.group.rank))
        torch.manual_seed(int(rng.integers(2**31)))
        factor = settings.rate * min(1.0, (self.step + 1) / WARMUP_STEPS)
        if settings.anneal_minutes:
            factor *= min(1.0, max(0.0, (settings.minutes - elapsed) / settings.anneal_minutes))
        for parameters in self.optimizer.param_groups:
            parameters["factor"] = factor
        loss = self.task.loss(rng)
        value = float(loss.detach())
        if self.group.any(not np.isfinite(value)):
            hint = f"training can go on from {self.checkpoint}"
            raise NumericalError(f"training {self.task.name}", self.step, hint=hint)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average([p.grad for p in self.task.network.parameters() if p.grad is not None])
        self.optimizer.step()
        self.step += 1
        self.average.update(self.task.network, self.step)
        return value

    def _measure(self, train_loss: float) -> None:
        with averaged(self.task.network, self.average):
            figures = self.task.evaluate()
            write_contact_sheet(self.task.show(), self.checkpoint.with_suffix(".png"))
        record = {"time": time.time(), "step": self.step, "train_loss": train_loss, **figures}
        with self.checkpoint.with_suffix(".log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")

    def save(self) -> None:
        """Write the checkpoint."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.task.network.named_parameters():
            tensors[f"weights.{name}"] = parameter.detach()
            tensors[f"average.{name}"] = self.average.weights[name]
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.checkpoint, tensors, self.task.name, self.step)

    def _load(self) -> None:
        tensors, metadata = read_checkpoint(self.checkpoint, self.task.name)
        with torch.no_grad():
            for name, parameter in self.task.network.named_parameters():
                stored = tensors.get(f"weights.{name}")
                if stored is None or stored.shape != parameter.shape:
                    raise WeightsError(
                        f"{self.checkpoint} belongs to another network ({name} differs): move it away"
                    )
                parameter.copy_(stored)
                self.average.weights[name].copy_(tensors[f"average.{name}"])
                state: dict[str, Any] = self.optimizer.state[parameter]
                for key in ("step", "first", "second"):
                    if f"{key}.{name}" in tensors:
                        kept = tensors[f"{key}.{name}"]
                        state[key] = kept.clone() if key == "step" else kept.to(parameter)
        self.step = int(metadata["step"])


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], task: str, step: int) -> None:
    """Write a checkpoint: `weights.NAME` and `average.NAME` of each parameter, and its optimiser's state."""
    copies = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_tensors(path, copies, {"task": task, "step": str(step)})


def read_checkpoint(path: Path, task: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a checkpoint's tensors and metadata.

    Raises:
        WeightsError: not a readable checkpoint of this task.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("task") != task:
                raise WeightsError(f"{path} is no checkpoint of {task}: move it away or train that")
            return {key: file.get_tensor(key) for key in file.keys()}, metadata
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} can't be read as a checkpoint ({in_one_line(error)}): move it away"
        ) from error


class averaged:
    """Let a network hold its averaged weights inside a `with` block."""

    def __init__(self, network: nn.Module, average: PowerAverage) -> None:
        self.network, self.average = network, average

    def __enter__(self) -> None:
        """Put the averaged weights in."""
        self._swap()

    def __exit__(self, *_: object) -> None:
        """Put the trained weights back."""
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.network.named_parameters():
            kept = parameter.clone()
            parameter.copy_(self.average.weights[name])
            self.average.weights[name].copy_(kept)


class _StopSignal:
    """Notes an interrupt or a termination instead of dying of it."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "_StopSignal":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        self.requested = True
