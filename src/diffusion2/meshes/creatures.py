"""The benchmark `creatures`: eight animated models that no prior was trained on, each in a fixed clip.

Clips and cameras were chosen by eye, before any result was measured on them: a motion that shows
what the creature does, about a second of it, from where it is well recognised.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import diffusion2.cameras
import diffusion2.meshes
import diffusion2.meshes.ground_truth
from diffusion2.atomic_files import atomic_path, remove, write_json
from diffusion2.cameras import DEFAULT_ELEVATION_DEG, orbit
from diffusion2.errors import AssetFormatError, InputError
from diffusion2.image_matrix import ImageMatrix
from diffusion2.meshes import load_model
from diffusion2.meshes.ground_truth import SOURCE, choose_window, render_clip
from diffusion2.runs.matrix_files import read_matrix, write_matrix
from diffusion2.weights.hashes import file_hash


@dataclass(frozen=True)
class Creature:
    """One model of the benchmark and what is shown of it.

    Attributes:
        name: what it is called in tables.
        file: the model, relative to the assets folder.
        clip: its animation.
        start: seconds into the clip of the reference frame.
        duration: seconds that the frames cover.
        azimuth_deg: where the reference camera stands around the model; 0 looks at its front.
    """

    name: str
    file: str
    clip: str
    start: float
    duration: float
    azimuth_deg: float


CREATURES = (
    Creature("Wolf", "animated/animals_pack/Wolf.glb", "AnimalArmature|Walk", 0.0, 1.0417, 45.0),
    Creature("Koi", "animated/cute_fish_pack/Koi.glb", "Fish_Armature|Swimming_Fast", 0.0, 1.0417, 50.0),
    Creature(
        "Enemy_2Legs", "animated/cyberpunk_pack/Enemy_2Legs.glb", "CharacterArmature|Walk", 0.0, 1.6667, 30.0
    ),
    Creature(
        "Triceratops",
        "animated/dinosaurs_pack/Triceratops.glb",
        "Armature|Triceratops_Run",
        0.0,
        0.7917,
        50.0,
    ),
    Creature("Frog", "animated/easy_enemies_pack/Frog.glb", "FrogArmature|Frog_Jump", 0.0, 0.875, 40.0),
    Creature("Whale", "animated/fish_pack/Whale.glb", "Armature|Swim", 0.2, 2.0, 50.0),
    Creature("Knight", "animated/kaykit_adventurers/Knight.glb", "Walking_A", 0.0, 1.0667, 20.0),
    Creature("Leela", "animated/mech_pack/Leela.glb", "Walk", 0.0, 1.0417, 35.0),
)


def creature_truth(
    creature: Creature,
    assets: Path,
    cache: Path,
    *,
    views: int = 12,
    frames: int = 12,
    size: int = 128,
    elevation_deg: float = DEFAULT_ELEVATION_DEG,
    object_size: float = 0.7,
) -> ImageMatrix:
    """Return the true image matrix of a creature, rendered at the first call and read from files later.

    Its rows are those of a run (the last one is the reference view), its column 0 is the reference
    frame. The pictures have 8 bits whether they were just rendered or read.

    Args:
        creature: what to show, one of `CREATURES`.
        assets: folder of the models.
        cache: folder that keeps what was rendered, one folder in the run layout for each definition.
        views: number of rows.
        frames: number of columns.
        size: height and width in pixels.
        elevation_deg: of all cameras.
        object_size: share of the frame that it fills in the reference picture.

    Raises:
        InputError: the model is missing or is not the one meant.
        BackendUnavailable: it has to be rendered, and there is no off-screen OpenGL.
    """
    model_file = assets / creature.file
    if not model_file.is_file():
        raise InputError(
            f"{model_file} does not exist: the assets must be the folder that has {creature.file}"
        )
    shown: dict[str, float] = {"views": views, "frames": frames, "size": size}
    shown |= {"elevation_deg": elevation_deg, "object_size": object_size}
    definition = _define(creature, model_file, shown)
    key = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
    folder = cache / f"{creature.name}-{key[:16]}"
    try:
        return read_matrix(folder)
    except AssetFormatError:
        remove(folder)  # not there, or damaged
    model = load_model(model_file)
    window = choose_window(model, creature.clip, frames, start=creature.start, duration=creature.duration)
    cameras = orbit(views, elevation_deg, height=size)
    matrix = render_clip(model, window, cameras, azimuth_deg=creature.azimuth_deg, object_size=object_size)
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_json(temporary / SOURCE, definition)
        write_matrix(temporary, matrix)
        remove(folder)  # another process may have been as fast
    return read_matrix(folder)


def _define(creature: Creature, model_file: Path, shown: dict[str, float]) -> dict[str, object]:
    """Say all that decides what the pictures look like."""
    model = file_hash(model_file)
    return {"creature": asdict(creature), **shown, "model": model, "renderer": _renderer_digest()}


def _renderer_digest() -> str:
    """Hash the code that decides what the pictures look like: where it changes, they are rendered anew."""
    files = sorted(Path(str(diffusion2.meshes.__file__)).parent.glob("*.py"))
    files += [Path(str(m.__file__)) for m in (diffusion2.cameras, diffusion2.meshes.ground_truth)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
