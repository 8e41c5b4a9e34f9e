"""From what was named (inputs, patterns, lists, tables) to the runs that are meant, and their folders."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from diffusion2.batch.lists import LISTS, Entry, read_list
from diffusion2.config import GenerateSettings, InputSettings
from diffusion2.errors import InputError
from diffusion2.events import Report, Warned, ignore
from diffusion2.runs.source import Source

SUMMARY = "summary.json"
SHEET = "contact_sheet"
RESERVED = re.compile(rf"{re.escape(SUMMARY)}|{SHEET}.*\.png|\.+|\..*\.tmp|\.lock", re.IGNORECASE)
"""Names of our own files beside the runs' folders, and those that no folder can have."""
LONGEST_NAME = 60
"""Characters of a name that is made of a prompt."""
NAMED_AT_ONCE = 3
"""Missing files that are named in one message."""


@dataclass(frozen=True)
class Job:
    """One run of many.

    Attributes:
        name: of its folder, beside those of the others.
        out: that folder.
        source: what it starts from.
        settings: with which it is made.
        overwrite: whether a run that is there is made anew.
    """

    name: str
    out: Path
    source: Source
    settings: GenerateSettings
    overwrite: bool = False


def are_many(inputs: Iterable[Path]) -> bool:
    """Tell whether inputs, as a command has them, are more than one: several, a pattern or a list."""
    paths = list(inputs)
    return len(paths) > 1 or any(_is_collective(path) for path in paths)


def read_jobs(
    inputs: Iterable[str | Path | Source],
    out: Path,
    settings: GenerateSettings,
    input_settings: InputSettings,
    *,
    overwrite: bool = False,
    report: Report = ignore,
) -> list[Job]:
    """Find all runs that are meant and give each a folder.

    Args:
        inputs: files, patterns such as `*.png`, lists (.txt), tables (.csv), or sources.
        out: where the folders will be.
        settings: for what no table says otherwise.
        input_settings: how inputs are read, where no table or source says otherwise.
        overwrite: whether runs that are there are made anew.
        report: takes a note for every name that had to be changed, and what was named twice.

    Raises:
        InputError: a file is missing, a list says something that can't be meant, or two runs would have the
            same folder.
    """
    entries = [entry for given in inputs for entry in _entries(given, settings, input_settings)]
    if not entries:
        raise InputError("nothing to start from: the inputs name no file")
    _refuse_missing(entries)
    entries = _each_once(entries, report)
    names = _choose_names(entries, out, report)
    return [
        Job(name, out / name, entry.source, entry.settings, overwrite)
        for name, entry in zip(names, entries, strict=True)
    ]


def _entries(
    given: str | Path | Source, settings: GenerateSettings, input_settings: InputSettings
) -> Iterator[Entry]:
    if isinstance(given, Source):
        yield Entry(given, settings)
        return
    path = Path(given)
    if _is_pattern(path):
        found = sorted(glob.glob(str(path), recursive=True))
        if not found:
            raise InputError(f"no file has a name like {path}")
        for name in found:
            yield Entry(Source(Path(name), settings=input_settings), settings)
    elif _is_collective(path) and path.is_file():
        yield from read_list(path, settings, input_settings)
    else:
        yield Entry(Source(path, settings=input_settings), settings)


def _is_collective(path: Path) -> bool:
    return _is_pattern(path) or (path.suffix.lower() in LISTS and not path.is_dir())


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path)) and not path.exists()


def _refuse_missing(entries: list[Entry]) -> None:
    missing = [
        f"{entry.said}there is no file {path}"
        for entry in entries
        for path in entry.source.files.values()
        if not os.path.exists(path)  # also of a name that no file can have
    ]
    if missing:
        more = len(missing) - NAMED_AT_ONCE
        rest = f"; and {more} more are missing" if more > 0 else ""
        raise InputError("; ".join(missing[:NAMED_AT_ONCE]) + rest)


def _each_once(entries: list[Entry], report: Report) -> list[Entry]:
    """Leave out what would be made twice in the same way, unless each was given a name."""
    kept: list[Entry] = []
    seen = set()
    for entry in entries:
        files = tuple((part, path.resolve()) for part, path in entry.source.files.items())
        key = (files, entry.source.prompt, entry.source.settings, entry.settings)
        if entry.name is None and key in seen:
            report(Warned(f"{entry.said}{entry.source} is named twice, and is made once"))
        else:
            kept.append(entry)
        seen.add(key)
    return kept


def _choose_names(entries: list[Entry], out: Path, report: Report) -> list[str]:
    """Name every run's folder: as a table says, or else like its input, numbered where that is taken."""
    taken: set[str] = set()
    for entry in entries:
        if entry.name is not None:
            _refuse_name(entry, taken)
            taken.add(entry.name.casefold())
    names = []
    for entry in entries:
        if entry.name is not None:
            names.append(entry.name)
            continue
        wanted = name = _name_of(entry.source)
        number = 1
        while name.casefold() in taken or RESERVED.fullmatch(name):
            number += 1
            name = f"{wanted}_{number}"
        if name != wanted:
            report(Warned(f"{entry.said}{entry.source} goes to {out / name}, as {wanted} is taken"))
        taken.add(name.casefold())
        names.append(name)
    return names


def _refuse_name(entry: Entry, taken: set[str]) -> None:
    name = entry.name or ""
    if name.casefold() in taken:
        raise InputError(f"{entry.said}the name {name} is that of another run: each needs its own")
    if Path(name).name != name or "\\" in name or RESERVED.fullmatch(name):
        raise InputError(f"{entry.said}{name!r} can't be the name of a run's folder")


def _name_of(source: Source) -> str:
    for path in source.files.values():
        return path.resolve().name if path.is_dir() else path.stem
    return re.sub(r"\W+", "-", source.prompt)[:LONGEST_NAME].strip("-") or "run"
