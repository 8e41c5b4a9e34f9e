"""CLIP similarity of pictures: the cosine between two pictures' embeddings by ViT-B/32.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021). The
network is that of `transformers`. It is taken from a folder or from the Hugging Face cache; nothing is
downloaded, so that measuring never waits for a network that is not there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from diffusion2.errors import InputError, WeightsError
from diffusion2.pictures import from_pixels, to_pixels
from diffusion2.weights.packaged import FOLDER_VARIABLE, weights_folder

HUB_NAME = "openai/clip-vit-base-patch32"
FOLDER_NAME = "clip-vit-base-patch32"
HINT = (
    f"run `hf download {HUB_NAME} config.json pytorch_model.bin` once, or put these files into the folder "
    f"{FOLDER_NAME} of a folder that {FOLDER_VARIABLE} names"
)
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PICTURES_AT_ONCE = 32


class ClipSimilarity(nn.Module):
    """Compares pictures by their embeddings.

    Args:
        network: gives `image_embeds` for `pixel_values`, as CLIPVisionModelWithProjection.
        size: pixels a side that it takes.
        source: where it came from; to be named beside results.
    """

    def __init__(self, network: nn.Module, size: int, source: str) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size, self.source = size, source

    @torch.no_grad()
    def embeddings(self, images: Tensor) -> Tensor:
        """Return the embeddings (B, D), of unit length, of pictures (B, 3, H, W) in [0, 1]."""
        device = next(self.network.parameters()).device
        found = [
            self.network(pixel_values=prepare_pictures(part, self.size).to(device)).image_embeds
            for part in images.split(PICTURES_AT_ONCE)
        ]
        return F.normalize(torch.cat(found), dim=1)

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the cosines (B,) between two batches (B, 3, H, W) in [0, 1]; 1 for equal pictures.

        Raises:
            InputError: the batches are not of pictures, or not of the same number.
        """
        for batch in (images, others):
            if batch.ndim != 4 or batch.shape[1] != 3:
                raise InputError(f"CLIP compares pictures (B, 3, H, W), not {tuple(batch.shape)}")
        if len(images) != len(others):
            raise InputError(f"CLIP compares pairs of pictures, not {len(images)} with {len(others)}")
        return (self.embeddings(images) * self.embeddings(others)).sum(1)


def prepare_pictures(images: Tensor, size: int) -> Tensor:
    """Turn pictures (B, 3, H, W) in [0, 1] into what CLIP was trained on (B, 3, size, size).

    As CLIP's own preprocessing, to the bit: 8-bit pictures, the shorter side resized to `size` by Pillow's
    bicubic interpolation, the middle cut out, then normalised per channel.
    """
    pixels = to_pixels(images)
    height, width = pixels.shape[1:3]
    if height <= width:
        resized = (int(size * width / height), size)
    else:
        resized = (size, int(size * height / width))
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    cut = [
        np.asarray(Image.fromarray(picture).resize(resized, Image.Resampling.BICUBIC))[
            top : top + size, left : left + size
        ]
        for picture in pixels
    ]
    prepared = from_pixels(np.stack(cut))
    mean, std = (prepared.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (prepared - mean) / std


def load_clip(source: str | Path | None = None) -> ClipSimilarity:
    """Load CLIP from a folder or from the Hugging Face cache.

    Args:
        source: a folder with `config.json` and weights, or a model's name on the hub. If None, the folder
            `clip-vit-base-patch32` in DIFFUSION2_METRIC_WEIGHTS, else the hub's ViT-B/32.

    Raises:
        WeightsError: it is in neither place, or its weights are not those of a CLIP image encoder.
    """
    chosen = find_clip_weights(source)
    # Takes seconds to import; without weights nothing has to wait for it.
    from transformers import CLIPVisionModelWithProjection

    with _quiet_transformers():
        try:
            loaded: Any = CLIPVisionModelWithProjection.from_pretrained(
                chosen, local_files_only=True, output_loading_info=True
            )
        except Exception as error:
            # Its errors for missing and broken files have no common class, and texts of many lines.
            raise WeightsError(f"CLIP similarity can't load {chosen}: {HINT}") from error
    network, report = loaded
    if report["missing_keys"] or report["mismatched_keys"]:
        raise WeightsError(f"{chosen} has not all weights of a CLIP image encoder: {HINT}")
    return ClipSimilarity(network, network.config.image_size, chosen)


def find_clip_weights(source: str | Path | None = None) -> str:
    """Return the folder or the name on the hub that CLIP can be loaded from; see `load_clip`.

    Raises:
        WeightsError: it is no folder and not in the Hugging Face cache.
    """
    chosen = str(source or _folder_of_environment() or HUB_NAME)
    if not _is_here(chosen):
        raise WeightsError(
            f"CLIP similarity needs {chosen}, which is no folder and not in the Hugging Face cache: {HINT}"
        )
    return chosen


def _is_here(source: str) -> bool:
    if Path(source).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(source, "config.json"), str)
    except ValueError:  # not a name that a model on the hub can have
        return False


def _folder_of_environment() -> Path | None:
    folder = weights_folder()
    return folder / FOLDER_NAME if folder is not None and (folder / FOLDER_NAME).is_dir() else None


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers from printing a bar, and a table of the text encoder's weights that are not used."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
