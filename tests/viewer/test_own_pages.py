"""The servers answer their own page in this machine's browser, and nobody else's."""

import http.client
from collections.abc import Iterator

import pytest
import viser
import websockets.asyncio.server
from websockets import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from diffusion2.errors import BackendUnavailable
from diffusion2.exporters.own_pages import only_own_pages, refusal
from diffusion2.exporters.scene import open_server

HOST = "127.0.0.1:8080"


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", HOST)],
        [("Host", "localhost:9000"), ("Upgrade", "websocket"), ("Origin", "http://localhost:9000")],
        [("Host", "[::1]:8080"), ("Upgrade", "websocket"), ("Origin", "http://[::1]:8080")],
        [("Host", HOST), ("Origin", f"http://{HOST}")],
    ],
)
def test_its_own_page_is_answered(headers: list[tuple[str, str]]) -> None:
    assert refusal(Headers(headers)) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Host", "evil.example:8080")],  # a name that was pointed at this machine
        [("Host", f"{HOST}.evil.example")],
        [("Host", "127.0.0.1@evil.example")],
        [("Host", "evil.example@127.0.0.1")],
        [("Host", HOST), ("Host", "evil.example")],
        [("Host", "evil.example:8080"), ("Upgrade", "websocket"), ("Origin", "http://evil.example:8080")],
        [("Host", HOST), ("Upgrade", "websocket")],  # browsers always say where from
        [("Host", HOST), ("Upgrade", "WebSocket"), ("Origin", "http://evil.example")],
        [("Host", HOST), ("Upgrade", "websocket"), ("Origin", "null")],  # a page out of a file
        [("Host", HOST), ("Upgrade", "websocket"), ("Origin", "http://127.0.0.1:3000")],
        [("Host", HOST), ("Upgrade", "websocket"), ("Origin", f"https://{HOST}")],
        [("Host", HOST), ("Origin", "http://evil.example")],
        [("Host", "["), ("Origin", "http://[")],
    ],
)
def test_others_are_refused(headers: list[tuple[str, str]]) -> None:
    assert refusal(Headers(headers)) is not None


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with open_server(None, "test") as server:
        yield server.get_port()


def status(port: int, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    if answer.status == 200:
        assert answer.getheader("X-Frame-Options") == "DENY"
    return answer.status


def test_the_server_refuses_names_that_are_not_this_machines(port: int) -> None:
    assert status(port) == 200
    assert status(port, Host="evil.example") == 403
    assert status(port, Origin="http://evil.example") == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "http://127.0.0.1:1"])
def test_the_server_refuses_sockets_of_other_pages(port: int, origin: str | None) -> None:
    protocol = f"viser-v{viser.__version__}"
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{port}", origin=origin, subprotocols=[protocol])  # type: ignore[list-item]
    assert refused.value.response.status_code == 403
    own = f"http://127.0.0.1:{port}"
    with connect(own.replace("http", "ws"), origin=own, subprotocols=[protocol]) as socket:  # type: ignore
        assert socket.recv(timeout=20)


def test_other_servers_of_this_process_are_as_before() -> None:
    before = websockets.asyncio.server.serve
    with open_server(None, "test"):
        assert websockets.asyncio.server.serve is before


def test_a_viser_that_starts_otherwise_is_not_left_open() -> None:
    with pytest.raises(BackendUnavailable, match="viser"), only_own_pages():
        pass
