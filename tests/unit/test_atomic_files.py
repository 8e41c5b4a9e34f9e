import pytest

from diffusion2.atomic_files import check_writable


@pytest.mark.parametrize("folder", [".", "new", "new/and/deep"])
def test_trying_to_write_leaves_nothing_behind(tmp_path, folder):
    (tmp_path / "file").write_text("kept")
    check_writable(tmp_path / folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


@pytest.mark.parametrize("folder", ["file", "file/below", "new/../file/below"])
def test_a_folder_that_can_not_be_is_an_error_and_leaves_nothing_behind(tmp_path, folder):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match=r"[Nn]ot a directory"):
        check_writable(tmp_path / folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
