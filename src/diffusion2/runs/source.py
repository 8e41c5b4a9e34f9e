"""What a run starts from: whatever part of the image matrix the user has. Imports nothing heavy."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from diffusion2.config import InputSettings, input_settings_from_dict
from diffusion2.errors import InputError

Location = str | Path

SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
MASK_FOLDERS = {"mask", "masks"}


@dataclass(frozen=True)
class Source:
    """The known parts of a run, as files or words, and how to read them.

    Attributes:
        input: a picture, a video, a folder of frames, or a 3D model.
        prompt: words, of which a text-to-image pipeline makes the picture; "" for none.
        video: the reference view over time: a video or a folder of frames.
        views: the views at the reference time: a folder of pictures.
        settings: how they are read.
        mask: what the object is in the picture or video, white on black: a picture, a video or a folder.
    """

    input: Location | None = None
    prompt: str = ""
    video: Location | None = None
    views: Location | None = None
    settings: InputSettings = field(default_factory=InputSettings)
    mask: Location | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Return the files and folders by the part that they are."""
        parts = {"input": self.input, "video": self.video, "views": self.views, "mask": self.mask}
        return {part: Path(path) for part, path in parts.items() if path is not None}

    def __str__(self) -> str:
        """Say it in a few words, for a log."""
        words = [f'"{self.prompt}"'] if self.prompt else []
        words += [str(path) if part == "input" else f"{part} {path}" for part, path in self.files.items()]
        return ", ".join(words)

    def check(self) -> None:
        """Refuse a source that names nothing, or the same part twice.

        Raises:
            InputError: says which.
        """
        if self.prompt and self.input is not None:
            raise InputError("give an INPUT or a --prompt, not both")
        if not self.prompt.strip() and not self.files.keys() - {"mask"}:
            raise InputError(
                "nothing to start from: give an INPUT (a picture, a video, a folder of frames or a 3D model) "
                "or a --prompt"
            )
        if self.prompt and not self.settings.text_model:
            raise InputError(
                "--prompt needs a --text-model: a text-to-image pipeline of diffusers, by its name on the "
                "hub or its folder"
            )

    def to_record(self) -> dict[str, Any]:
        """Return what `config.json` keeps of it: paths with their hashes, the words, the settings."""
        parts = {part: {"path": str(path), "sha256": hash_path(path)} for part, path in self.files.items()}
        return {
            **parts.pop("input", {}),
            **parts,
            **({"prompt": self.prompt} if self.prompt else {}),
            "settings": asdict(self.settings),
        }

    def is_recorded(self, record: dict[str, Any]) -> bool:
        """Tell whether a record is of this source; parts that are not named, or are no more, do not count."""
        for part, path in self.files.items():
            recorded = record if part == "input" else record.get(part)
            if not isinstance(recorded, dict) or "sha256" not in recorded:
                return False
            if path.exists() and recorded["sha256"] != hash_path(path):
                return False
        return self.prompt in ("", record.get("prompt"))


def recorded_source(record: dict[str, Any]) -> Source:
    """Return the source of a record that `to_record` made.

    Raises:
        InputError: a setting is unknown to this version.
    """

    def path_of(part: Any) -> str | None:
        return part.get("path") if isinstance(part, dict) else None

    return Source(
        path_of(record),
        record.get("prompt", ""),
        path_of(record.get("video")),
        path_of(record.get("views")),
        input_settings_from_dict(record.get("settings", {})),
        path_of(record.get("mask")),
    )


def is_system_file(name: str) -> bool:
    """Tell whether a file in a folder is hidden, or put there by a file manager."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def is_mask_folder(path: Path) -> bool:
    """Tell whether a folder among frames has their masks in it."""
    return path.is_dir() and path.name.lower() in MASK_FOLDERS


def hash_path(path: Path) -> str:
    """Hash a file, or the names and contents of a folder's files and masks; what is hidden does not count."""
    if not path.is_dir():
        return _hash_file(path)
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()):
        if is_mask_folder(file):
            digest.update(f"{file.name}\0{hash_path(file)}\n".encode(errors="surrogateescape"))
        elif file.is_file() and not is_system_file(file.name):
            digest.update(f"{file.name}\0{_hash_file(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
