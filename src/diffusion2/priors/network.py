"""Priors made of a network: SVD and SV3D, at full size or small."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from diffusion2.cameras import Cameras
from diffusion2.errors import BackendUnavailable, in_one_line
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.device_memory import DeviceMemory
from diffusion2.priors.edm import scalings
from diffusion2.priors.embeddings import orbit_vector, video_vector
from diffusion2.priors.feature_reuse import FeatureReuse
from diffusion2.priors.guidance import Guidance
from diffusion2.priors.image_encoder import ImageEncoder
from diffusion2.priors.lifted_views import lifted_views, sees_lifted, with_lifted
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.unet import DeepFeatures, SpatioTemporalUNet
from diffusion2.priors.unet_blocks import FeatureBlend

PEAK = 20
"""Most memory that a call takes, in multiples of its images at the first level, T·h·w·C numbers. Counted at
the full size: 16 on a CPU, 19 where norms compute in float32, as on a GPU; docs/notes/performance.md."""


@dataclass(frozen=True)
class SequenceCondition:
    """What N sequences of T images are conditioned on.

    Attributes:
        latents: (N, T, C', h, w), or (N, 1, C', h, w) where all images of a sequence share them: what is
            joined to the noisy latents, first the unscaled latents of the condition pictures.
        context: (N, 1, D), their embeddings.
        vector: (N, T, A), or (N, 1, A) where all images of a sequence share one.
        guidance: how strongly they act.
        features: what the network keeps of the sequences between noise levels; None: nothing.
    """

    latents: Tensor
    context: Tensor
    vector: Tensor
    guidance: Guidance
    features: FeatureReuse | None = None

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.latents)

    def __getitem__(self, sequences: slice) -> "SequenceCondition":
        """Return the condition of some of the sequences."""
        return replace(
            self,
            latents=self.latents[sequences],
            context=self.context[sequences],
            vector=self.vector[sequences],
            features=self.features and self.features[sequences],
        )

    def to(self, device: torch.device) -> "SequenceCondition":
        """Return the condition on another device."""
        return replace(
            self,
            latents=self.latents.to(device),
            context=self.context.to(device),
            vector=self.vector.to(device),
        )


class NetworkPrior:
    """A network with its preconditioning and guidance.

    Args:
        network: predicts v, in the preconditioning of `edm.scalings`.
        dtype: the network computes in it by autocast, and its matrices and kernels are turned into it once;
            norms keep float32, as does what comes in and goes out.
        memory: of the device on which the network works; None: of the one it is on.
    """

    blend: FeatureBlend | None = None
    """How images share keys and values; see `feature_blending`."""
    fresh: frozenset[float] | None = None
    """The noise levels at which all is computed, see `FeatureReuse`; None: every one."""

    def __init__(
        self,
        network: SpatioTemporalUNet,
        dtype: torch.dtype = torch.float32,
        memory: DeviceMemory | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.dtype = dtype
        self.memory = memory or DeviceMemory(network.device)
        self._forward: Callable[..., Tensor] = self.network
        for module in self.network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d) and module.weight.dtype != dtype:
                module.to(dtype)

    def compile(self) -> None:
        """Let torch.compile make faster code of the network, at its first call for each shape."""
        compiled = torch.compile(self.network)

        def forward(*inputs: object) -> Tensor:
            try:
                return compiled(*inputs)
            except Exception as error:
                # torch's errors of this kind have no common base; what they have is where they come from
                if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                    raise
                raise BackendUnavailable(
                    f"torch.compile does not work here: {in_one_line(error)}: leave out --sampling.compile"
                ) from error

        self._forward = forward

    def reusing_features(self, fresh: frozenset[float]) -> Self:
        """Return this prior with deep features kept between noise levels; see `ConditionedPrior`."""
        prior = copy.copy(self)
        prior.fresh = fresh
        return prior

    @torch.no_grad()
    def denoise(self, latents: Tensor, sigma: float, condition: SequenceCondition) -> Tensor:
        """Estimate the clean latents with guidance; see `Prior.denoise`.

        The unconditional estimate has a condition latent and a context of zeros and the same added vector. It
        is left out where no image's scale differs from 1. Latents and conditions come from wherever the
        sampler has them, and the estimate goes there, in chunks that fit the memory of the network's device.
        """
        return self.memory.work(
            self.network,
            lambda part: self._denoise(latents[part], sigma, condition[part]).to(latents.device),
            len(latents),
            self.bytes_each(latents.shape, guided=condition.guidance.acts_at(sigma)),
            # images that share keys and values can't be told apart
            at_least=len(latents) if self.blend else 1,
            stays=True,
            what=f"sequence of {latents.shape[1]} images",
        )

    def half(self, condition: SequenceCondition, *, conditional: bool) -> SequenceCondition:
        """Get the condition of one of the two estimates that guidance combines; see `ConditionedPrior`."""
        unguided = replace(condition, guidance=Guidance(torch.ones_like(condition.guidance.scales)))
        return unguided if conditional else _unconditional(unguided)

    def bytes_each(self, shape: torch.Size, *, guided: bool) -> float:
        """Get the memory that one sequence takes while the network works on it, (N, T, C, h, w) of them."""
        _, frames, _, height, width = shape
        images = frames * height * width * self.network.config["block_out_channels"][0]
        return PEAK * images * self.dtype.itemsize * (2 if guided else 1)

    def _denoise(self, latents: Tensor, sigma: float, condition: SequenceCondition) -> Tensor:
        latents, condition = latents.to(self.memory.device), condition.to(self.memory.device)
        guidance = condition.guidance
        if not guidance.acts_at(sigma):
            return self._estimate(latents, sigma, condition)
        empty = _unconditional(condition)
        both = self._estimate(
            latents.repeat(2, 1, 1, 1, 1),
            sigma,
            replace(
                condition,
                latents=torch.cat([condition.latents, empty.latents]),
                context=torch.cat([condition.context, empty.context]),
                vector=condition.vector.repeat(2, 1, 1),
            ),
        )
        return guidance.combine(*both.chunk(2))

    def _estimate(self, latents: Tensor, sigma: float, condition: SequenceCondition) -> Tensor:
        c_skip, c_out, c_in, c_noise = scalings(torch.tensor(sigma, dtype=torch.float32))
        pictures = condition.latents.expand(-1, latents.shape[1], -1, -1, -1)
        reuse = condition.features
        deep = None if reuse is None else DeepFeatures(reuse.recall(sigma, len(latents)))
        with torch.autocast(latents.device.type, self.dtype, enabled=self.dtype != torch.float32):
            raw = self._forward(
                torch.cat([latents * c_in, pictures], dim=2),
                c_noise.to(latents.device).expand(len(latents)),
                condition.context,
                condition.vector,
                self.blend,
                deep,
            )
        if reuse is not None and deep is not None and deep.features is not None:
            reuse.keep(deep.features, len(latents))
        return c_skip * latents + c_out * raw.float()


def _unconditional(condition: SequenceCondition) -> SequenceCondition:
    latents, context = torch.zeros_like(condition.latents), torch.zeros_like(condition.context)
    return replace(condition, latents=latents, context=context)


class _PicturePrior(NetworkPrior):
    """A network prior that prepares its own conditions from pictures.

    Args:
        network: see `NetworkPrior`.
        codec: pictures to latents.
        encoder: pictures to context.
        dtype: see `NetworkPrior`.
        memory: see `NetworkPrior`.
    """

    def __init__(
        self,
        network: SpatioTemporalUNet,
        codec: LatentCodec,
        encoder: ImageEncoder,
        dtype: torch.dtype = torch.float32,
        memory: DeviceMemory | None = None,
    ) -> None:
        super().__init__(network, dtype, memory)
        self.codec, self.encoder = codec, encoder

    def _prepare(
        self,
        pictures: Tensor,
        vector: Tensor,
        guidance: Guidance,
        cond_aug: float,
        key: tuple[int, int, int],
    ) -> SequenceCondition:
        *stream, first = key
        noise = torch.stack([_picture_noise(p.shape, (*stream, n)) for n, p in enumerate(pictures, first)])
        # cond_aug counts in pixels from -1 to 1, twice as wide as ours
        latents = self.codec.encode_mode(pictures + cond_aug / 2 * noise)
        return SequenceCondition(
            latents=latents[:, None],
            context=self.encoder(pictures, latents).float(),
            vector=vector.expand(len(pictures), -1, -1),
            guidance=guidance,
            features=None if self.fresh is None else FeatureReuse(self.fresh, range(len(pictures))),
        )

    @property
    def _width(self) -> int:
        return int(self.network.config["addition_time_embed_dim"])


def _picture_noise(shape: torch.Size, key: tuple[int, ...]) -> Tensor:
    rng = np.random.default_rng(key)
    return torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32))


class NetworkVideoPrior(_PicturePrior):
    """SVD: a video that starts from its condition picture."""

    def prepare(
        self,
        pictures: Tensor,
        guidance: Guidance,
        *,
        fps_id: float = 24,
        motion_bucket_id: float = 127,
        cond_aug: float = 0.02,
        seed: int = 0,
        first: int = 0,
    ) -> SequenceCondition:
        """Prepare what N videos are conditioned on.

        Args:
            pictures: (N, P, H, W) in [0, 1], P as the codec has it, the first frame of each video.
            guidance: scales of the F frames.
            fps_id: see `video_vector`.
            motion_bucket_id: see `video_vector`.
            cond_aug: standard deviation of the noise added to the pictures, in [-1, 1] pixels.
            seed: of that noise.
            first: see `VideoPrior`.
        """
        vector = video_vector(fps_id, motion_bucket_id, cond_aug, self._width)
        return self._prepare(pictures, vector, guidance, cond_aug, (seed, 0, first))


class NetworkMultiviewPrior(_PicturePrior):
    """SV3D: the views of an orbit that ends at its condition picture.

    A network that takes more channels than noisy latents and the picture's is shown what the lifter makes of
    the picture, see `lifted_views`.

    Args:
        network: see `NetworkPrior`.
        codec: pictures to latents.
        encoder: pictures to context.
        dtype: see `NetworkPrior`.
        memory: see `NetworkPrior`.
        lifter: for a network that is shown what it makes; it works on the CPU.
    """

    def __init__(
        self,
        network: SpatioTemporalUNet,
        codec: LatentCodec,
        encoder: ImageEncoder,
        dtype: torch.dtype = torch.float32,
        memory: DeviceMemory | None = None,
        lifter: Lifter | None = None,
    ) -> None:
        super().__init__(network, codec, encoder, dtype, memory)
        self.lifter = lifter

    def prepare(
        self,
        pictures: Tensor,
        cameras: Cameras,
        guidance: Guidance,
        *,
        cond_aug: float = 1e-5,
        seed: int = 0,
        first: int = 0,
    ) -> SequenceCondition:
        """Prepare what N orbits are conditioned on.

        Args:
            pictures: (N, P, H, W) in [0, 1], P as the codec has it, the last view of each orbit.
            cameras: the V cameras of the orbit; azimuths count from the condition picture's camera.
            guidance: scales of the V views.
            cond_aug: standard deviation of the noise added to the pictures, in [-1, 1] pixels.
            seed: of that noise.
            first: see `MultiviewPrior`.
        """
        azimuths = torch.deg2rad(torch.as_tensor(cameras.azimuths_deg, dtype=torch.float64))
        elevations = torch.as_tensor(cameras.elevations_deg, dtype=torch.float64)
        polars = torch.deg2rad(90 - elevations).expand_as(azimuths)
        vector = orbit_vector(polars, azimuths, cond_aug, self._width)
        condition = self._prepare(pictures, vector, guidance, cond_aug, (seed, 1, first))
        if not sees_lifted(self.network.config):
            return condition
        assert self.lifter is not None
        lifted = lifted_views(self.lifter, self.codec.encode_mode, pictures, cameras)
        return replace(condition, latents=with_lifted(condition.latents[:, 0], lifted))
