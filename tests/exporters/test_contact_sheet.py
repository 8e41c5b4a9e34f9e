from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2.errors import ExportError, InputError
from diffusion2.exporters import write_contact_sheet


def test_a_row_is_a_view_and_a_column_a_frame(tmp_path: Path) -> None:
    images = torch.zeros(2, 3, 3, 4, 5)
    images[1, 2] = 1.0
    write_contact_sheet(images, tmp_path / "sheet.png", gap=1)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 4 + 1, 3 * 5 + 2, 3)
    assert (sheet[5:, 12:] == 255).all()
    assert (sheet[:4, :5] == 0).all()
    assert sheet[4].max() < 255


def test_a_large_matrix_is_made_smaller(tmp_path: Path) -> None:
    write_contact_sheet(torch.rand(3, 4, 3, 64, 64), tmp_path / "sheet.png", max_side=100)
    assert max(Image.open(tmp_path / "sheet.png").size) <= 100


def test_values_outside_the_range_are_clipped(tmp_path: Path) -> None:
    write_contact_sheet(
        torch.tensor([-5.0, 7.0]).reshape(1, 2, 1, 1, 1).expand(1, 2, 3, 4, 4), tmp_path / "s.png"
    )
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert (sheet[:, :4] == 0).all()
    assert (sheet[:, 6:] == 255).all()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 1, 4, 5), (0, 3, 3, 4, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contact sheet"):
        write_contact_sheet(torch.zeros(shape), tmp_path / "sheet.png")


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="create the folder"):
        write_contact_sheet(torch.zeros(1, 1, 3, 4, 4), tmp_path / "no" / "sheet.png")
