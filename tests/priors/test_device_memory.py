"""Networks that take turns on a device and work in chunks that fit its memory, as told by the test."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffusion2.errors import OutOfMemory
from diffusion2.priors import device_memory
from diffusion2.priors.device_memory import USED, DeviceMemory, free_memory, is_out_of_memory

GB = 1e9


class Network(nn.Module):
    """Notes where it goes; there may be no room for it."""

    def __init__(self, room: Callable[["Network"], bool] = lambda network: True) -> None:
        super().__init__()
        self.device, self.room = "cpu", room

    def to(self, device: object) -> "Network":
        if str(device) != "cpu" and not self.room(self):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.device = str(device)
        return self


class Items:
    """Work whose result is known, that fails above a number of items at once."""

    def __init__(self, fits: float = float("inf"), error: BaseException | None = None) -> None:
        self.fits, self.sizes = fits, []
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory")

    def __call__(self, part: slice) -> Tensor:
        numbers = torch.arange(100.0)[part]
        if len(numbers) > self.fits:
            raise self.error
        self.sizes.append(len(numbers))
        return numbers**2


def squares(count: int) -> Tensor:
    return torch.arange(float(count)) ** 2


@pytest.mark.parametrize(
    ("free", "size"), [(10 * GB, 9), (5 * GB, 4), (2.5 * GB, 2), (0.1 * GB, 1), (None, 21)]
)
def test_as_many_are_worked_on_at_once_as_fit_the_free_memory(free: float | None, size: int) -> None:
    items = Items()
    memory = DeviceMemory("cuda", free=lambda device: None if free is None else int(free))
    got = memory.work(Network(), items, 21, USED * 1.1 * GB)
    assert max(items.sizes) == size == items.sizes[0]
    assert torch.equal(got, squares(21))


def test_no_more_than_asked_for_are_worked_on_at_once() -> None:
    items = Items()
    DeviceMemory("cuda", free=lambda device: int(1e15)).work(Network(), items, 7, GB, at_most=3)
    assert items.sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("device", "error"),
    [
        ("cuda", torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
        ("cuda", RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
        ("cpu", RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory")),
        ("cpu", MemoryError()),
    ],
)
def test_what_does_not_fit_is_halved_until_it_does_and_not_tried_again(device: str, error) -> None:
    items, network = Items(fits=3, error=error), Network()
    memory = DeviceMemory(device, free=lambda device: None)
    assert torch.equal(memory.work(network, items, 21, GB), squares(21))
    assert items.sizes == [2] * 10 + [1]  # 21, 10, 5 did not fit
    smaller = Items()
    memory.work(network, smaller, 8, GB / 2)  # what fitted is remembered in bytes
    assert smaller.sizes == [4, 4]


def test_too_little_for_one_is_an_error_that_says_so() -> None:
    memory = DeviceMemory("cuda", free=lambda device: 2 * 10**9)
    with pytest.raises(
        OutOfMemory, match=r"cuda is too small for one row: .* 5.0 GB, 2.0 GB are free; use"
    ) as caught:
        memory.work(Network(), Items(fits=0), 21, 5 * GB, what="row")
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_items_that_only_work_together_are_not_cut() -> None:
    items = Items()
    memory = DeviceMemory("cuda", free=lambda device: 10**9)
    memory.work(Network(), items, 5, GB, at_least=5)
    assert items.sizes == [5]
    with pytest.raises(OutOfMemory):
        memory.work(Network(), Items(fits=4), 5, GB, at_least=5)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        DeviceMemory("cuda", free=lambda device: None).work(
            Network(), Items(fits=0, error=RuntimeError("shapes differ")), 4, GB
        )


def test_the_allocators_own_words_are_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def use(memory: DeviceMemory, network: Network, *, stays: bool, need: float = 1.0) -> None:
    memory.work(network, Items(), 2, need, stays=stays)


def test_networks_that_denoise_stay_and_others_leave() -> None:
    memory = DeviceMemory("cuda", free=lambda device: 10**9)
    vae, encoder, rows, columns = (Network() for _ in range(4))
    use(memory, vae, stays=False)
    use(memory, encoder, stays=False)
    assert (vae.device, encoder.device) == ("cpu", "cuda")
    use(memory, rows, stays=True)
    use(memory, columns, stays=True)
    assert (encoder.device, rows.device, columns.device) == ("cpu", "cuda", "cuda")
    use(memory, vae, stays=False)
    use(memory, rows, stays=True)
    assert (vae.device, rows.device, columns.device) == ("cpu", "cuda", "cuda")


def test_offloading_keeps_only_the_network_that_works() -> None:
    memory = DeviceMemory("cuda", offload=True, free=lambda device: 10**9)
    rows, columns = Network(), Network()
    for network, other in ((rows, columns), (columns, rows), (rows, columns)):
        use(memory, network, stays=True)
        assert (network.device, other.device) == ("cuda", "cpu")


def test_a_network_that_comes_for_a_while_gets_the_room_it_needs() -> None:
    memory = DeviceMemory("cuda", free=lambda device: 10**9)
    rows, vae = Network(), Network()
    use(memory, rows, stays=True)
    use(memory, vae, stays=False, need=GB)
    assert (rows.device, vae.device) == ("cpu", "cuda")
    assert not memory.offload


def test_two_networks_that_do_not_fit_take_turns() -> None:
    rows, columns = Network(), Network()
    columns.room = lambda network: rows.device == "cpu"
    memory = DeviceMemory("cuda", free=lambda device: 10**9)
    use(memory, rows, stays=True)
    use(memory, columns, stays=True)
    assert (rows.device, columns.device, memory.offload) == ("cpu", "cuda", True)


def test_the_other_network_makes_room_before_a_single_row_is_given_up() -> None:
    rows, columns = Network(), Network()
    memory = DeviceMemory("cuda", free=lambda device: 10**9)
    use(memory, rows, stays=True)

    def call(part: slice) -> Tensor:
        if rows.device == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return torch.zeros(1)

    memory.work(columns, call, 1, GB, stays=True)
    assert (rows.device, columns.device, memory.offload) == ("cpu", "cuda", True)


def test_a_network_without_any_room_is_an_error() -> None:
    network = Network(room=lambda network: False)
    with pytest.raises(OutOfMemory, match="one network"):
        use(DeviceMemory("cuda", free=lambda device: 10**9), network, stays=True)
    assert network.device == "cpu"


def test_a_cpus_free_memory_is_the_systems_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(device_memory, "MEMINFO", meminfo)
    assert free_memory(torch.device("cpu")) is None
    meminfo.write_text("MemTotal:       24 kB\nMemFree:        1 kB\nMemAvailable:   20 kB\n")
    assert free_memory(torch.device("cpu")) == 20 * 1024


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_a_gpus_free_memory_counts_what_torch_keeps() -> None:
    device = torch.device("cuda")
    before = free_memory(device)
    block = torch.empty(2**28, dtype=torch.uint8, device=device)
    assert before - free_memory(device) == pytest.approx(2**28, rel=0.2)
    del block
    assert free_memory(device) == pytest.approx(before, rel=0.02)
