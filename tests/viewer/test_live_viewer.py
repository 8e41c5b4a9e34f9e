import socket
import threading
import time
import urllib.request

import numpy as np
import pytest
import torch
from chromium import Chromium
from pages import HEIGHT, WIDTH, center_x, red, scene, wait_for_object

import diffusion2.viewer.live
from diffusion2.errors import BackendUnavailable
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.splats import covariances, splats_at
from diffusion2.quaternions import multiply_quats
from diffusion2.viewer import LiveViewer, serve


def test_it_serves_on_the_loopback_interface_only(sliding_asset: Asset4D, capfd) -> None:
    with LiveViewer(sliding_asset, port=0) as viewer:
        assert viewer.url.startswith("http://127.0.0.1:")
        assert urllib.request.urlopen(viewer.url).status == 200
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", int(viewer.url.rpartition(":")[2])))
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(viewer.url)
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_passed_over(sliding_asset: Asset4D) -> None:
    with LiveViewer(sliding_asset, port=0) as first:
        port = int(first.url.rpartition(":")[2])
        with LiveViewer(sliding_asset, port=port) as second:
            assert int(second.url.rpartition(":")[2]) > port
            assert urllib.request.urlopen(second.url).status == 200


def test_it_shows_the_moving_object(browser: Chromium, sliding_asset: Asset4D) -> None:
    with LiveViewer(sliding_asset, port=0) as viewer:
        browser.resize(900, 700)
        browser.open(viewer.url)
        wait_for_object(browser)
        places = [center_x(red(scene(browser)))]
        until = time.monotonic() + 60  # a busy machine shows a new moment only now and then
        while max(places) - min(places) <= 3 and time.monotonic() < until:
            places.append(center_x(red(scene(browser))))
        assert max(places) - min(places) > 3
        assert "Share" not in browser.evaluate("document.body.innerText")
        browser.open("about:blank")
        browser.resize(WIDTH, HEIGHT)


def test_serve_returns_when_interrupted(sliding_asset: Asset4D, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None:
                raise KeyboardInterrupt
            return super().wait(timeout)

    seen: list[str] = []
    viewer = LiveViewer(sliding_asset, port=0)
    monkeypatch.setattr(diffusion2.viewer.live, "LiveViewer", lambda *_, **__: viewer)
    monkeypatch.setattr(diffusion2.viewer.live.threading, "Event", Interrupted)
    serve(sliding_asset, on_ready=seen.append)
    assert seen == [viewer.url]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(viewer.url)


def test_a_machine_without_loopback_gets_a_clear_error(
    sliding_asset: Asset4D, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1.*Operation not permitted"):
        LiveViewer(sliding_asset, port=0)


def test_covariances_turn_with_the_gaussians() -> None:
    generator = torch.Generator().manual_seed(1)
    scales = torch.rand(5, 3, generator=generator) + 0.1
    identity = torch.tensor([1.0, 0, 0, 0]).expand(5, 4)
    assert torch.allclose(covariances(identity, scales), torch.diag_embed(scales**2))
    quarter = torch.tensor([1.0, 0, 0, 1.0])  # 90 degrees about z, not normalised: x and y change places
    turned = covariances(multiply_quats(quarter.expand(5, 4), identity), scales)
    assert torch.allclose(turned, torch.diag_embed(scales[:, [1, 0, 2]] ** 2), atol=1e-6)


def test_splats_are_those_of_the_asset_at_that_time(sliding_asset: Asset4D) -> None:
    splats, gaussians = splats_at(sliding_asset, 0.5), sliding_asset.at(0.5)
    np.testing.assert_allclose(splats.means, gaussians.means, atol=2.0**-14)
    assert torch.equal(splats.opacities[:, 0], gaussians.opacities)
