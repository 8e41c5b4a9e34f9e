"""A folder of frames: which files are frames, which are masks of them, and in which order they come."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from diffusion2.errors import InputError, in_one_line
from diffusion2.runs.source import is_mask_folder, is_system_file

PICTURES = {
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".webp",
    ".avif",
    ".bmp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
}
PICTURES |= {".pnm", ".tga", ".gif", ".apng", ".heic", ".heif", ".hif"}
UNREADABLE = {
    ".exr",
    ".hdr",
    ".dng",
    ".raw",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".psd",
    ".svg",
    ".jp2",
    ".jxl",
    ".dds",
}
"""Pictures that are missed if they are left out in silence."""
MASK = re.compile(r"(?:(?<=[^a-z])|^)masks?(?=[^a-z]|$)", re.IGNORECASE)
"""The word in a name."""
STUCK_MASK = re.compile(r"masks?", re.IGNORECASE)
"""The same inside a word, which counts where the name without it is that of another picture."""
NUMBER = re.compile(r"(?:(?:^|(?<=[_= (\[,]))[-+](?=\d))?\d+(?:\.\d+)?(?:e[-+]\d+)?")
"""A number in a name; what follows a letter or a digit is a hyphen, not a sign."""
SIGNED = re.compile(r"(?<!\d)[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?")
"""The same where a hyphen after a letter is a sign: names like `t-1` and `t0` differ in nothing else."""
WHOLE = re.compile(r"\d+")


@dataclass(frozen=True)
class Folder:
    """The pictures of a folder.

    Attributes:
        frames: in order.
        masks: of some or all frames, by the frame's index; several of one frame are parts of its mask.
        notes: what was decided about the folder, a line each.
    """

    frames: list[Path]
    masks: dict[int, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_folder(folder: Path) -> Folder:
    """List the pictures of a folder by the numbers in their names; hidden and system files don't count.

    Pictures with "mask" in their names, and those in a folder `masks` inside, are masks of the others.

    Raises:
        InputError: there are none.
    """
    pictures, notes = list_pictures(folder)
    stems = {path.stem.lower() for path in pictures}
    masks = [path for path in pictures if _is_mask(path.stem.lower(), stems)]
    others = set(pictures) - set(masks)
    frames = [path for path in pictures if path in others]
    if not frames:
        frames, masks = pictures, []
    for inner in filter(is_mask_folder, sorted(folder.iterdir())):
        masks += in_order(path for path in _visible_files(inner) if path.suffix.lower() in PICTURES)
    pairs = pair_masks(frames, masks) if masks else {}
    if masks:
        notes.append(_describe(folder, frames, masks, pairs))
    return Folder(frames, pairs, [*notes, *_note_patterns(folder, frames)])


def _is_mask(stem: str, stems: set[str]) -> bool:
    return bool(MASK.search(stem) or ("mask" in stem and STUCK_MASK.sub("", stem) in stems))


def list_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """List all pictures of a folder in order, masks or not, and notes about what is left out.

    Raises:
        InputError: there are none.
    """
    files = _visible_files(folder)
    found = [path for path in files if path.suffix.lower() in PICTURES]
    if not found:
        inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
        hint = f"; it has folders in it ({', '.join(inner[:3])}): give one of them" if inner else ""
        beside = [name for name in inner if is_mask_folder(folder / name)]
        if beside and len(inner) > len(beside):
            hint += f", with --mask {folder / beside[0]}"
        raise InputError(f"{folder} is a folder without pictures (PNG, JPEG, WebP …) in it{hint}")
    missed = sorted(path.name for path in files if path.suffix.lower() in UNREADABLE)
    notes = []
    if missed:
        notes.append(
            f"{folder} has {len(missed)} pictures in formats that can't be read ({missed[0]} …), which "
            "are left out: save them as PNG"
        )
    return in_order(found), notes


def _visible_files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not is_system_file(path.name) and path.is_file()]
    except OSError as error:
        raise InputError(f"{folder} can't be read: {in_one_line(error)}") from error


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Order files by the numbers in their names, with signs and decimals, as people do.

    `clip1.9` and `clip1.10` count 1, 9 and 1, 10, while `t=0.5` follows `t=0.25`: nobody writes a decimal
    fraction with a zero at its end beside shorter ones.
    """
    paths = list(paths)
    fractions = [found.group(1) for path in paths for found in re.finditer(r"(?<=\d)\.(\d+)", path.stem)]
    counted = len({len(digits) for digits in fractions}) > 1 and any(
        len(digits) > 1 and digits.endswith("0") for digits in fractions
    )
    number = WHOLE if counted else numbers_of(paths)
    return sorted(paths, key=lambda path: name_key(path.stem, number))


