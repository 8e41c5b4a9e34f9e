"""Broken and odd inputs give a result or one clear line, and take a bounded amount of memory."""

import subprocess
import sys

import pytest

from diffusion2.errors import Diffusion2Error
from diffusion2.runs.source import InputSettings

from ..meshes.opengl import need_opengl
from . import corpus
from .conftest import read

EVERY = {**corpus.PICTURES, **corpus.VIDEOS, **corpus.MODELS}
LIMIT_GB = 2


def test_the_corpus_is_large():
    assert len(EVERY) >= 60


@pytest.mark.parametrize("name", EVERY)
def test_an_odd_input_gives_a_result_or_one_clear_line(tmp_path, name):
    if name in corpus.MODELS:
        need_opengl()
    make, message = EVERY[name]
    path = make(tmp_path)
    if message is None:
        conditions, _ = read(path, InputSettings(background="plain"))
        assert conditions.picture.shape == (3, 32, 32)
        assert (conditions.picture < 0.9).any()
        return
    with pytest.raises(Diffusion2Error, match=message) as caught:
        read(path, InputSettings(background="plain"))
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert "\n" not in text
    assert "Errno" not in text
    assert len(text.replace(str(path), "")) < 320


WORK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
from diffusion2.config import GenerateSettings
from diffusion2.errors import Diffusion2Error
from diffusion2.inputs import read_conditions
from diffusion2.runs.source import Source
for path in sys.argv[1:]:
    try:
        read_conditions(Source(path), GenerateSettings(size=32, views=4, frames=5))
    except Diffusion2Error as error:
        assert "memory" not in str(error).lower(), error
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits of memory")
def test_the_worst_inputs_take_less_than_2_gb(tmp_path):
    """All libraries included; the limit makes what asks for more fail at once."""
    need_opengl()
    paths = []
    for index, (make, _) in enumerate(corpus.HEAVY.values()):
        (tmp_path / str(index)).mkdir()
        paths.append(str(make(tmp_path / str(index))))
    code = WORK.replace("BYTES", str(3 * LIMIT_GB << 29))
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    highest = dict(zip(corpus.HEAVY, map(int, done.stdout.split()), strict=True))
    print(highest)
    assert max(highest.values()) < LIMIT_GB << 20, highest
