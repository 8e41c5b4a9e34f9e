"""Several processes that train one network."""

import math
import os
import socket

import numpy as np
import torch
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch import nn

from diffusion2.distributed import ALONE, joined
from diffusion2.errors import NumericalError
from diffusion2.training.loop import LoopSettings, Trainer


class _Line:
    """Fit a straight line to 8 points of each process's own."""

    name = "line"
    matrix_rate = 0.05

    def __init__(self, poisoned: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(2, 1)
        self._poisoned, self._calls = poisoned, 0

    def loss(self, rng):
        self._calls += 1
        return self.loss_of(_points(rng)) * (math.nan if self._calls == self._poisoned else 1.0)

    def loss_of(self, x):
        return (self.network(x) - x @ torch.tensor([[2.0], [-1.0]]) - 0.5).square().mean()

    def evaluate(self):
        return {}

    def show(self):
        return torch.zeros(1, 1, 3, 8, 8)


def _points(rng):
    return torch.from_numpy(rng.standard_normal((8, 2))).float()


class _Together(_Line):
    """The same, given the points of two processes at once."""

    def loss(self, rng):
        del rng
        points = [_points(np.random.default_rng((0, self._calls, rank))) for rank in range(2)]
        self._calls += 1
        return self.loss_of(torch.cat(points))


def _train(rank, port, folder, poisoned):
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2", RANK=str(rank), OMP_NUM_THREADS="1"
    )
    with joined() as group:
        trainer = Trainer(_Line(poisoned if rank == 1 else None), folder / "line.safetensors", group)
        try:
            for _ in range(12):
                trainer._take_step(LoopSettings(1.0), 0.0)
        except NumericalError as error:
            (folder / f"{rank}.txt").write_text(str(error))
    save_file(trainer.task.network.state_dict(), folder / f"{rank}.safetensors")


def _run_two(folder, poisoned=None):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(_train, (port, folder, poisoned), nprocs=2)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


def test_two_processes_learn_what_one_learns_from_both_their_batches(tmp_path):
    first, second = _run_two(tmp_path)
    alone = Trainer(_Together(), tmp_path / "alone.safetensors")
    for _ in range(12):
        alone._take_step(LoopSettings(1.0), 0.0)
    for name, value in alone.task.network.state_dict().items():
        assert torch.equal(first[name], second[name])
        # matrices are orthogonalised in bfloat16, which is good to 1 %
        assert torch.allclose(first[name], value, atol=5e-3), name


def test_not_a_number_in_one_process_stops_both(tmp_path):
    _run_two(tmp_path, poisoned=5)
    for rank in range(2):
        assert "step 4" in (tmp_path / f"{rank}.txt").read_text()


def test_a_process_that_was_started_alone_stays_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as alone:
        assert alone is ALONE
        values = torch.tensor([1.0, 2.0])
        alone.average([values])
        assert values.tolist() == [1.0, 2.0]
        assert alone.any(True)
        assert not alone.any(False)
