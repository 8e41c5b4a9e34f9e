"""Every format of the table can be asked for on the page; a folder comes as one archive."""

import io
import zipfile

import pytest

from diffusion2.errors import ExportError
from diffusion2.events import ignore
from diffusion2.exporters.formats import FORMATS
from diffusion2.gaussians import Asset4D
from diffusion2.viewer.downloads import Goods, offered, pack


def row(start: str):
    return next(row for text, row in offered().items() if text.startswith(start))


def test_every_writer_is_offered_once() -> None:
    assert {row.write for row in offered().values()} == {row.write for row in FORMATS}
    assert {row.suffix for row in offered().values()} == {row.suffix for row in FORMATS}


def test_one_moment_is_a_file(sliding_asset: Asset4D) -> None:
    name, early = pack(Goods(sliding_asset, "ball"), row(".ply ·"), 0.0, ignore)
    assert name == "ball.ply"
    assert early.startswith(b"ply\n")
    assert pack(Goods(sliding_asset, "ball"), row(".ply ·"), None, ignore)[1] == early
    assert pack(Goods(sliding_asset, "ball"), row(".ply ·"), 0.5, ignore)[1] != early


def test_a_file_a_frame_is_one_archive(sliding_asset: Asset4D) -> None:
    name, data = pack(Goods(sliding_asset, "ball"), row(".ply (zip)"), 0.5, ignore)
    assert name == "ball.zip"
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == [f"ball/frame_{k:03d}.ply" for k in range(9)]


def test_what_can_not_be_made_is_said(sliding_asset: Asset4D) -> None:
    empty = Asset4D(sliding_asset.gaussians.select(sliding_asset.gaussians.opacities > 2))
    with pytest.raises(ExportError, match="no Gaussians"):
        pack(Goods(empty, "ball"), row(".ply ·"), None, ignore)
