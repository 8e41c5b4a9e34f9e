"""Lists of inputs: one a line (.txt), or a table with settings for each (.csv)."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from diffusion2.config import GenerateSettings, InputSettings, closest, move_to_preset
from diffusion2.errors import InputError, in_one_line
from diffusion2.runs.source import Source

LISTS = {".txt", ".csv"}
PARTS = {"input": "input", "video": "video", "given_views": "views", "mask": "mask"}
"""Columns of a table that name files, and which part of a source they are."""
OTHERS = ("prompt", "name", "preset")
"""Columns that name none and are no settings."""


@dataclass(frozen=True)
class Entry:
    """One run that was named.

    Attributes:
        source: what it starts from.
        settings: with which it is made.
        name: of its folder, where a table says it.
        place: where it was named, "list.csv, line 3", or "" in the call itself.
    """

    source: Source
    settings: GenerateSettings
    name: str | None = None
    place: str = ""

    @property
    def said(self) -> str:
        """Return the beginning of a message about it."""
        return f"{self.place}: " if self.place else ""


def read_list(path: Path, settings: GenerateSettings, input_settings: InputSettings) -> Iterator[Entry]:
    """Read a list; names of files in it are relative to its own folder.

    A text has one input a line; empty lines, and those that begin with #, are passed over. A table has a line
    of headings: `input`, `prompt`, `video`, `given_views`, `mask`, `name` (of the run's folder), `preset`, or
    any setting as on the command line (`seed`, `sampling.steps`). What a cell leaves empty is as for all.

    Args:
        path: the list.
        settings: for all.
        input_settings: how all are read.

    Raises:
        InputError: the file can't be read, or a line says what can't be meant; it names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no list of inputs, a text in UTF-8: {in_one_line(error)}") from error
    if "\0" in text:
        raise InputError(f"{path} is no list of inputs: it is no text")
    if path.suffix.lower() == ".csv":
        yield from _read_table(path, text, settings, input_settings)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            source = Source(path.parent / line.strip(), settings=input_settings)
            yield Entry(source, settings, place=f"{path}, line {number}")


def _read_table(
    path: Path, text: str, settings: GenerateSettings, input_settings: InputSettings
) -> Iterator[Entry]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ";" if ";" in first and "," not in first else ","  # as spreadsheets write where , is decimal
    lines = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise InputError(f"{path}, line {lines.line_num}: {in_one_line(error)}") from error
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        place = f"{path}, line {lines.line_num}"
        if columns is None:
            columns = _read_headings(cells, place)
            continue
        if len(cells) > len(columns):
            raise InputError(f"{place}: there are {len(cells)} cells for {len(columns)} columns")
        row = {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if cell.strip()}
        yield _to_entry(row, path.parent, place, settings, input_settings)


def _read_headings(cells: list[str], place: str) -> list[str]:
    """Return the columns' names, as fields are called.

    Raises:
        InputError: one is unknown, missing, or there twice.
    """
    known = [*PARTS, *OTHERS, *_settable()]
    columns = [cell.strip().removeprefix("--").replace("-", "_") for cell in cells]
    for column in columns:
        if column not in known:
            raise InputError(
                f"{place}: unknown column {column!r}{closest(column, known)}: the first line of a table says "
                f"what its columns are, {', '.join([*PARTS, *OTHERS])} or settings such as seed and "
                "sampling.steps"
            )
        if columns.count(column) > 1:
            raise InputError(f"{place}: the column {column} is there twice")
    if not {*PARTS, "prompt"} & {*columns} - {"mask"}:
        raise InputError(
            f"{place}: no column says what the runs start from: input, prompt, video or given_views"
        )
    return columns


def _settable() -> list[str]:
    return [name for name in GenerateSettings.names() if name != "preset"] + InputSettings.names()


def _to_entry(
    row: Mapping[str, str],
    folder: Path,
    place: str,
    settings: GenerateSettings,
    input_settings: InputSettings,
) -> Entry:
    of_inputs = set(InputSettings.names())
    others = {name: text for name, text in row.items() if name not in (*PARTS, *OTHERS)}
    try:
        if "preset" in row:
            settings = move_to_preset(settings, row["preset"])
        source = Source(
            prompt=row.get("prompt", ""),
            settings=input_settings.with_texts({n: t for n, t in others.items() if n in of_inputs}),
            **{part: folder / row[column] for column, part in PARTS.items() if column in row},
        )
        source.check()
        made_with = settings.with_texts({n: t for n, t in others.items() if n not in of_inputs})
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return Entry(source, made_with, row.get("name"), place)
