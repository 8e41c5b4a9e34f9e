"""PLY files: their header, and their elements as columns. Text and both binary orders, any lists."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffusion2.errors import InputError

MAX_HEADER = 1 << 16
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "a"}
TYPES = {
    name: numpy_name
    for numpy_name, names in {
        "i1": ("char", "int8"),
        "u1": ("uchar", "uint8"),
        "i2": ("short", "int16"),
        "u2": ("ushort", "uint16"),
        "i4": ("int", "int32"),
        "u4": ("uint", "uint32"),
        "f4": ("float", "float32"),
        "f8": ("double", "float64"),
    }.items()
    for name in names
}


@dataclass(frozen=True)
class Property:
    """A column: numbers, or lists of numbers whose lengths are of another type."""

    name: str
    dtype: str
    length_dtype: str | None = None


@dataclass(frozen=True)
class Element:
    """A table of so many rows."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.properties]


@dataclass(frozen=True)
class Header:
    """What a file holds: its order ("<", ">", "a" for text), tables, comments, and where the data begin."""

    order: str
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    size: int

    def element(self, name: str) -> Element | None:
        """Find a table."""
        return next((element for element in self.elements if element.name == name), None)


@dataclass(frozen=True)
class Lists:
    """A column of lists: all values one after another, and each list's length."""

    values: np.ndarray
    lengths: np.ndarray


Columns = dict[str, "np.ndarray | Lists"]


def read_header(path: Path) -> Header | None:
    """Read a header; None where the file is no PLY or its header makes no sense."""
    with path.open("rb") as file:
        begin = file.read(MAX_HEADER)
    text, found, after = begin.partition(b"end_header")
    if begin[:3] != b"ply" or not found:
        return None
    size = len(text) + len(found) + (2 if after[:2] == b"\r\n" else 1)
    order, comments = "", []
    tables: list[tuple[str, int, list[Property]]] = []
    for line in text.decode("utf-8", "replace").splitlines():
        match line.split():
            case ["format", name, *_]:
                order = ORDERS.get(name, "")
            case ["comment" | "obj_info", *_]:
                comments.append(line.strip().partition(" ")[2])
            case ["element", name, count] if count.isdecimal():
                tables.append((name, int(count), []))
            case ["property", "list", length, kind, name] if tables and {length, kind} <= TYPES.keys():
                tables[-1][2].append(Property(name, TYPES[kind], TYPES[length]))
            case ["property", kind, name] if tables and kind in TYPES:
                tables[-1][2].append(Property(name, TYPES[kind]))
            case ["element" | "property", *_]:
                return None
    elements = tuple(Element(name, count, tuple(columns)) for name, count, columns in tables)
    if not order or any(len(set(element.names)) != len(element.names) for element in elements):
        return None
    return Header(order, elements, tuple(comments), size)


def read_elements(path: Path, header: Header, last: str) -> dict[str, Columns]:
    """Read the tables from the first to a named one; what needs no copy stays in the file.

    Raises:
        InputError: the file is cut off or damaged.
    """
    order, stream = header.order, np.zeros(0, np.uint8)
    if order == "a":  # as if it were a binary file of float64 numbers only
        stream = _numbers(path, header.size).view(np.uint8)
    elif path.stat().st_size > header.size:
        stream = np.memmap(path, np.uint8, "r", header.size)
    start, tables = 0, {}
    for element in header.elements:
        tables[element.name], start = _read_element(path, order, element, stream, start)
        if element.name == last:
            break
    return tables


def _numbers(path: Path, start: int) -> np.ndarray:
    """Read the data of a text file as one row of numbers."""
    with path.open("rb") as file, warnings.catch_warnings():
        file.seek(start)
        warnings.simplefilter("error", DeprecationWarning)  # where numpy meets something else
        try:
            return np.fromstring(file.read().decode("ascii"), np.float64, sep=" ")
        except (DeprecationWarning, ValueError) as error:
            raise InputError(
                f"{path} is damaged: there is something else than numbers in its data"
            ) from error


def _read_element(
    path: Path, order: str, element: Element, stream: np.ndarray, start: int
) -> tuple[Columns, int]:
    """Read a table from where it starts in a stream of bytes, in runs of rows whose lists are as long."""
    runs: list[np.ndarray] = []
    done, window = 0, element.count
    while done < element.count:
        row = _row_type(order, element, stream, start)
        many = 0 if row is None else min((len(stream) - start) // row.itemsize, element.count - done, window)
        if row is None or many == 0:
            break
        rows = np.ndarray((many,), row, stream, start)
        alike = np.ones(many, bool)
        for column in element.properties:
            if column.length_dtype:
                lengths = rows[f"{column.name} "]
                alike &= lengths == lengths[0]
        many = many if alike.all() else int(alike.argmin())
        runs.append(rows[:many])
        start, done = start + many * row.itemsize, done + many
        window = 2 * many + 16  # few rows are looked at where they differ, more where they are alike again
    if done < element.count:
        what = (
            "Gaussians"
            if element.name == "vertex" and "opacity" in element.names
            else f"{element.name} entries"
        )
        raise InputError(f"{path} is cut off: {done} of {element.count} {what} are there")
    return {column.name: _column(column, runs) for column in element.properties}, start


def _row_type(order: str, element: Element, stream: np.ndarray, start: int) -> np.dtype | None:
    """Tell how the row that starts in a place is laid out; None where the stream ends in it."""
    fields: list[tuple] = []
    size = 0
    for column in element.properties:
        kind = "f8" if order == "a" else order + column.dtype
        if column.length_dtype is None:
            fields.append((column.name, kind))
            size += np.dtype(kind).itemsize
            continue
        length_kind = np.dtype("f8" if order == "a" else order + column.length_dtype)
        if start + size + length_kind.itemsize > len(stream):
            return None
        length = int(np.ndarray((), length_kind, stream, start + size))
        size += length_kind.itemsize + length * np.dtype(kind).itemsize
        if not 0 <= length <= len(stream):
            return None
        fields += [(f"{column.name} ", length_kind), (column.name, kind, (length,))]
    return np.dtype(fields)


def _column(column: Property, runs: list[np.ndarray]) -> "np.ndarray | Lists":
    parts = [run[column.name] for run in runs]
    if column.length_dtype is None:
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, column.dtype), *parts])
    lengths = [np.full(len(part), part.shape[1]) for part in parts]
    values = np.concatenate([np.zeros(0, column.dtype), *(part.reshape(-1) for part in parts)])
    return Lists(values, np.concatenate([np.zeros(0, np.int64), *lengths]))
