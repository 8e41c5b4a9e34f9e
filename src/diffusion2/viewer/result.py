"""All that belongs to a result on the page: the object, time, view, matrix, downloads."""

from __future__ import annotations

import io
import math
import threading
from typing import Any

import numpy as np
import viser
from PIL import Image

from diffusion2.cameras import make_cameras
from diffusion2.exporters.scene import NODE
from diffusion2.gaussians import Asset4D, AssetMetadata
from diffusion2.gaussians.presentation import filling_fov_deg
from diffusion2.viewer.actor import Actor, Look
from diffusion2.viewer.downloads import Downloads, Goods
from diffusion2.viewer.feed import Stand
from diffusion2.viewer.matrix_panel import MatrixPanel
from diffusion2.viewer.playback import Moment, Playback
from diffusion2.viewer.sheet import Sheet
from diffusion2.viewer.wall import Wall
from diffusion2.viewer.words import paragraph, percent, progress_line

WHITE = (255, 255, 255)
TURNS = {"Front": 0.0, "Right": 90.0, "Back": 180.0, "Left": 270.0}
"""How far the camera goes round from the reference view, seen from above counter-clockwise."""
TOP_DEG = 80.0
NARROW = """<style>@media (max-width: 36em) {
  div:has(> div > canvas[data-engine]) { height: 50vh !important; }
  .mantine-Paper-root[style*="fixed"] { width: 100% !important; max-height: 50% !important; }
  .mantine-Paper-root[style*="fixed"] div[style*="20em"] { width: 100% !important; }
}</style>"""
"""In a narrow window viser lays its controls over the scene; with this, the scene ends where they begin."""
APART = 0.6
"""Half of the distance between two objects that are compared, world units."""
SCREENSHOT_S = 20.0
NOTICED_DEG = 5.0
"""A field of view that differs by more is that of another object: the cameras begin anew."""


