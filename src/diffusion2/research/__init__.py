"""What reproduces the paper: benchmark, ablation, theorem, user study. Only their commands import it."""
