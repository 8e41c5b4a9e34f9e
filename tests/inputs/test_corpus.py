"""Broken and odd inputs give a result or one clear line, and take a bounded amount of memory."""

import re
import subprocess
import sys

import pytest

from diffusion2.errors import Diffusion2Error
from diffusion2.runs.source import InputSettings

from ..meshes.opengl import need_opengl
from . import corpus, twins
from .conftest import read

EVERY = {**corpus.PICTURES, **corpus.VIDEOS, **corpus.MODELS}
TWINS = {**twins.PICTURES, **twins.VIDEOS, **twins.FOLDERS}
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


@pytest.mark.parametrize("name", TWINS)
def test_the_same_in_another_form_gives_the_same_pictures(tmp_path, name):
    make, make_twin, note = TWINS[name]
    keep = InputSettings(framing="keep")
    odd, notes = read(make(tmp_path), keep)
    plain, expected = read(make_twin(tmp_path), keep)
    assert (odd.video is None) == (plain.video is None)
    shown, wanted = (c.picture if c.video is None else c.video for c in (odd, plain))
    # compression and scaling blur edges; BT.2020's matrix taken for BT.709's makes 0.0028, BT.601's 0.0044,
    # a step of 8 bits 0.0039, a profile that is ignored 0.008, a mirror image 0.09
    assert (shown - wanted).abs().mean() < 0.0025
    told = [line for line in notes if line not in expected and "different frames" not in line]
    assert bool(told) == (note is not None)
    assert note is None or re.search(note, " ".join(told))


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
