"""Commands that open a page in the browser."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from diffusion2.errors import InputError


@dataclass(frozen=True)
class View:
    """Show an asset, or a run that may still be going on, in the browser; on this machine only.

    Time, speed, cameras, depth and alpha, the image matrix, screenshots and all exports. Ctrl-C ends it.
    """

    shown: Annotated[Positional[Path], arg(metavar="RUN|ASSET")]
    """A run's folder, finished or not, or an asset.safetensors."""
    port: int = 8080
    """Where to listen on 127.0.0.1; the next free port if it is taken."""
    browser: bool = False
    """Open the page in the browser."""

    def run(self) -> None:
        """Serve until interrupted."""
        from diffusion2.viewer import serve

        check_port(self.port)
        serve(self.shown, self.port, open_browser=self.browser, on_ready=say_ready)


@dataclass(frozen=True)
class App:
    """Do the whole job on one page in the browser: drop a picture, watch it become 3D, take it away.

    The page is on this machine only. Each run is a folder in --runs. Ctrl-C ends it, and stops the run that
    goes on; the page, or `generate --resume`, goes on with it later.
    """

    runs: Path = Path("runs")
    """Folder of the runs; those that are there can be seen, and compared."""
    port: int = 8080
    """Where to listen on 127.0.0.1; the next free port if it is taken."""
    browser: bool = False
    """Open the page in the browser."""

    def run(self) -> None:
        """Serve until interrupted."""
        from diffusion2.viewer import serve_app

        check_port(self.port)
        serve_app(self.runs, self.port, open_browser=self.browser, on_ready=say_ready)


def check_port(port: int) -> None:
    """Refuse what is no port.

    Raises:
        InputError: it is none.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"a port lies between 0 and 65535, not {port}")


def say_ready(url: str) -> None:
    """Say where a page is."""
    print(f"open {url} (Ctrl-C ends)", flush=True)
