"""The command that measures a result."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from diffusion2.commands.terminal import Terminal, print_table
from diffusion2.metrics.networks import NetworkName


@dataclass(frozen=True)
class Evaluate:
    """Measure a result against a reference: PSNR, SSIM, LPIPS, CLIP, FVD, motion, agreement of the views.

    Both are runs' folders or folders of views (eval_0/0.png …). Writes evaluation.json and evaluation.html.
    """

    result: Positional[Path]
    """A run's folder, its asset.safetensors, or a folder of views."""
    reference: Path
    """What is right: matrix/ and cameras.json, a capture with its cameras (docs/inputs.md), or a folder of
    views."""
    protocol: Literal["matrix", "paper"] = "matrix"
    """matrix: all pictures. paper: azimuths 0, -75, 15, 105, 195, the first 25 frames, at 512 x 512."""
    source: Annotated[Literal["auto", "matrix", "asset"], arg(name="from")] = "auto"
    """What of the run is measured: its matrix, or its asset drawn by the reference's cameras; auto: the
    matrix where its cameras are the reference's."""
    resample: bool = False
    """Even out differences in views, frames and size, which are refused otherwise."""
    azimuths_deg: tuple[float, ...] = ()
    """Azimuths of the views, for folders without cameras.json."""
    metrics: tuple[NetworkName, ...] = ("lpips_alex", "lpips_vgg", "clip", "i3d")
    """Networks that measure (i3d: FVD). What needs none is always measured."""
    clip: str | None = None
    """Folder or hub name of CLIP, if not openai/clip-vit-base-patch32."""
    out: Path | None = None
    """Folder of evaluation.json and evaluation.html; the result's folder if left out."""

    def run(self) -> None:
        """Measure, write, and print the table."""
        from diffusion2.evaluation.evaluate import evaluate
        from diffusion2.evaluation.pairing import PairingSettings
        from diffusion2.evaluation.tables import COLUMNS, NUMBERS, table_rows

        with Terminal() as terminal:
            evaluation = evaluate(
                self.result,
                self.reference,
                PairingSettings(self.protocol, self.source, self.resample, self.azimuths_deg),
                out=self.out,
                networks=self.metrics,
                clip=self.clip,
                report=terminal,
            )
        print_table(COLUMNS, table_rows(evaluation), numbers=NUMBERS)
