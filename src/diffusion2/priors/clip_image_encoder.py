"""The image encoder of SVD and SV3D: the vision half of CLIP, ViT-H, by transformers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from diffusion2.errors import WeightsError, in_one_line
from diffusion2.priors.antialiased_resize import resize_antialiased
from diffusion2.priors.device_memory import DeviceMemory

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on."""
PEAK, RESIZED = 4, 4
"""Most memory that a picture takes, in multiples of a layer's widest numbers, and of the picture's own."""


class ClipImageEncoder:
    """Gives a picture's embedding by CLIP as its context.

    Args:
        network: a `CLIPVisionModelWithProjection`.
        batch_size: pictures in one call of the network, at most.
        memory: of the device on which the network works; None: of the one it is on.
    """

    def __init__(self, network: Any, batch_size: int = 8, memory: DeviceMemory | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.memory = memory or DeviceMemory(network.device)
        self.batch_size = batch_size

    @property
    def width(self) -> int:
        """Return the length of an embedding."""
        return int(self.network.config.projection_dim)

    @torch.no_grad()
    def __call__(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """Encode pictures (N, 3, H, W) in [0, 1] to (N, 1, D), on the CPU; the latents do not matter."""
        config = self.network.config

        def encode(part: slice) -> Tensor:
            pixels = resize_antialiased(
                pictures[part].to(self.memory.device, torch.float32), config.image_size
            )
            mean, std = (pixels.new_tensor(values)[:, None, None] for values in (MEAN, STD))
            return self.network(((pixels - mean) / std).to(self.network.dtype)).image_embeds.cpu()

        tokens = (config.image_size // config.patch_size) ** 2 + 1
        bytes_each = PEAK * tokens * config.intermediate_size * self.network.dtype.itemsize
        embeddings = self.memory.work(
            self.network,
            encode,
            len(pictures),
            bytes_each + 4 * RESIZED * pictures[0].numel(),
            at_most=self.batch_size,
            what="picture in the image encoder",
        )
        return embeddings[:, None]


def build_empty_encoder(config: Mapping[str, Any], described_by: str) -> Any:
    """Build the network from its configuration, without memory for parameters.

    Raises:
        WeightsError: the configuration is not one of CLIP's vision half.
    """
    if config.get("model_type", "clip_vision_model") != "clip_vision_model":
        raise WeightsError(f"{described_by} describes a {config['model_type']}, not a CLIP image encoder")
    try:
        with torch.device("meta"):
            network: Any = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config)))
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{described_by} does not describe a CLIP image encoder: {in_one_line(error)}"
        ) from error
    # The one buffer that no file holds: the numbers of the patches.
    embeddings = network.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions)[None]
    return network
