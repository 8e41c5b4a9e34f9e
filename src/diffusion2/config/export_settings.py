"""What decides what an exported file holds. A field is an option of `export`, as in `settings`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from diffusion2.config.checks import Between, Settings
from diffusion2.errors import InputError


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
    frame: Literal["world", "model"] = "world"
    """Axes, place and size: of our world, as docs/exports.md says for each format; or those of the 3D model's
    file, or of the capture, that the asset was made from, whatever the format."""
    camera: Literal["orbit", "fixed"] = "orbit"
    """How pictures are taken: the camera goes round once, or stays at the reference view."""
    camera_path: Path | None = None
    """A JSON file that says where the camera goes, instead; see docs/exports.md."""
    loop: Literal["auto", "forward", "pingpong"] = "auto"
    """How the motion is repeated: from the beginning, or forth and back; auto: from the beginning where it
    ends as it began."""
    background: str = "auto"
    """Behind the object: transparent, a colour such as white, "#204060" or navy; auto: transparent where a
    format holds that in full, else white."""
    fps: Annotated[float, Between(0.1, 240)] = 24.0
    """Pictures per second."""
    seconds: Annotated[float | None, Between(0.01, 3600)] = None
    """About how long pictures are taken; None: 6 for an orbit, one round of the motion for a camera that
    stays."""
    size: Annotated[int, Between(16, 8192)] = 384
    """Height and width of the pictures in pixels."""
    layout: Literal["dnerf", "colmap", "eval"] = "dnerf"
    """What a dataset looks like: transforms_train.json and its like with times; COLMAP's text files, a folder
    a frame; or folders eval_0 … of each view's pictures, without cameras."""
    held_out: Annotated[int, Between(0, 10_000)] = 0
    """So many views of a dataset of the layout dnerf, spread evenly, are for validation and test and not for
    training; 0: those parts repeat views of the training."""
    mesh: MeshSettings = field(default_factory=MeshSettings)

    def check_together(self) -> None:
        """Refuse what a camera path says itself, and what only one layout has."""
        if self.camera_path is not None:
            for name, usual in (("camera", "orbit"), ("seconds", None)):
                if getattr(self, name) != usual:
                    raise InputError(f"{name} says what the camera path says, too: leave one of them out")
        if self.held_out and self.layout != "dnerf":
            raise InputError(f"held_out is for the layout dnerf: {self.layout} has no parts")
