import dataclasses
import socket
from pathlib import Path

import pytest

from diffusion2.errors import ExportError
from diffusion2.exporters import write_viewer
from diffusion2.exporters.html import MAX_SPLATS, default_moments
from diffusion2.gaussians import Asset4D, AssetMetadata


def test_the_page_is_one_file_with_its_title(rising_asset: Asset4D, tmp_path: Path, capfd) -> None:
    write_viewer(rising_asset, tmp_path / "viewer.html", title="fox & <hare>")
    assert [path.name for path in tmp_path.iterdir()] == ["viewer.html"]
    page = (tmp_path / "viewer.html").read_text(encoding="utf-8")
    assert "<title>fox &amp; &lt;hare&gt;</title>" in page
    assert "src=" not in page.partition("<body>")[2]
    assert capfd.readouterr() == ("", ""), "the library below must not print"


def test_what_we_add_to_the_player_is_in_the_page(rising_asset: Asset4D, tmp_path: Path) -> None:
    """A newer player may be built in another way; then this says so."""
    write_viewer(rising_asset, tmp_path / "viewer.html")
    page = (tmp_path / "viewer.html").read_text(encoding="utf-8")
    assert page.index("window.Worker = class") < page.index("data-p="), "must run before the player"
    assert '<div id="hint">' in page


def test_no_server_is_left_behind(rising_asset: Asset4D, tmp_path: Path, monkeypatch) -> None:
    import viser

    ports: list[int] = []
    stop = viser.ViserServer.stop
    monkeypatch.setattr(
        viser.ViserServer, "stop", lambda server: (ports.append(server.get_port()), stop(server))
    )
    write_viewer(rising_asset, tmp_path / "viewer.html")
    assert len(ports) == 1
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", ports[0]), timeout=5)


def test_a_path_that_cannot_be_written_leaves_the_old_page(rising_asset: Asset4D, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="it is a folder"):
        write_viewer(rising_asset, tmp_path)
    with pytest.raises(ExportError, match="create the folder"):
        write_viewer(rising_asset, tmp_path / "no" / "viewer.html")
    assert list(tmp_path.iterdir()) == []


def test_a_long_or_large_asset_does_not_make_a_huge_file(rising_asset: Asset4D) -> None:
    assert default_moments(rising_asset) == 13  # half a second, 24 per second, both ends
    long = dataclasses.replace(rising_asset, metadata=AssetMetadata(fps=1.0, frames=1000))
    assert default_moments(long) * len(long.gaussians) <= MAX_SPLATS
    assert default_moments(dataclasses.replace(rising_asset, deformation=None)) == 1


def test_a_static_asset_makes_a_page_without_a_timeline(rising_asset: Asset4D, tmp_path: Path) -> None:
    write_viewer(dataclasses.replace(rising_asset, deformation=None), tmp_path / "viewer.html")
    assert (tmp_path / "viewer.html").stat().st_size > 100_000
