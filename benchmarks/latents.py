"""How predictable latents are: where their variance lies, and whether they move with the picture.

    python benchmarks/latents.py MODEL.glb [WEIGHTS]

Latents in which a small shift of the object changes everything can't be predicted by a small network. For
orbits around a model, shifted by 1 to 8 pixels: the error of the unmoved latents and of those moved by linear
interpolation, each as a share of their spread. WEIGHTS is a folder like the package's `mini_weights`.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.cameras import orbit
from diffusion2.meshes import MeshRenderer, load_model
from diffusion2.pictures import from_pixels, pixels_on_white
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.mini import load_pair
from diffusion2.training.data import clip_framing

BANDS = ((1, 2), (2, 4), (4, 6), (6, 99))
"""Waves across the picture, from and below."""


def main() -> None:
    """Print both tables."""
    codec = load_pair(folder=Path(sys.argv[2]) if len(sys.argv) > 2 else None).codec
    assert isinstance(codec, LatentCodec)
    model = load_model(Path(sys.argv[1]))
    framing = clip_framing(model, None, 0.7)
    pictures = from_pixels(pixels_on_white(MeshRenderer(model, 128).render(orbit(12), framing)))
    latents = codec.encode_scaled(pictures)
    shares = ", ".join(
        f"{low} to {high - 1}: {share:.0%}" if high < 99 else f"{low} and more: {share:.0%}"
        for (low, high), share in zip(BANDS, _band_shares(latents), strict=True)
    )
    print(f"variance by waves across the picture: {shares}")
    spread = (latents - latents.mean((0, 2, 3), keepdim=True)).square().mean().sqrt()
    print("shift (px)  unmoved  interpolated")
    for shift in (1, 2, 4, 8):
        moved = codec.encode_scaled(pictures.roll(shift, -1))
        share = shift / codec.factor
        guess = (1 - share) * latents + share * latents.roll(1, -1)
        errors = [float((moved - g).square().mean().sqrt() / spread) for g in (latents, guess)]
        print(f"{shift:10d}  {errors[0]:7.2f}  {errors[1]:12.2f}")


def _band_shares(latents: Tensor) -> list[float]:
    side = latents.shape[-1]
    energy = torch.fft.fft2(latents - latents.mean((2, 3), keepdim=True)).abs().square().sum((0, 1))
    waves = torch.fft.fftfreq(side) * side
    radius = (waves[:, None].square() + waves.square()).sqrt().round()
    return [float(energy[(radius >= low) & (radius < high)].sum() / energy.sum()) for low, high in BANDS]


if __name__ == "__main__":
    main()
