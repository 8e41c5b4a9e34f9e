"""Hashes of files; those of large files are remembered, as reading gigabytes for each run takes long."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from diffusion2.atomic_files import write_json

REMEMBERED_FROM = 10_000_000
"""Bytes from which on a file's hash is remembered."""


def file_hash(path: Path) -> str:
    """Return a file's sha256, by reading it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_hash(path: Path) -> str:
    """Return a file's sha256: as it was found out before, if path, size and time of change are the same."""
    status = path.stat()
    if status.st_size < REMEMBERED_FROM:
        return file_hash(path)
    key, state = str(path.resolve()), [status.st_size, status.st_mtime_ns]
    known = _read()
    entry = known.get(key)
    if isinstance(entry, dict) and entry.get("state") == state and isinstance(entry.get("sha256"), str):
        return entry["sha256"]
    digest = file_hash(path)
    known = {k: v for k, v in known.items() if Path(k).is_file()} | {key: {"state": state, "sha256": digest}}
    # a home that can't be written to costs time, nothing else
    with contextlib.suppress(OSError):
        memory_path().parent.mkdir(parents=True, exist_ok=True)
        write_json(memory_path(), known)
    return digest


def memory_path() -> Path:
    """Return the file in which hashes are remembered, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "diffusion2" / "file_hashes.json"


def _read() -> dict[str, object]:
    try:
        known = json.loads(memory_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
