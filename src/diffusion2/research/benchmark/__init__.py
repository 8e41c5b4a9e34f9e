"""Methods on creatures with ground truth: `diffusion2 benchmark` and the paper's ablation."""
