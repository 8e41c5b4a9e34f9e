"""The part of the page where a run is begun: its input, what is seen of it, a few settings."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import viser

import diffusion2
from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.errors import InputError, WeightsError, in_one_line
from diffusion2.viewer.cut_outs import CutOuts
from diffusion2.viewer.uploads import Draft
from diffusion2.viewer.words import paragraph
from diffusion2.weights.catalogue import check_available, choose_preset

NO_EXAMPLE = "take an example …"
FIELD = "Drop a picture, a video or a 3D model here, or click"
DROP = """<style>
div:has(> input[type=file]) { position: relative; }
div:has(> input[type=file]) > button { height: 5em !important; white-space: normal; line-height: 1.3;
  background: #228be612; border: 2px dashed #228be6aa; color: var(--mantine-color-blue-8); }
input[type=file] { display: block !important; position: absolute; inset: 0; width: 100%; height: 100%;
  opacity: 0; cursor: pointer; z-index: 1; }
</style>"""
"""The browser's own field for files lies, unseen, over the button: what is dropped there, it takes."""


@dataclass(frozen=True)
class Choices:
    """The settings that the page offers; docs of each are those of `GenerateSettings`."""

    preset: str
    seed: int
    frames: int
    motion: float
    elevation_deg: float

    @staticmethod
    def of(preset: str) -> Choices:
        """Return what a preset has."""
        theirs = PRESETS[preset]
        sampling = theirs.sampling
        return Choices(preset, theirs.seed, theirs.frames, sampling.motion_bucket_id, theirs.elevation_deg)

    def settings(self) -> GenerateSettings:
        """Return a run's settings."""
        theirs = PRESETS[self.preset]
        return replace(
            theirs,
            seed=self.seed,
            frames=self.frames,
            elevation_deg=self.elevation_deg,
            sampling=replace(theirs.sampling, motion_bucket_id=self.motion),
        )

    def options(self) -> list[str]:
        """Return them as options of `diffusion2 generate`."""
        told = {"preset": self.preset, "seed": self.seed, "frames": self.frames}
        told |= {"motion": self.motion, "elevation": self.elevation_deg}
        return [f"--{name}={value}" for name, value in told.items()]


def usable_presets() -> tuple[str, ...]:
    """Return the names of the presets whose weights are here, the best one first."""
    best, _ = choose_preset()

    def is_usable(name: str) -> bool:
        try:
            check_available(PRESETS[name].priors)
        except WeightsError:
            return False
        return True

    return (best, *(name for name in PRESETS if name != best and is_usable(name)))


def find_examples() -> dict[str, Path]:
    """Return the examples by their names: those in the package, or beside its source."""
    package = Path(diffusion2.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        found = sorted(path for path in folder.glob("*") if path.suffix in (".png", ".webp"))
        if found:
            return {path.stem: path for path in found}
    return {}


class Making:
    """The form.

    Args:
        server: whose page gets it.
        tab: where it is on the page; open.
        runs: the folder of all runs.
        begin: called with a draft and what was chosen when somebody starts a run.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        tab: viser.GuiTabHandle,
        runs: Path,
        begin: Callable[[Draft, Choices], None],
    ) -> None:
        self._server, self._tab, self._runs, self._begin = server, tab, runs, begin
        self._draft: Draft | None = None
        self._cut_outs, self._lock, self._asked = CutOuts(), threading.Lock(), itertools.count()
        self._newest = -1
        self._replacing = threading.Lock()
        gui, presets = server.gui, usable_presets()
        gui.add_html(DROP)
        self._field = self._add_field()
        self._examples = find_examples()
        options = (NO_EXAMPLE, *self._examples)
        self._example = gui.add_dropdown("Or", options, visible=bool(self._examples))
        self._seen = gui.add_image(np.full((8, 8, 3), 255, np.uint8), visible=False, format="png")
        self._said = gui.add_html("")
        begun = Choices.of(presets[0])
        self._preset = gui.add_dropdown("Preset", presets, initial_value=presets[0])
        self._seed = gui.add_number("Seed", begun.seed, min=0, step=1, hint="Another seed, another result")
        self._frames = gui.add_slider("Frames", 2, 48, 1, begun.frames)
        self._motion = gui.add_slider("Motion", 0.0, 255.0, 1.0, begun.motion, hint="How much it moves")
        self._elevation = gui.add_slider(
            "Elevation", -30.0, 60.0, 1.0, begun.elevation_deg, hint="From how high the picture was taken"
        )
        self._start = gui.add_button("Generate", icon=viser.Icon.SPARKLES, color="green", disabled=True)
        self._example.on_update(lambda _: self._take_example())
        self._preset.on_update(lambda _: self._take_preset())
        for control in (self._frames, self._elevation):
            control.on_update(lambda _: self._look())
        self._start.on_click(lambda _: self._clicked())

    def close(self) -> None:
        """Leave nothing behind."""
        self._cut_outs.close()
        if self._draft is not None:
            self._draft.discard()

    def refuse(self, error: InputError) -> None:
        """Say why an input is not taken."""
        self._said.content = paragraph(f"error: {error}", "error")

    def take(self, name: str, content: bytes) -> None:
        """Take a file as the input of the next run."""
        try:
            draft = Draft(self._runs, name, content)
        except InputError as error:
            self.refuse(error)
            return
        before, self._draft = self._draft, draft
        if before is not None:
            before.discard()
        self._look()

    @property
    def choices(self) -> Choices:
        """What is chosen."""
        return Choices(
            self._preset.value,
            self._seed.value,
            self._frames.value,
            self._motion.value,
            self._elevation.value,
        )

    def _add_field(self, order: float | None = None) -> viser.GuiUploadButtonHandle:
        field = self._server.gui.add_upload_button(FIELD, order=order)
        field.on_upload(lambda event: self._uploaded(event.target.value))
        return field

    def _uploaded(self, file: viser.UploadedFile) -> None:
        """Take a file; a new field gets its place, as a browser's own does not notice the same file again."""
        with self._replacing, self._tab:
            used, self._field = self._field, self._add_field(self._field.order)
            used.remove()
        self.take(file.name, file.content)

    def _take_example(self) -> None:
        path = self._examples.get(self._example.value)
        if path is None:
            return
        try:
            self.take(path.name, path.read_bytes())
        except OSError as error:
            self.refuse(InputError(f"{path} can't be read: {in_one_line(error)}"))

    def _take_preset(self) -> None:
        theirs = Choices.of(self._preset.value)
        self._frames.value, self._motion.value = theirs.frames, theirs.motion
        self._elevation.value = theirs.elevation_deg
        self._look()

    def _look(self) -> None:
        """Show the input as a run would see it; of several that are asked for, the newest counts."""
        number = self._newest = next(self._asked)
        with self._lock:
            draft = self._draft
            if draft is None or number != self._newest:
                return
            self._start.disabled, self._seen.visible = True, False
            self._said.content = paragraph("cutting the object out …", "quiet")
            try:
                found = self._cut_outs.look(draft.file, self.choices.settings())
            except InputError as error:
                self.refuse(InputError(str(error).replace(str(draft.file), draft.file.name)))
                return
            if draft is not self._draft:
                return
            self._seen.image, self._seen.visible = found.picture, True
            notes = "".join(paragraph(f"note: {note}", "quiet") for note in found.notes)
            self._said.content = paragraph(f"{draft.name}: {found.told}, cut out", "quiet") + notes
            self._start.disabled = False

    def _clicked(self) -> None:
        with self._lock:
            draft, self._draft = self._draft, None
            if draft is None:
                return
            self._start.disabled, self._seen.visible, self._said.content = True, False, ""
            self._example.value = NO_EXAMPLE
            try:
                self._begin(draft, self.choices)
            except InputError as error:
                draft.discard()
                self.refuse(error)
