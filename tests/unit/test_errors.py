"""What other libraries and the system say fits the end of a message of one line."""

import pytest

from diffusion2.errors import in_one_line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("wrong"), "wrong"),
        (ValueError("\n  \n  wrong: \nsee the other lines\n"), "wrong:"),
        (ValueError(), "ValueError"),
        (ValueError(" \n"), "ValueError"),
        (OSError("no number, only words\nand more"), "no number, only words"),
        (ValueError("a" * 1000), "a" * 300),
    ],
)
def test_the_first_line_that_says_something_is_the_reason(error, said):
    assert in_one_line(error) == said


def test_the_systems_words_come_without_the_path(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "missing").read_bytes()
    assert in_one_line(caught.value) == "No such file or directory"
