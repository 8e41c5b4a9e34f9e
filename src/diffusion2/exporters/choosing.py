"""What a format is, and which of them a path and a name ask for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

from diffusion2.cameras import ModelFrame
from diffusion2.config import ExportSettings, closest
from diffusion2.errors import BackendUnavailable, ExportError, InputError
from diffusion2.events import Report
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import ImageMatrix


@dataclass(frozen=True)
class Job:
    """What a writer is asked for.

    Attributes:
        asset: what to write; it has Gaussians.
        path: the file or folder; of numbered files their pattern, such as `fox_*.ply`.
        settings: how.
        report: takes the events of the work.
        matrix: the pictures that the asset was made from, where they are known.
    """

    asset: Asset4D
    path: Path
    settings: ExportSettings
    report: Report
    matrix: ImageMatrix | None = None

    @property
    def model_frame(self) -> ModelFrame | None:
        """Where the given model stands, if the result is to stand there, too; None: as the format has it."""
        return self.asset.metadata.model_frame if self.settings.frame == "model" else None


@dataclass(frozen=True)
class Extra:
    """An extra of this package, and the modules of the libraries that it brings."""

    name: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """One row of the table.

    Attributes:
        name: what `--as` calls it. Formats may share it where their paths tell them apart.
        suffix: of its files, lower-case; none of a folder that has files of many kinds.
        what: what the files hold, in a few words.
        write: the writer.
        many: it is a numbered file for each frame, in a folder or by a pattern.
        heeds: the fields of `ExportSettings` that change what is written.
        extra: what has to be installed for it.
    """

    name: str
    suffix: str
    what: str
    write: Callable[[Job], None]
    many: bool = False
    heeds: frozenset[str] = frozenset()
    extra: Extra | None = None

    @property
    def sees_matrix(self) -> bool:
        """Whether the pictures that the asset was made from count: a texture or a dataset is made of them."""
        return bool(self.heeds & {"mesh", "layout"})

    def __str__(self) -> str:
        """Say how it is asked for, what it is and what it needs."""
        asked = self.suffix or f"a folder with --as {self.name}"
        if self.many:
            asked = f"NAME_*{self.suffix} or a folder with --as {self.name}"
        needs = f"; needs the extra {self.extra.name}" if self.extra else ""
        return f"{asked} ({self.what}{needs})"

    def check_extra(self) -> None:
        """Find out whether its libraries are installed, before anything is computed.

        Raises:
            BackendUnavailable: one is missing.
        """
        if self.extra is not None and not all(find_spec(module) for module in self.extra.modules):
            raise BackendUnavailable(
                f"writing {self.suffix} needs more libraries: pip install 'diffusion2[{self.extra.name}]'"
            )


def choose_format(formats: Sequence[Format], path: Path, name: str | None = None) -> Format:
    """Choose the format that a path, and a name where one is given, ask for.

    Args:
        formats: the table; of several that fit, the first counts.
        path: a file, a pattern such as `fox_*.ply`, or a folder.
        name: what `--as` says.

    Raises:
        InputError: no format has that name, or it is not written to such a path.
        ExportError: the suffix is unknown, or says too little; the known ones are listed.
    """
    known = list_formats(formats)
    named = [row for row in formats if name in (None, row.name)]
    if not named:
        names = list(dict.fromkeys(row.name for row in formats))
        raise InputError(f"--as {name} is unknown{closest(str(name), names)}: use {', '.join(names)}")
    suffixes = {row.suffix for row in formats if row.suffix}
    fitting = [suffix for suffix in suffixes if path.name.lower().endswith(suffix)]
    suffix = max(fitting, key=len, default=path.suffix.lower())  # .compressed.ply ends in .ply, too
    is_pattern = "*" in path.name
    is_folder = not is_pattern and (path.is_dir() or not fitting)
    if name is None and is_folder:
        if path.is_dir():
            raise ExportError(f"{path} is a folder, where the suffix of a file says the format: {known}")
        raise ExportError(f"{path}: an asset can't be written as {suffix or 'that'}: use {known}")
    wants_many = is_pattern or is_folder
    for row in named:
        if not row.suffix and is_folder:
            return row
        if row.many == wants_many and (is_folder or row.suffix == suffix):
            return row
    if name is None:
        wanted = "numbered files" if wants_many else "one file"
        raise ExportError(f"{path}: {suffix} is not written as {wanted}: use {known}")
    raise InputError(f"--as {name} is not written to {path}: it is for {'; '.join(map(str, named))}")


def list_formats(formats: Sequence[Format]) -> str:
    """Say in short how each is asked for, and what it needs."""
    said: dict[str, None] = {}
    for row in formats:
        path = f"NAME_*{row.suffix}" if row.many else row.suffix or "FOLDER"
        leaves_a_choice = path in said or not row.suffix
        said[f"{path} --as {row.name}" if leaves_a_choice else path] = None
    needs = [f" (extra {row.extra.name})" if row.extra else "" for row in formats]
    return ", ".join(f"{asked}{extra}" for asked, extra in zip(said, needs, strict=True))


def check_heeded(formats: Sequence[Format], chosen: Format, settings: ExportSettings) -> None:
    """Refuse settings that the chosen format would pass over.

    Raises:
        InputError: names one, and the formats that it is for.
    """
    for field in fields(ExportSettings):
        changed = getattr(settings, field.name) != getattr(ExportSettings(), field.name)
        if changed and field.name not in chosen.heeds:
            meant = list_formats([row for row in formats if field.name in row.heeds])
            raise InputError(f"{field.name} changes nothing in {chosen.name}: it is for {meant}")
