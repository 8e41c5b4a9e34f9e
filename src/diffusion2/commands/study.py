"""The command that asks people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from diffusion2.errors import InputError


@dataclass(frozen=True)
class Study:
    """Write a page that asks people which of several results they prefer; or count their answers.

    A run's folder stands for the candidate of that name in the case of its parent folder's name:
    results/fox/ours is the candidate "ours" of the case "fox". CASE/NAME=FOLDER says it otherwise.
    """

    runs: Positional[tuple[str, ...]] = ()
    """Folders of the runs to compare, or CASE/NAME=FOLDER; every case with the same candidates."""
    out: Path | None = None
    """The page, FILE.html; it works offline, and answers are saved from it as CSV."""
    reference: str | None = None
    """Name of the run that is shown as the reference in each case; by default what the runs started from."""
    show: Literal["orbit", "matrix"] = "orbit"
    """What people see of a run: its orbit.mp4, or four views of its image matrix."""
    title: str = "Comparison of moving objects"
    """The page's heading."""
    seed: int = 0
    """Seed of the order in which candidates are shown."""
    count: tuple[Path, ...] = ()
    """Instead: files of answers to count, as in Table 1 of the paper."""

    def run(self) -> None:
        """Write the page, or count."""
        if self.count:
            self._count()
        else:
            self._write()

    def _count(self) -> None:
        from diffusion2.research.study.answers import count_answers, format_preferences

        if self.runs or self.out is not None:
            raise InputError("--count takes files of answers only: leave out the runs and --out")
        print("\n".join(format_preferences(count_answers(self.count))))

    def _write(self) -> None:
        from diffusion2.research.study.page import read_cases, write_study

        if self.out is None:
            raise InputError("say where the page goes by --out FILE.html, or count answers by --count FILES")
        if self.out.suffix != ".html":
            raise InputError(f"the page is an HTML file: --out {self.out.with_suffix('.html')}")
        cases = read_cases(self.runs, reference=self.reference, show=self.show)
        write_study(cases, self.out, title=self.title, seed=self.seed)
        objects = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
        print(f"wrote {self.out}: {objects} of {len(cases[0].candidates)} candidates")
