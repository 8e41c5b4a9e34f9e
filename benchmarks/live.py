"""What it costs a run to be watched: the share of its time that goes into `.live/`.

    python benchmarks/live.py examples/creature.png --out /somewhere/run

It makes a run with the preset `mini`, and prints how long its files took, and how many there were.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import diffusion2.pipeline.work
from diffusion2 import generate
from diffusion2.runs.live import LiveFiles


class Counted(LiveFiles):
    """Counts what is written, and prints it at the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.began_s, self.written = (
            time.perf_counter(),
            dict.fromkeys((self.matrix_path, self.asset_path), 0),
        )

    def _offer(self, path: Path, write: Callable[[Path], None]) -> None:
        before = self.spent_s
        super()._offer(path, write)
        self.written[path] += self.spent_s > before

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self.began_s
        share = self.spent_s / seconds
        counts = ", ".join(f"{path.name} {count} times" for path, count in self.written.items())
        print(f"{self.spent_s:.2f} s of {seconds:.1f} s ({share:.2%}): {counts}")
        super().__exit__(*error)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    diffusion2.pipeline.work.LiveFiles = Counted  # type: ignore[misc]
    generate(arguments.input, arguments.out, "mini")


if __name__ == "__main__":
    main()
