"""`python -m diffusion2` is the command `diffusion2`."""

import os
import sys

from diffusion2.cli import main


def run() -> None:
    """Run the command of the process's arguments, and end the process with its status."""
    try:
        status = main()
    except SystemExit as end:
        status = int(end.code or 0)
    if status and os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        sys.stdout.flush()
        os._exit(status)  # what would wait at the end for processes that never answer doesn't
    raise SystemExit(status)


if __name__ == "__main__":
    run()