class ResultPanels:
    """The controls of one result, and the scene that they control.

    Args:
        server: whose page gets them; the panel that is docked to the right.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._server, self._look, self._name = server, Look(), "object"
        self._position = np.array([1.0, 0.0, 0.0])  # of the camera that moved last
        self._placed: tuple[float, float, float, float] | None = None
        self.actor, self.other = Actor(server, NODE), Actor(server, f"{NODE}_compared")
        server.gui.main_panel.dock_right()
        server.gui.main_panel.set_width(350)
        server.gui.add_html(NARROW)
        self._status = server.gui.add_html("")
        self._bar = server.gui.add_progress_bar(0.0, visible=False)
        self._matrix, self._wall = MatrixPanel(server), Wall(server)
        self._controls = server.gui.add_folder(None, visible=False)
        with self._controls:
            self._playback = Playback(server, self._show)
            self._add_view()
            with server.gui.add_folder("Take away"):
                self.downloads = Downloads(server, lambda: self._playback.moment.time)
        self._notes = server.gui.add_html("")
        self._paint_background()
        self._place(AssetMetadata(), AssetMetadata().fov_deg)
        server.on_client_connect(self._watch_camera)

    def _add_view(self) -> None:
        gui = self._server.gui
        with gui.add_folder("View"):
            gui.add_button_group("Camera", (*TURNS, "Top")).on_click(self._jump)
            self._channel = gui.add_button_group("Show", ("colour", "depth", "alpha"))
            self._size = gui.add_slider("Point size", 0.1, 2.0, 0.05, 1.0)
            self._background = gui.add_rgb("Background", WHITE)
            shot = gui.add_button("Screenshot", icon=viser.Icon.CAMERA, color="gray")
        self._channel.on_click(lambda _: self._dress())
        self._size.on_update(lambda _: self._dress())
        self._background.on_update(lambda _: self._paint_background())
        shot.on_click(self._take_picture)

    def close(self) -> None:
        """Stop."""
        self._playback.close()

    # -- what is shown ----------------------------------------------------------------------------

    def show(self, asset: Asset4D | None, name: str = "object") -> None:
        """Show an asset; None: none. The camera goes to where it is well seen, if it stands elsewhere."""
        self.actor.play(asset)
        self._name = name
        self._controls.visible = asset is not None
        if asset is not None:
            self._wall.show(None)
            self._place(asset.metadata, filling_fov_deg(asset))
            self._playback.follow(asset)
        self._matrix.mark(self._position, self._playback.moment.time)

    def compare(self, asset: Asset4D | None) -> None:
        """Show a second asset beside the first one; None: none."""
        self.other.play(asset)
        self.actor.step_aside(0.0 if asset is None else -APART)
        self.other.step_aside(APART)
        for client in self._server.get_clients().values():
            self._aim(client.camera, *(self._placed or (0.0, 0.0))[:2])
        self._show(self._playback.moment)

    def offer(self, goods: Goods | None) -> None:
        """Let this be taken away."""
        self.downloads.offer(goods)

    def show_sheet(self, sheet: Sheet | None) -> None:
        """Show an image matrix, also large, where there is no object yet; None: none."""
        self._matrix.show(sheet)
        self._wall.show(sheet if self.actor.asset is None else None)
        self._matrix.mark(self._position, self._playback.moment.time)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Say what is the matter, above all else."""
        self._status.content = paragraph(text, "error" if is_error else "plain")

    def show_stand(self, stand: Stand, *, goes_on: bool) -> None:
        """Show how far a run is, and its notes."""
        self._bar.visible, self._bar.animated = goes_on, goes_on
        if goes_on:
            self._bar.value = percent(stand)
            self.say(progress_line(stand))
        self._notes.content = "".join(paragraph(f"note: {note}", "quiet") for note in stand.notes)

    # -- the scene --------------------------------------------------------------------------------

    def _show(self, moment: Moment) -> None:
        look = self._look
        with self._server.atomic():
            self.actor.show(moment, look)
            self.other.show(moment, look)
        self._matrix.mark(self._position, moment.time)

    def _dress(self) -> None:
        """Draw objects as the controls say."""
        camera = tuple(float(x) for x in self._position)
        self._look = Look(self._channel.value, self._size.value, camera)  # type: ignore[arg-type]
        self._paint_background()
        self._show(self._playback.moment)

    def _paint_background(self) -> None:
        """Paint what is behind: black where depth or alpha is shown, or else the colour that was chosen."""
        color = self._background.value if self._channel.value == "colour" else (0, 0, 0)
        self._server.scene.set_background_image(np.full((4, 4, 3), color, np.uint8), format="png")

    # -- cameras ----------------------------------------------------------------------------------

    def _place(self, data: AssetMetadata, fov_deg: float) -> None:
        """Let cameras begin where an object is well seen; move those that are there when that changes."""
        pose = (data.azimuth_deg, data.elevation_deg, data.radius, fov_deg)
        before, self._placed = self._placed, pose
        self._aim(self._server.initial_camera, data.azimuth_deg, data.elevation_deg)
        if before is None:
            self._position = np.array(self._server.initial_camera.position)
        elif before[:3] != pose[:3] or abs(before[3] - fov_deg) > NOTICED_DEG:
            for client in self._server.get_clients().values():
                self._aim(client.camera, data.azimuth_deg, data.elevation_deg)

    def _aim(self, camera: Any, azimuth_deg: float, elevation_deg: float) -> None:
        """Place a camera; in a window that is too narrow for what is shown, it sees more."""
        _, _, radius, fov_deg = self._placed or (0.0, 0.0, 2.0, 33.8)
        place = make_cameras([azimuth_deg], elevation_deg, radius=radius).positions[0]
        wanted = 1.0 if self.other.asset is None else 2.0
        half = math.tan(math.radians(fov_deg) / 2) * max(1.0, wanted / getattr(camera, "aspect", 1.0))
        camera.position, camera.look_at, camera.fov = tuple(place), (0.0, 0.0, 0.0), 2 * math.atan(half)

    def _jump(self, event: viser.GuiEvent) -> None:
        """Bring the camera of who asked to one of the sides."""
        if event.client is None or self._placed is None:
            return
        azimuth, elevation = self._placed[:2]
        side = event.target.value
        up = TOP_DEG if side == "Top" else elevation
        with event.client.atomic():
            self._aim(event.client.camera, azimuth + TURNS.get(side, 0.0), up)

    def _watch_camera(self, client: viser.ClientHandle) -> None:
        busy = threading.Lock()
        if self._placed is not None and client.camera.aspect < 1:
            self._aim(client.camera, *self._placed[:2])

        @client.camera.on_update
        def _(camera: viser.CameraHandle) -> None:
            self._position = np.array(camera.position)
            if not busy.acquire(blocking=False):
                return
            try:
                if self._look.channel == "depth":
                    self._dress()
                self._matrix.mark(self._position, self._playback.moment.time)
            finally:
                busy.release()

    def _take_picture(self, event: viser.GuiEvent) -> None:
        """Send what is seen to who asked, as a PNG."""
        client = event.client
        if client is None:
            return
        try:
            camera = client.camera
            pixels = client.get_render(
                camera.image_height, camera.image_width, transport_format="png", timeout=SCREENSHOT_S
            )
        except Exception as error:  # the browser was closed, or is too slow
            self.say(f"error: no screenshot came from the browser ({type(error).__name__})", is_error=True)
            return
        shot = Image.new("RGBA", (pixels.shape[1], pixels.shape[0]), (*self._background.value, 255))
        shot.alpha_composite(Image.fromarray(pixels))
        data = io.BytesIO()
        shot.convert("RGB").save(data, "PNG")
        client.send_file_download(f"{self._name}.png", data.getvalue(), save_immediately=True)
