"""`python -m diffusion2` is the command `diffusion2`."""

from diffusion2.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
