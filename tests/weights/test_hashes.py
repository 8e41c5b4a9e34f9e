"""Hashes that are remembered, and when they are not."""

import hashlib
import os
from pathlib import Path

import pytest

from diffusion2.weights import hashes as file_hashes
from diffusion2.weights.hashes import memory_path, remembered_hash


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hashes, "REMEMBERED_FROM", 4)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files have been read."""
    paths: list[Path] = []
    whole = file_hashes.file_hash
    monkeypatch.setattr(file_hashes, "file_hash", lambda path: paths.append(path) or whole(path))
    return paths


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"12345")
    expected = hashlib.sha256(b"12345").hexdigest()
    assert [remembered_hash(file) for _ in range(3)] == [expected] * 3
    assert read == [file]
    os.utime(file, ns=(1, 1))
    assert remembered_hash(file) == expected
    file.write_bytes(b"123456")
    assert remembered_hash(file) == hashlib.sha256(b"123456").hexdigest()
    assert len(read) == 3


def test_files_that_are_gone_are_forgotten_and_others_kept(tmp_path: Path, read: list[Path]) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for file in (first, second, third):
        file.write_bytes(b"12345")
    remembered_hash(first)
    remembered_hash(second)
    first.unlink()
    remembered_hash(third)
    remembered_hash(second)
    assert str(first) not in memory_path().read_text()
    assert read == [first, second, third]


def test_small_files_are_always_read(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "small"
    file.write_bytes(b"123")
    remembered_hash(file)
    remembered_hash(file)
    assert len(read) == 2
    assert not memory_path().exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"PATH": 3}', '{"PATH": {"state": [5, 1]}}'])
def test_a_damaged_memory_is_no_obstacle(tmp_path: Path, text: str) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"12345")
    os.utime(file, ns=(1, 1))
    memory_path().parent.mkdir(parents=True)
    memory_path().write_text(text.replace("PATH", str(file)))
    assert remembered_hash(file) == hashlib.sha256(b"12345").hexdigest()
    assert "sha256" in memory_path().read_text()


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"12345")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # a file where a folder should be
    assert remembered_hash(file) == hashlib.sha256(b"12345").hexdigest()
