"""The commands. A field is an option, its docstring is the help, and `run` does the work.

Each `run` imports what it needs when it is called: `--help` must not wait for torch.
"""

from typing import Annotated, Any, Union

from tyro import MISSING
from tyro.conf import subcommand

from diffusion2.commands.ablation import Ablate, Benchmark
from diffusion2.commands.asset import Export, Render
from diffusion2.commands.dataset import RenderDataset
from diffusion2.commands.evaluation import Evaluate
from diffusion2.commands.machine import Doctor, Weights
from diffusion2.commands.pages import App, View
from diffusion2.commands.run import Generate, Preview, Reconstruct, Sample
from diffusion2.commands.study import Study
from diffusion2.commands.training import Train
from diffusion2.config import GenerateSettings, InputSettings


def command_types(settings: GenerateSettings, inputs: InputSettings) -> Any:
    """Make the union of all commands, with a run's options at these defaults."""
    generate = Generate(out=MISSING, settings=settings, input_settings=inputs)
    sample = Sample(out=MISSING, settings=settings, input_settings=inputs)
    preview = Preview(out=MISSING, input_settings=inputs)
    reconstruct = Reconstruct(folder=MISSING, seed=settings.seed, reconstruction=settings.reconstruction)
    return Union[  # noqa: UP007 (members are made at run time)
        Annotated[Generate, subcommand("generate", default=generate)],
        Annotated[Sample, subcommand("sample", default=sample)],
        Annotated[Preview, subcommand("preview", default=preview)],
        Annotated[Reconstruct, subcommand("reconstruct", default=reconstruct)],
        Annotated[Render, subcommand("render")],
        Annotated[Export, subcommand("export")],
        Annotated[View, subcommand("view")],
        Annotated[App, subcommand("app")],
        Annotated[Weights, subcommand("weights")],
        Annotated[Evaluate, subcommand("evaluate")],
        Annotated[RenderDataset, subcommand("render-dataset")],
        Annotated[Benchmark, subcommand("benchmark")],
        Annotated[Ablate, subcommand("ablate")],
        Annotated[Study, subcommand("study")],
        Annotated[Train, subcommand("train")],
        Annotated[Doctor, subcommand("doctor")],
    ]
