import dataclasses
import socket
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffusion2.errors import ExportError
from diffusion2.exporters import write_viewer
from diffusion2.exporters.html import MAX_BYTES, MAX_SPLATS, _cycle, _repeating, default_moments
from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationOutput, Gaussians
from diffusion2.gaussians.presentation import is_loop
from diffusion2.gaussians.splats import splats_over


class Swaying(nn.Module):
    """Waves run through the object `rounds` times: all points move by up to 0.05, turn by up to 0.3 rad."""

    def __init__(self, rounds: float) -> None:
        super().__init__()
        self.rounds = rounds

    def forward(self, means: Tensor, times: Tensor) -> DeformationOutput:
        phases = 2 * torch.pi * self.rounds * times[:, None, None] + 6 * means[None]
        half = 0.15 * phases.sin()
        quats = torch.cat([torch.ones_like(half[..., :1]), half], dim=-1)
        return DeformationOutput(0.05 * phases.sin(), nn.functional.normalize(quats, dim=-1))


def swaying_asset(count: int, frames: int, rounds: float, fps: float = 8.0) -> Asset4D:
    generator = torch.Generator().manual_seed(0)
    directions = nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    gaussians = Gaussians(
        0.4 * directions,
        torch.randn(count, 4, generator=generator),
        (torch.tensor([0.02, 0.01, 0.004]) * torch.rand(count, 3, generator=generator).add(0.5)).log(),
        torch.randn(count, generator=generator) + 2,
        torch.randn(count, 1, 3, generator=generator),
    )
    return Asset4D(gaussians, Swaying(rounds), AssetMetadata(fps=fps, frames=frames))  # type: ignore[arg-type]


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


def test_ten_thousand_gaussians_and_25_frames_stay_below_5_mb(tmp_path: Path) -> None:
    asset = swaying_asset(10_000, frames=25, rounds=1)
    write_viewer(asset, tmp_path / "viewer.html")
    assert 1_000_000 < (tmp_path / "viewer.html").stat().st_size < MAX_BYTES == 5_000_000


def test_a_motion_that_does_not_close_is_shown_forth_and_back(rising_asset: Asset4D) -> None:
    assert not is_loop(rising_asset)
    cycle = _cycle(rising_asset, moments=5, pause=0.125)
    assert [round(float(splats.means[0, 2] - cycle[0].means[0, 2]), 2) for splats in cycle] == [
        *(0.0, 0.1, 0.2, 0.3, 0.4),
        *(0.3, 0.2, 0.1),
    ]
    assert cycle[5] is cycle[3], "the way back must be the same, so that it takes no bytes"


def test_a_loop_goes_from_its_end_to_its_beginning_as_fast_as_elsewhere() -> None:
    asset = swaying_asset(50, frames=12, rounds=11 / 12)  # a frame more, and it would be where it began
    assert is_loop(asset)
    cycle = _cycle(asset, moments=34, pause=11 / 8 / 33)  # three moments per frame
    assert len(cycle) == 36
    means = torch.stack([splats.means for splats in cycle])
    steps = (means - means.roll(1, dims=0)).norm(dim=-1).mean(dim=-1)
    # 1.2: a point's way is bent, but straight from the last frame on; that step would be 3 times the others
    assert steps.max() < 1.2 * steps[1:30].max()


def test_what_is_recorded_is_where_and_how_large_it_was() -> None:
    asset = swaying_asset(200, frames=12, rounds=1)
    exact = list(splats_over(asset, torch.linspace(0, 1, 30)))
    recorded = list(_repeating(exact))
    again = 0
    for before, one, other in zip([None, *recorded], exact, recorded, strict=False):
        assert (one.means - other.means).abs().max() <= 2.0**-12
        errors = torch.linalg.matrix_norm(one.covariances - other.covariances)
        assert (errors <= 0.0301 * torch.linalg.matrix_norm(one.covariances)).all()
        again += 0 if before is None else int((before.covariances == other.covariances).all((1, 2)).sum())
    assert 0.02 < again / (200 * 29) < 0.9, "some stay, some are renewed"


def test_a_page_beyond_the_limit_is_recorded_with_fewer_moments(
    rising_asset: Asset4D, tmp_path: Path, monkeypatch
) -> None:
    from diffusion2.exporters import html

    tried: list[int] = []
    record = html._record
    monkeypatch.setattr(html, "_record", lambda *args: (tried.append(args[2]), record(*args))[1])
    monkeypatch.setattr(html, "MAX_BYTES", 820_100)
    long = dataclasses.replace(rising_asset, metadata=AssetMetadata(fps=8.0, frames=25))
    write_viewer(long, tmp_path / "viewer.html")
    assert tried == [73, html.MIN_MOMENTS]
