"""Time what `make demo` does after installation: each stage, the whole, and the memory.

    .venv/bin/python benchmarks/demo.py [PICTURE]

Stage times are those in the run's events.jsonl; the memory is the largest resident set of the process.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "creature.png"


def main() -> None:
    """Run once and print."""
    picture = sys.argv[1] if len(sys.argv) > 1 else str(EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "diffusion2", "generate", picture, "--out", str(out)]
        command += ["--preset", "mini"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole = time.perf_counter() - start
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    stages = [(e["stage"], e["seconds"]) for e in events if e["event"] == "StageFinished"]
    for stage, seconds in stages:
        print(f"{stage:20} {seconds:7.1f} s")
    print(f"{'start and files':20} {whole - sum(seconds for _, seconds in stages):7.1f} s")
    print(f"{'whole':20} {whole:7.1f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"{'memory':20} {peak:7.2f} GiB")


if __name__ == "__main__":
    main()
