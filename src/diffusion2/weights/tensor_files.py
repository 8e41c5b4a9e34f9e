"""Tensors in safetensors files, also of 8 bits, and the parameters that are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffusion2.errors import WeightsError, in_one_line

SCALES = ".scales"
"""What a matrix of 8 bits in a file is multiplied with, row by row, lies there under its name and this."""
LARGEST = 127
SCALE_BITS = 16
"""Of a scale's mantissa: so few that its product with a number of 8 bits is exact in float32."""


def to_8_bits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round a network's parameters for a file of a quarter of the size.

    Args:
        tensors: by name, floating point.

    Returns:
        Of each that has rows, int8 in [-127, 127] and under NAME.scales one for each row, float32: their
        product is off by half a scale at most, a 254th of the row's largest value. The others are float16.
        What is read of such a file becomes the same file again.
    """
    stored = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2:
            stored[name] = tensor.half()
            continue
        mantissas, exponents = torch.frexp(tensor.float().flatten(1).abs().amax(1) / LARGEST)
        scales = torch.ldexp((mantissas * 2**SCALE_BITS).round(), exponents - SCALE_BITS)
        values = tensor.float() / _as_rows(scales, tensor).clamp(min=torch.finfo(torch.float32).tiny)
        stored[name], stored[name + SCALES] = values.round().clamp(-LARGEST, LARGEST).to(torch.int8), scales
    return stored


def _as_rows(scales: Tensor, tensor: Tensor) -> Tensor:
    return scales.view(-1, *(1,) * (tensor.ndim - 1))


@dataclass(frozen=True)
class TensorSource:
    """Where a parameter comes from.

    Attributes:
        name: of the tensor in the file.
        shape: of the parameter that is made of it.
        change: makes the parameter of the tensor; None: they are the same.
    """

    name: str
    shape: tuple[int, ...]
    change: Callable[[Tensor], Tensor] | None = None

    def read(self, files: "TensorFiles") -> Tensor:
        """Make the parameter of what the files hold; it must not be changed in place."""
        tensor = files.read(self.name)
        return tensor if self.change is None else self.change(tensor)


Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of the tensors in a file, by name."""
Sources = Mapping[str, TensorSource]
"""Where the parameters of a network come from, by the parameter's name."""


class TensorFiles:
    """The tensors of one or several safetensors files, which are read one at a time.

    Args:
        paths: the files; of a network in several parts, all of them.

    Raises:
        WeightsError: a file is missing, cut short or no safetensors file.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.path = paths[0]
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._files: dict[str, Any] = {}
        for path in paths:
            if not path.is_file():
                raise WeightsError(f"{path} does not exist")
            try:
                file: Any = safe_open(path, "pt")
                for name in file.keys():
                    self._files[name] = file
                    self.shapes[name] = tuple(file.get_slice(name).get_shape())
            except (SafetensorError, OSError) as error:
                raise WeightsError(
                    f"{path} is damaged or not a safetensors file: {in_one_line(error)}"
                ) from error
        self._scales = {name: self.shapes.pop(name) for name in list(self.shapes) if name.endswith(SCALES)}

    def read(self, name: str) -> Tensor:
        """Read a tensor; its memory may be the file's own, so it must not be changed in place.

        Raises:
            WeightsError: it has 8 bits (see `to_8_bits`), and no scale for each of its rows.
        """
        tensor = self._files[name].get_tensor(name)
        if tensor.dtype != torch.int8:
            return tensor
        if self._scales.get(name + SCALES) != tensor.shape[:1]:
            raise WeightsError(f"{self.path} is damaged: it lacks scales for the rows of {name}")
        return tensor * _as_rows(self._files[name + SCALES].get_tensor(name + SCALES), tensor)

    def as_they_are(self) -> dict[str, TensorSource]:
        """Return the sources of a network whose parameters lie here under their own names."""
        return {name: TensorSource(name, shape) for name, shape in self.shapes.items()}
