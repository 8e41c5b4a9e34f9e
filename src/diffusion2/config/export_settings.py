"""What decides what an exported file holds. A field is an option of `export`, as in `settings`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from diffusion2.config.checks import Between, Settings


@dataclass(frozen=True)
class MeshSettings(Settings):
    """How a mesh is made of an asset."""

    resolution: Annotated[int, Between(8, 1024)] = 144
    """Cells of the grid in which the surface is found, along the object's longest side."""
    smoothing: Annotated[int, Between(0, 1000)] = 3
    """Rounds of smoothing."""
    triangles: Annotated[int, Between(4, 10_000_000)] = 12_000
    """About how many triangles it may have."""
    texture_size: Annotated[int, Between(16, 16384)] = 512
    """Height and width of the texture in texels."""
    picture_size: Annotated[int, Between(16, 8192)] = 512
    """Height and width of the pictures of the asset that depths and colours are taken from."""
    texture_rounds: Annotated[int, Between(0, 10_000)] = 4
    """Rounds in which the texture is fitted to the matrix; 0: none."""


@dataclass(frozen=True)
class ExportSettings(Settings):
    """How an asset is exported. Which formats heed a setting says the table in `exporters/formats.py`."""

    time: Annotated[float | None, Between(0, 1)] = None
    """The moment to write, from 0 to 1; None: the motion, or moment 0 where a format holds one alone."""
    pad_sh: bool = False
    """Write 45 harmonics above degree 0 into a .ply, zeros where there are none, for programs that insist."""
    spz_version: Annotated[int, Between(3, 4)] = 3
    """The version of an .spz: 3, which more programs read, or 4, which is a little smaller."""
    animation: Literal["skin", "morph"] = "skin"
    """How a mesh moves in .glb and .usd…: by bones, which is small; or by morph targets, or points, exact at
    each key."""
    mesh: MeshSettings = field(default_factory=MeshSettings)
