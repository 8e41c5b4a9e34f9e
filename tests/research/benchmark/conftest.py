import pytest

from diffusion2.priors.prior import PriorPair

from ...one_thread import one_thread as one_thread
from .tiny_bench import tiny_pair


@pytest.fixture(scope="module")
def pair() -> PriorPair:
    return tiny_pair()
