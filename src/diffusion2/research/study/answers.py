"""The answers of a user study: what is asked, what a page of `study.py` saves, and how they are counted."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffusion2.errors import InputError, in_one_line


@dataclass(frozen=True)
class Question:
    """A question of the study.

    Attributes:
        key: its name in the answers.
        text: what people are asked.
        hint: what to look at.
    """

    key: str
    text: str
    hint: str


QUESTIONS = (
    Question(
        "reference",
        "Which agrees best with the reference?",
        "same look, same colours, same motion as on the left",
    ),
    Question(
        "multiview",
        "Which is most consistent from all sides?",
        "one solid object, whichever side is seen",
    ),
    Question("temporal", "Which moves most smoothly?", "no flicker, no jumps, nothing that comes and goes"),
    Question("overall", "Which is best overall?", "the one you would choose"),
)
"""The four criteria of the paper's user study, section A.5."""
COLUMNS = ("study", "seed", "participant", "case", "question", "chosen", "position", "shown", "time")
"""Of the CSV: `position` counts from 1, `shown` are the candidates in the order shown, with | between."""


@dataclass(frozen=True)
class Preferences:
    """What people prefer.

    Attributes:
        candidates: names, in alphabetical order.
        shares: per question key, the share of its answers that each candidate got.
        answers: per question key, how many answers there are.
        positions: how many answers fell on each place from the left, all questions together.
        participants: how many people answered.
        cases: how many cases they were asked about.
    """

    candidates: tuple[str, ...]
    shares: dict[str, tuple[float, ...]]
    answers: dict[str, int]
    positions: tuple[int, ...]
    participants: int
    cases: int


def count_answers(paths: Sequence[Path]) -> Preferences:
    """Count the answers of several files. One that was saved twice counts once, as it was saved last.

    Raises:
        InputError: a file can't be read, has other columns, or an answer that no page gives.
    """
    latest: dict[tuple[str, ...], dict[str, str]] = {}
    for path in paths:
        for row in _rows(path):
            key = (row["study"], row["participant"], row["case"], row["question"])
            if key not in latest or row["time"] >= latest[key]["time"]:
                latest[key] = row
    rows = list(latest.values())
    candidates = {name for row in rows for name in row["shown"].split("|")}
    for row in rows:
        missing = candidates - set(row["shown"].split("|"))
        if missing:
            raise InputError(
                f"case {row['case']} was asked without the candidate {min(missing)}, others with it: "
                "count studies of the same candidates only"
            )
    names = tuple(sorted(candidates))
    answers, shares = {}, {}
    for question in QUESTIONS:
        chosen = Counter(row["chosen"] for row in rows if row["question"] == question.key)
        answers[question.key] = chosen.total()
        shares[question.key] = tuple(chosen[name] / max(chosen.total(), 1) for name in names)
    positions = Counter(int(row["position"]) for row in rows)
    return Preferences(
        names,
        shares,
        answers,
        tuple(positions[k + 1] for k in range(len(names))),
        len({row["participant"] for row in rows}),
        len({row["case"] for row in rows}),
    )


def format_preferences(preferences: Preferences) -> list[str]:
    """Return the lines of a table as Table 1 of the paper: a row per question, a column per candidate."""
    titles = {q.key: q.text for q in QUESTIONS}
    first = max(len(title) for title in titles.values())
    widths = [max(len(name), 6) for name in preferences.candidates]

    def line(title: str, cells: Sequence[str], count: str) -> str:
        columns = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return f"{title:{first}}  {columns}  {count:>7}"

    lines = [line("", preferences.candidates, "answers")]
    for key, shares in preferences.shares.items():
        lines.append(line(titles[key], [f"{share:.1%}" for share in shares], str(preferences.answers[key])))
    total = max(sum(preferences.positions), 1)
    places = ", ".join(f"{chr(65 + k)} {n / total:.0%}" for k, n in enumerate(preferences.positions))
    people = "1 participant" if preferences.participants == 1 else f"{preferences.participants} participants"
    cases = "1 case" if preferences.cases == 1 else f"{preferences.cases} cases"
    return [*lines, f"{people}, {cases}; chosen by place: {places}"]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Read one file's answers and refuse what a page can't have saved."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(
                    f"{path} is not what a study page saves: its first line must be {','.join(COLUMNS)}"
                )
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} can't be read as answers: {in_one_line(error)}") from error
    if not rows:
        raise InputError(f"{path} has no answers")
    keys = {question.key for question in QUESTIONS}
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise InputError(f"{path}, line {number}: {len(COLUMNS)} values are expected")
        shown, place = row["shown"].split("|"), row["position"]
        if row["question"] not in keys:
            raise InputError(f"{path}, line {number}: there is no question {row['question']!r}")
        if not (
            place.isdecimal() and 0 < int(place) <= len(shown) and shown[int(place) - 1] == row["chosen"]
        ):
            raise InputError(
                f"{path}, line {number}: {row['chosen']!r} is not at position {place!r} of {row['shown']!r}"
            )
        yield row
