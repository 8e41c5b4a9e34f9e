"""Which requests a server on this machine answers: those of its own page alone.

Any web page that is open in a browser may send requests to 127.0.0.1. Browsers say where a request comes
from (`Origin`) and which name it was sent to (`Host`), and no script can change either. A name that was
pointed at 127.0.0.1 afterwards (DNS rebinding) is seen in `Host`; another page, or another program's page on
this machine, in `Origin`. viser looks at neither, nor does it let its server be told to.
"""

from __future__ import annotations

import http
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from diffusion2.errors import BackendUnavailable

OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
"""Names of this machine that no other can have; any port, for tunnels that end at another one."""
HEADERS = {"X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin"}
"""Keep other pages from showing ours inside them, where clicks could be led astray."""
OPENING_S = 3.0
"""How long a connection may stay silent; browsers open some in advance, and a server that ends waits for
them."""

_starting = threading.Lock()


def refusal(headers: Mapping[str, Any]) -> str | None:
    """Say why a request is refused; None where it comes from our own page, or from the address bar.

    Args:
        headers: of the request, with `get_all`, as websockets has them.
    """
    hosts = _all(headers, "Host")
    if len(hosts) != 1 or not OWN_HOST.fullmatch(hosts[0]):
        return "this server answers requests to 127.0.0.1 or localhost only"
    origins = _all(headers, "Origin")
    opens_socket = any("websocket" in value.lower() for value in _all(headers, "Upgrade"))
    if not origins and not opens_socket:
        return None
    if len(origins) != 1 or origins[0].lower() != f"http://{hosts[0]}".lower():
        return "this server answers its own page only"
    return None


@contextmanager
def only_own_pages() -> Iterator[None]:
    """Let a viser server that is started within the block refuse all others with status 403.

    viser starts its server by a function of websockets, whose check of requests it takes for its files. For
    this moment ours stands before it.

    Raises:
        BackendUnavailable: the server was started in another way, and nothing would be refused.
    """
    import websockets.asyncio.server as library

    with _starting:
        started, guarded = library.serve, 0

        def serve(*args: Any, process_request: Callable[..., Any], **options: Any) -> Any:
            nonlocal guarded
            guarded += 1
            options |= {"logger": _silent(), "open_timeout": OPENING_S}
            return started(*args, process_request=_guard(process_request), **options)

        library.serve = serve  # pyright: ignore[reportAttributeAccessIssue]
        try:
            yield
        finally:
            library.serve = started
    if not guarded:
        raise BackendUnavailable(
            "this version of viser starts its server in a way that is not known here, and other pages could "
            "use it: pip install 'viser>=1.1,<1.2'"
        )


def _silent() -> logging.Logger:
    """Make a log that nobody reads: of connections that browsers open in advance, and close unused."""
    logger = logging.getLogger("diffusion2.own_pages")
    logger.propagate = False
    logger.handlers = [logging.NullHandler()]
    return logger


def _guard(serve_file: Callable[..., Any]) -> Callable[..., Any]:
    """Put the check before what serves files."""

    def answer(connection: Any, request: Any) -> Any:
        reason = refusal(request.headers)
        if reason is not None:
            return connection.respond(http.HTTPStatus.FORBIDDEN, reason + "\n")
        response = serve_file(connection, request)
        if response is not None:
            response.headers.update(HEADERS)
        return response

    return answer


def _all(headers: Any, name: str) -> list[str]:
    return list(headers.get_all(name))
