"""What is said of the GPU, with a driver that answers as told."""

import ctypes

import pytest

from diffusion2.weights import gpu
from diffusion2.weights.gpu import gpu_memory


class Driver:
    """Stands for the driver's library: so many GPUs, of so many bytes each."""

    def __init__(self, count: int, size: int = 0) -> None:
        self.count, self.size = count, size

    def cuInit(self, flags: int) -> int:
        return 0 if self.count else 100  # what the driver answers where there is no device

    def cuDeviceGetCount(self, count: object) -> int:
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0

    def cuDeviceGet(self, device: object, number: int) -> int:
        return 0

    def cuDeviceTotalMem_v2(self, size: object, device: object) -> int:
        ctypes.cast(size, ctypes.POINTER(ctypes.c_size_t))[0] = self.size
        return 0


def no_library(name: str) -> None:
    raise OSError(name)


@pytest.mark.parametrize(
    ("torch", "library", "expected"),
    [
        ("2.9.0", lambda name: Driver(1, 80 * 2**30), (80 * 2**30, "")),
        ("2.9.0", lambda name: Driver(0), (0, "there is no GPU that CUDA can use")),
        ("2.9.0", no_library, (0, "there is no GPU that CUDA can use")),
        ("2.9.0+cpu", lambda name: Driver(1, 2**30), (0, "the installed torch is a build for CPUs only")),
    ],
)
def test_memory_is_the_drivers_answer_or_a_reason(monkeypatch, torch, library, expected):
    monkeypatch.setattr(gpu.metadata, "version", lambda name: torch)
    monkeypatch.setattr(gpu.ctypes, "CDLL", library)
    assert gpu_memory() == expected
