"""Words as a picture, through any text-to-image pipeline of diffusers."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from diffusion2.config import InputSettings
from diffusion2.errors import InputError, WeightsError, in_one_line
from diffusion2.events import Report, ignore, stage

HUB_TIMEOUT_S = 10


def paint(prompt: str, settings: InputSettings, seed: int, report: Report = ignore) -> Image.Image:
    """Make a picture of what the words say.

    Args:
        prompt: what is wanted; `settings.prompt_suffix` is added.
        settings: which pipeline, how many steps.
        seed: of its noise.
        report: takes the events of the stage "text".

    Returns:
        An RGB picture of the pipeline's own size.

    Raises:
        WeightsError: the pipeline is not here and can't be fetched.
        InputError: it is no text-to-image pipeline, or it fails.
    """
    assert settings.text_model is not None
    with stage(report, "text"):
        pipeline = _load(settings.text_model)
        steps: dict[str, Any] = (
            {} if settings.text_steps is None else {"num_inference_steps": settings.text_steps}
        )
        try:
            made = pipeline(
                prompt + settings.prompt_suffix, generator=torch.Generator().manual_seed(seed), **steps
            )
            picture = made.images[0]
        except Exception as error:  # anything may go wrong in a pipeline that we don't know
            raise InputError(
                f"{settings.text_model} can't make a picture of a text: {in_one_line(error)}"
            ) from error
        finally:
            del pipeline
            if torch.cuda.is_available():  # the priors need the room
                torch.cuda.empty_cache()
    if not isinstance(picture, Image.Image):
        raise InputError(f"{settings.text_model} makes no pictures but {type(picture).__name__}")
    if picture.mode == "RGB" and picture.getbbox() is None:
        raise InputError(
            f"{settings.text_model} made a black picture, as it does where its safety checker objects: "
            "change the words or the seed"
        )
    return picture


def _load(name: str) -> Any:
    """Load a pipeline from its folder, from the cache, or from the hub; never code, never pickles."""
    is_here = Path(name).is_dir() or _is_cached(name)
    if not is_here:
        _check_hub(name)
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": is_here}
    if device == "cuda":
        options["torch_dtype"] = torch.float16
    try:
        pipeline: Any = DiffusionPipeline.from_pretrained(name, **options)
    except Exception as error:
        raise WeightsError(
            f"{name} can't be loaded as a pipeline of diffusers with safetensors: {in_one_line(error)}"
        ) from error
    if not hasattr(pipeline, "to") or not callable(pipeline):
        raise InputError(f"{name} is no text-to-image pipeline")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _is_cached(name: str) -> bool:
    """Tell whether a pipeline of the hub has been fetched, all of it."""
    from huggingface_hub import snapshot_download

    try:
        return (Path(snapshot_download(name, local_files_only=True)) / "model_index.json").is_file()
    except Exception:  # no such name, nothing there, or not all of it
        return False


def _check_hub(name: str) -> None:
    """Ask the hub for a pipeline once and briefly: loading would try for long where there is no network."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(name, timeout=HUB_TIMEOUT_S)
    except (HfHubHTTPError, HFValidationError) as error:
        raise WeightsError(
            f"there is no folder {name}, nor such a model on the hub: {in_one_line(error)}"
        ) from error
    except Exception as error:  # whatever the network raises
        raise WeightsError(
            f"there is no folder {name}, it is not in the hub's cache, and the hub can't be reached "
            f"({in_one_line(error)}): give the folder of a downloaded pipeline"
        ) from error
