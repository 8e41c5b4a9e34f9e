"""A result against another or the truth: `diffusion2 evaluate`."""
