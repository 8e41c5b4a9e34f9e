"""What the first graphics processor is, asked of its driver: importing torch for it would take seconds."""

import ctypes
import sys
from importlib import metadata

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def gpu_memory() -> tuple[int, str]:
    """Get the bytes of memory of the GPU that torch would use, and what is the matter where there are none.

    Returns:
        (bytes, ""), or (0, why no GPU can be used)
    """
    if _torch_is_for_cpus_only():
        return 0, "the installed torch is a build for CPUs only"
    try:
        driver = ctypes.CDLL(LIBRARY)
        device, count, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
        answers = [driver.cuInit(0), driver.cuDeviceGetCount(ctypes.byref(count))]
        if any(answers) or count.value == 0:
            return 0, "there is no GPU that CUDA can use"
        answers = [
            driver.cuDeviceGet(ctypes.byref(device), 0),
            driver.cuDeviceTotalMem_v2(ctypes.byref(size), device),
        ]
    except (OSError, AttributeError):
        return 0, "there is no GPU that CUDA can use"
    return (0, "the GPU's driver does not answer") if any(answers) else (size.value, "")


def _torch_is_for_cpus_only() -> bool:
    try:
        return metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return True
