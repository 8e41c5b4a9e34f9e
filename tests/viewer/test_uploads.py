"""Files from the page: tidy names, a limit, a place of their own until the run begins."""

import errno
import os
from pathlib import Path

import pytest

from diffusion2.errors import InputError
from diffusion2.viewer import uploads
from diffusion2.viewer.uploads import Draft, tidy_name


@pytest.mark.parametrize(
    ("name", "tidy"),
    [
        ("my fox.png", "my-fox"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\me\<img src=x onerror=alert(1)>.png", "img-src-x-onerror-alert-1"),
        (".live", "live"),
        ("日本.png", "object"),
        ("", "object"),
        ("a" * 300 + ".png", "a" * 40),
    ],
)
def test_names_become_names_of_folders(name: str, tidy: str) -> None:
    assert tidy_name(name) == tidy


def test_a_draft_becomes_a_run_of_its_own(tmp_path: Path) -> None:
    first, second = Draft(tmp_path, "../fox.PNG", b"one"), Draft(tmp_path, "fox.png", b"two")
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    run, file = first.begin()
    assert (run, file) == (tmp_path / "fox", tmp_path / "fox" / "input" / "fox.PNG")
    assert file.read_bytes() == b"one"
    assert not os.access(file, os.X_OK)
    assert second.begin()[0] == tmp_path / "fox-2"


def test_a_suffix_that_is_no_suffix_is_left_out(tmp_path: Path) -> None:
    assert Draft(tmp_path, "fox.p/../../n g", b"one").file.parent.parent.parent == tmp_path
    assert Draft(tmp_path, "fox.<script>", b"one").file.name == "fox"


def test_a_draft_that_is_not_wanted_leaves_nothing(tmp_path: Path) -> None:
    Draft(tmp_path, "fox.png", b"one").discard()
    assert list(tmp_path.iterdir()) == []


def test_what_is_empty_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"fox\.png is empty"):
        Draft(tmp_path, "fox.png", b"")
    monkeypatch.setattr(uploads, "LARGEST_BYTES", 2_000_000)
    with pytest.raises(InputError, match="3 MB, at most 2 are taken"):
        Draft(tmp_path, "fox.png", bytes(3_000_000))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"fox\.png can't be kept in .*: No space left on device"):
        Draft(tmp_path, "fox.png", b"one")
    assert list(tmp_path.iterdir()) == []
