import pytest

from .opengl import need_opengl


@pytest.fixture(scope="session")
def opengl():
    need_opengl()
