"""Pages of Markdown, and the places in them that tables are written into."""

from collections.abc import Collection
from pathlib import Path

from diffusion2.atomic_files import atomic_path
from diffusion2.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def fill_page(path: Path, sections: dict[str, str]) -> None:
    """Put text between the markers `<!-- begin NAME -->` and `<!-- end NAME -->` of a page.

    Raises:
        InputError: see `check_page`.
    """
    check_page(path, sections)
    text = path.read_text(encoding="utf-8")
    for name, content in sections.items():
        begin, end = _markers(name)
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{content}\n\n{end}{rest.split(end)[1]}"
    write_text(path, text.removesuffix("\n"))


def check_page(path: Path | None, sections: Collection[str]) -> None:
    """Refuse a page that can't be filled, before what is to fill it is measured; None is no page.

    Raises:
        InputError: there is no such page, or it lacks a marker.
    """
    if path is None:
        return
    if not path.is_file():
        raise InputError(f"there is no page {path} to write tables into")
    text = path.read_text(encoding="utf-8")
    for name in sections:
        begin, end = _markers(name)
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise InputError(f"{path} needs one line {begin.strip()} and after it one line {end}")


def _markers(section: str) -> tuple[str, str]:
    return f"<!-- begin {section} -->\n", f"<!-- end {section} -->"
