import pytest

from diffusion2.meshes.files import find_file


@pytest.mark.parametrize(
    ("name", "found", "as_named"),
    [
        ("skin.png", "skin.png", True),
        ("./tex/../skin.png", "skin.png", True),
        ("tex/skin.png", "tex/skin.png", True),
        ("tex\\skin.png", "tex/skin.png", True),
        ("TEX\\Skin.PNG", "tex/skin.png", True),
        ("tex/a%20b.png", "tex/a b.png", True),
        ("tex/a b.png", "tex/a b.png", True),
        ("100%.png", "100%.png", True),
        ("odd\\name.png", "odd\\name.png", True),
        ("C:\\art\\tex\\skin.png", "tex/skin.png", False),
        ("..\\textures\\skin.png", "skin.png", False),
        ("../tex/a%20b.png", "tex/a b.png", False),
        ("/abs/skin.png", "skin.png", False),
        ("file:///C:/art/skin.png", "skin.png", False),
        ("../secret.png", None, False),
        ("..\\secret.png", None, False),
        ("%2e%2e/secret.png", None, False),
        ("tex", None, False),
        ("", None, False),
        ("a\0b", None, False),
        ("a" * 5000, None, False),
    ],
)
def test_a_name_from_another_computer_finds_its_file_and_never_one_outside(tmp_path, name, found, as_named):
    folder = tmp_path / "model"
    (folder / "tex").mkdir(parents=True)
    for path in ("skin.png", "tex/skin.png", "tex/a b.png", "100%.png", "odd\\name.png", "../secret.png"):
        (folder / path).write_bytes(b"")
    expected = (None if found is None else folder / found, as_named)
    assert find_file(folder, name) == expected


def test_the_same_letters_come_before_the_same_word(tmp_path):
    for name in ("A.png", "a.png"):
        (tmp_path / name).write_bytes(b"")
    assert find_file(tmp_path, "a.png")[0] == tmp_path / "a.png"
    assert find_file(tmp_path, "A.png")[0] == tmp_path / "A.png"
