import subprocess
import sys

import pytest
import torch
from safetensors import safe_open

from diffusion2.runs.atomic_tensors import hash_tensors, save_tensors

WRITE = """
import sys, torch
from pathlib import Path
from diffusion2.runs.atomic_tensors import save_tensors
tensors = {name: torch.arange(3) for name in "cabd"}
save_tensors(Path(sys.argv[1]), tensors, {name: name for name in "some words that have no order".split()})
"""

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a": torch.tensor(1.5, dtype=torch.bfloat16),
    "none": torch.zeros(0, 3),
    "turned": torch.arange(6).reshape(2, 3).T,
}


def test_the_same_content_is_the_same_bytes_in_every_process(tmp_path):
    for seed in "012":
        call = [sys.executable, "-c", WRITE, str(tmp_path / seed)]
        path = ":".join(p for p in sys.path if p)
        subprocess.run(call, check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": path})
    assert len({(tmp_path / seed).read_bytes() for seed in "012"}) == 1


@pytest.mark.parametrize("words", [{}, {"é": "ü" * 5}, {"b": "", "a": "x" * 9}])
def test_the_library_reads_back_what_was_written(tmp_path, words):
    save_tensors(tmp_path / "t.safetensors", TENSORS, words)
    with safe_open(tmp_path / "t.safetensors", "pt") as file:
        assert (file.metadata() or {}) == words
        read = {name: file.get_tensor(name) for name in file.keys()}
    assert read.keys() == TENSORS.keys()
    assert all(read[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)
    assert hash_tensors(read) == hash_tensors(TENSORS)
    assert int.from_bytes((tmp_path / "t.safetensors").read_bytes()[:8], "little") % 8 == 0


def test_a_changed_value_or_name_changes_the_hash():
    changed = {**TENSORS, "a": torch.tensor(1.25, dtype=torch.bfloat16)}
    renamed = {"c" if name == "b" else name: tensor for name, tensor in TENSORS.items()}
    assert len({hash_tensors(tensors) for tensors in (TENSORS, changed, renamed)}) == 3
