"""Files that a model names: textures, materials, buffers, which lie in its folder or below."""

import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote


def find_file(folder: Path, name: str) -> tuple[Path | None, bool]:
    r"""Find the file that a model means by a name.

    Names come from other machines. They are tried as they are, with what is percent-encoded decoded, and
    with `\` as `/`; letter for letter before in any case. Where that finds nothing, the last parts of the
    name do: of `C:\art\fox\textures\skin.png` a file `textures/skin.png` or `skin.png`. Nothing outside of
    the folder is ever found.

    Args:
        folder: the model's.
        name: as it stands in the model.

    Returns:
        The file, None where there is none; and whether it is where the name says.
    """
    forms = dict.fromkeys([name, unquote(name), name.replace("\\", "/"), unquote(name).replace("\\", "/")])
    for form in forms:
        parts = os.path.normpath(form).split("/") if form else []
        found = _descend(folder, parts)
        if found is not None:
            return found, True
    parts = [part for part in list(forms)[-1].split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        found = _descend(folder, parts[start:])
        if found is not None:
            return found, False
    return None, False


def _descend(folder: Path, parts: list[str]) -> Path | None:
    """Follow the parts of a name; of each, one that differs only in case will do."""
    if not parts or not all(parts) or ".." in parts:
        return None
    for part in parts:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return None
        if part not in names:
            names = [name for name in names if _plain(name) == _plain(part)]
            if not names:
                return None
            part = names[0]
        folder = folder / part
    return folder if folder.is_file() else None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
