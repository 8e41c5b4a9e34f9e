"""What the page gives away: any format of the table of exporters, made when it is asked for."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import viser

from diffusion2.config import ExportSettings
from diffusion2.errors import Diffusion2Error, in_one_line
from diffusion2.events import Event, StageProgress, StageStarted
from diffusion2.exporters.choosing import Format
from diffusion2.exporters.formats import FORMATS, export
from diffusion2.gaussians import Asset4D
from diffusion2.runs.matrix_files import read_matrix
from diffusion2.runs.run_folder import RunFolder
from diffusion2.viewer.words import paragraph


@dataclass(frozen=True)
class Goods:
    """What can be taken away.

    Attributes:
        asset: the object.
        name: of files.
        run: its folder, where there is one; a mesh's texture is refined on its matrix.
    """

    asset: Asset4D
    name: str
    run: RunFolder | None = None


def offered() -> dict[str, Format]:
    """Return the formats by what they are called in the list; what another row writes, too, is left out."""
    rows: dict[str, Format] = {}
    for row in FORMATS:
        if all((row.name, row.write) != (other.name, other.write) for other in rows.values()):
            rows[f"{row.suffix or row.name}{' (zip)' if is_folder(row) else ''} · {row.what}"] = row
    return rows


def is_folder(row: Format) -> bool:
    """Tell whether a format is a folder of files."""
    return row.many or not row.suffix


def pack(goods: Goods, row: Format, time: float | None, report: Callable[[Event], None]) -> tuple[str, bytes]:
    """Write an asset in a format.

    Args:
        goods: what to write.
        row: the format; a folder, or a file with others beside it, becomes an archive.
        time: of formats that hold one moment, or can: which; None: as the format has it.
        report: takes the events.

    Returns:
        The file's name and its contents.

    Raises:
        Diffusion2Error: what `export` raises.
    """
    settings = ExportSettings(time=time if "time" in row.heeds else None)
    matrix = read_matrix(goods.run.path) if row.sees_matrix and goods.run and goods.run.has_matrix else None
    with tempfile.TemporaryDirectory(prefix="diffusion2-") as place:
        path = Path(place) / (goods.name if is_folder(row) else f"{goods.name}{row.suffix}")
        if is_folder(row):
            path.mkdir()
        export(goods.asset, path, settings, name=row.name, matrix=matrix, report=report)
        written = sorted(Path(place).rglob("*"))
        if written == [path]:
            return path.name, path.read_bytes()
        archive = BytesIO()
        with zipfile.ZipFile(archive, "w") as bundle:
            for file in written:
                if file.is_file():
                    bundle.write(file, file.relative_to(place))
        return f"{goods.name}.zip", archive.getvalue()


class Downloads:
    """The list of formats, the button, and how far a file is.

    Args:
        server: whose page gets them, in the container that is open.
        time: gives the time that is shown.
    """

    def __init__(self, server: viser.ViserServer, time: Callable[[], float]) -> None:
        self._time, self._goods = time, None
        self._busy = threading.Lock()
        self._rows = offered()
        self._format = server.gui.add_dropdown("Format", tuple(self._rows))
        self._still = server.gui.add_checkbox(
            "This moment", False, hint="The time that is shown now, and not the motion, or its beginning"
        )
        self._button = server.gui.add_button("Download", icon=viser.Icon.DOWNLOAD, disabled=True)
        self._bar = server.gui.add_progress_bar(0.0, visible=False, animated=True)
        self._said = server.gui.add_html("")
        self._format.on_update(lambda _: self._choose())
        self._button.on_click(self._clicked)
        self._choose()

    def offer(self, goods: Goods | None) -> None:
        """Give this away from now on, or nothing."""
        self._goods = goods
        self._button.disabled = goods is None

    def _choose(self) -> None:
        self._still.visible = "time" in self._rows[self._format.value].heeds

    def _clicked(self, event: viser.GuiEvent) -> None:
        """Make the file and send it to who asked; viser calls this in a thread of its own."""
        goods, row = self._goods, self._rows[self._format.value]
        if goods is None or event.client is None or not self._busy.acquire(blocking=False):
            return
        try:
            self._button.disabled, self._bar.visible, self._bar.value = True, True, 0.0
            self._said.content = paragraph(f"{self._format.value} …", "quiet")
            time = self._time() if self._still.value else None
            name, data = pack(goods, row, time, self._report)
            event.client.send_file_download(name, data, save_immediately=True)
            self._said.content = paragraph(f"{name}, {len(data) / 1e6:.1f} MB", "quiet")
        except Diffusion2Error as error:
            self._said.content = paragraph(f"error: {error}", "error")
        except Exception as error:  # the page must not lose its button by it
            self._said.content = paragraph(f"error: {type(error).__name__}: {in_one_line(error)}", "error")
        finally:
            self._bar.visible, self._button.disabled = False, self._goods is None
            self._busy.release()

    def _report(self, event: Event) -> None:
        with suppress(ZeroDivisionError):
            if isinstance(event, StageProgress):
                self._bar.value = min(100 * event.done / event.total, 100.0)
            if isinstance(event, StageStarted):
                self._said.content = paragraph(f"{event.stage} …", "quiet")