def numbers_of(paths: Iterable[Path]) -> re.Pattern[str]:
    """Tell what a number is in a folder's names: a hyphen after a letter is a sign if only some have one."""
    stems = [path.stem for path in paths]
    plain = {NUMBER.sub("#", stem) for stem in stems}
    signed = {SIGNED.sub("#", stem) for stem in stems}
    return SIGNED if len(signed) == 1 < len(plain) else NUMBER


def name_key(stem: str, number: re.Pattern[str] = NUMBER) -> list[tuple[int, Decimal, str]]:
    """Split a name into numbers and what stands between them, for sorting: frame9 before frame10."""
    key, end = [], 0
    for found in number.finditer(stem):
        if between := stem[end : found.start()]:
            key.append((1, Decimal(0), between))
        key.append((0, Decimal(found.group()), found.group()))
        end = found.end()
    return [*key, (1, Decimal(0), stem[end:])] if stem[end:] else key


def pair_masks(frames: Sequence[Path], masks: Sequence[Path]) -> dict[int, list[Path]]:
    """Find each frame's masks: by its name, else by the numbers in it, else by the order of as many of both.

    A single mask without any number is that of all frames. Masks whose names go on after the frame's are
    parts: of `000.png`, `000_mask.png` as well as `000_mask_1.png`.
    """
    if len(masks) == 1 and len(frames) > 1 and not WHOLE.search(masks[0].stem):
        return {index: [masks[0]] for index in range(len(frames))}
    best = _by_parts(frames, masks)
    for key in (_bare_name, _numbers):
        known = defaultdict(list)
        for mask in masks:
            known[key(mask)].append(mask)
        keys = [key(frame) for frame in frames]
        times = Counter(keys)
        found = {i: known[k] for i, k in enumerate(keys) if k and len(known[k]) == 1 and times[k] == 1}
        best = max(best, found, key=len)
    return best or ({i: [mask] for i, mask in enumerate(masks)} if len(masks) == len(frames) else {})


def _by_parts(frames: Sequence[Path], masks: Sequence[Path]) -> dict[int, list[Path]]:
    """Assign each mask to the one frame with whose name its own begins."""
    names = [_bare_name(frame) for frame in frames]
    numbers = {name: index for index, name in enumerate(names) if name and names.count(name) == 1}
    found = defaultdict(list)
    for mask in masks:
        name = _bare_name(mask)
        while name and name not in numbers:
            name = name.rpartition("_")[0]
        if name:
            found[numbers[name]].append(mask)
    return dict(sorted(found.items()))


def _bare_name(path: Path) -> str:
    """A name without the word mask and what joins it to the rest."""
    stem = path.stem.lower()
    without = MASK.sub("", stem) if MASK.search(stem) else STUCK_MASK.sub("", stem)
    return re.sub(r"[^a-z0-9.+=-]+", "_", without).strip("_-. ")


def _numbers(path: Path) -> tuple[Decimal, ...]:
    return tuple(Decimal(number) for number in NUMBER.findall(path.stem))


def _describe(folder: Path, frames: list[Path], masks: list[Path], pairs: dict[int, list[Path]]) -> str:
    """Say what became of the masks among frames."""
    if not pairs:
        return (
            f"{folder} has {len(masks)} masks ({masks[0].name} …) that fit none of its {len(frames)} frames "
            "by name or number: they are left out; name each like its frame, or give their folder with --mask"
        )
    used = len({mask for parts in pairs.values() for mask in parts})
    joined = ", those of one frame together" if any(len(parts) > 1 for parts in pairs.values()) else ""
    rest = len(frames) - len(pairs)
    left_out = f"; {len(masks) - used} others fit no frame and are left out" if used < len(masks) else ""
    without = f"; {rest} frames have none and are cut out as pictures without one" if rest else ""
    what = f"{masks[0].name} is" if used == 1 else f"{used} pictures ({masks[0].name} …) are"
    return (
        f"{folder}: {what} taken as the frames' masks{joined}, white being the object{without}{left_out}; "
        "move masks elsewhere to do without"
    )


def _note_patterns(folder: Path, frames: list[Path]) -> list[str]:
    """Say when names are not all made alike, as strangers may be among the frames."""
    number = numbers_of(frames)
    patterns = Counter(number.sub("#", path.stem) + path.suffix.lower() for path in frames)
    if len(patterns) == 1:
        return []
    kinds = ", ".join(f"{count} like {pattern}" for pattern, count in patterns.most_common(3))
    more = ", …" if len(patterns) > 3 else ""
    return [
        f"{folder}: its pictures are not named alike ({kinds}{more}): all are taken in the order of their "
        f"names, from {frames[0].name} to {frames[-1].name}; move away what does not belong"
    ]
