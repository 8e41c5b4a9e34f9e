"""Which weights there are, where they lie, and which preset can run. Imports nothing heavy."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from diffusion2.errors import WeightsError, in_one_line
from diffusion2.weights.gpu import gpu_memory
from diffusion2.weights.hashes import remembered_hash

MINI_VARIABLE = "DIFFUSION2_MINI_WEIGHTS"
MINI_PARTS = ("vae", "lifter", "video", "multiview")
FOLDER_VARIABLE = "DIFFUSION2_WEIGHTS"
FULL_SIZE_BYTES = 20e9
"""Memory that a GPU should have for the full-size pair: for decoding ten images; docs/performance.md."""
SVD_PARTS = ("unet", "vae", "image_encoder")
HASHES_NAME = "hub_hashes.json"
"""In a folder that `fetch` filled: the sha256 of its files by name, as the hub has them."""


@dataclass(frozen=True)
class HubModel:
    """A full-size model that has to be fetched.

    Attributes:
        name: what commands call it.
        title: its own name.
        variable: of the environment; a path, or another id on the hub, that takes its place.
        hub_id: where the hub has it.
        local: what it may be called in a folder of weights, a diffusers folder or the released file.
        files: what is fetched.
        gigabytes: about how much that is.
        licence: under which it comes.
    """

    name: str
    title: str
    variable: str
    hub_id: str
    local: tuple[str, ...]
    files: tuple[str, ...]
    gigabytes: float
    licence: str = "Stability AI's"

    @property
    def page(self) -> str:
        """Return the page on which the licence is accepted."""
        return f"https://huggingface.co/{self.source}"

    @property
    def source(self) -> str:
        """Return the id on the hub: the environment's, where it names one, else the usual one."""
        given = os.environ.get(self.variable, "")
        return given if is_hub_id(given) else self.hub_id


SVD = HubModel(
    "svd",
    "SVD-XT",
    "DIFFUSION2_SVD",
    "stabilityai/stable-video-diffusion-img2vid-xt",
    ("svd_xt", "svd_xt.safetensors"),
    (
        *(f"{part}/config.json" for part in SVD_PARTS),
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "image_encoder/model.fp16.safetensors",
    ),
    4.5,
)
SV3D = HubModel(
    "sv3d",
    "SV3D_p",
    "DIFFUSION2_SV3D",
    "stabilityai/sv3d",
    ("sv3d_p.safetensors", "sv3d_p"),
    ("sv3d_p.safetensors",),
    9.4,
)
FULL_SIZE = (SVD, SV3D)


@dataclass(frozen=True)
class WeightsEntry:
    """One network's weights, or those of one full-size model.

    Attributes:
        pair: the pair of priors it belongs to.
        name: the network.
        licence: under which licence it comes.
        source: where it lies, or how to get it.
        files: its files that are here; empty where it is missing.
    """

    pair: str
    name: str
    licence: str
    source: str
    files: tuple[Path, ...] = ()

    @property
    def megabytes(self) -> float:
        """Size of its files in MB."""
        return sum(path.stat().st_size for path in self.files) / 1e6


def mini_folder() -> Path:
    """Return the folder of the mini pair: the environment's, else the package's."""
    given = os.environ.get(MINI_VARIABLE)
    return Path(given) if given else Path(__file__).parents[1] / "priors" / "mini_weights"


def is_hub_id(text: str) -> bool:
    """Say whether a text that names no file or folder here can be an id on the hub, OWNER/NAME."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", text)) and not Path(text).exists()


def find_full_size(model: HubModel, folder: str | Path | None = None) -> Path | None:
    """Find a full-size model: a folder of diffusers, or a released file.

    Args:
        model: which.
        folder: a folder of weights to look in, and nowhere else. None: what the environment says (the model's
            own variable, else `DIFFUSION2_WEIGHTS`), then the hub's cache.

    Returns:
        Where it is; None where it isn't, or not completely.
    """
    return next((place for place in _places(model, folder) if not missing_parts(model, place)), None)


def _places(model: HubModel, folder: str | Path | None) -> list[Path]:
    """List where a model may be, the first choice first."""
    if folder:
        return [Path(folder) / name for name in model.local]
    given, common = os.environ.get(model.variable, ""), os.environ.get(FOLDER_VARIABLE)
    if given and not is_hub_id(given):
        return [Path(given)]
    snapshot = hub_snapshot(model.source)
    roots = [Path(common)] if common and not given else []
    places = [root / name for root in [*roots, *([snapshot] if snapshot else [])] for name in model.local]
    return [*places, snapshot] if snapshot else places


def missing_parts(model: HubModel, path: Path) -> list[str]:
    """List what a full-size model lacks at a path; empty where it is complete, as far as names go."""
    if path.is_file():
        return [] if path.suffix == ".safetensors" else [f"{path.name} is no .safetensors file"]
    parts = SVD_PARTS if model is SVD else ("unet",)
    missing = []
    for part in parts:
        if not (path / part / "config.json").is_file():
            missing.append(f"{part}/config.json")
        try:
            network_files(path / part)
        except WeightsError:
            missing.append(f"{part}/*.safetensors")
    return missing


def network_files(folder: Path) -> list[Path]:
    """Find the weights of a network of diffusers or transformers in its folder.

    Full precision goes before fp16, a single file before several with an index.

    Raises:
        WeightsError: there are none, or some of those in the index are missing.
    """
    for pattern in ("*model.safetensors", "*model.fp16.safetensors"):
        files = sorted(folder.glob(pattern))
        if files:
            return files[:1]
    for pattern in ("*model.safetensors.index.json", "*model.safetensors.index.fp16.json"):
        for index in sorted(folder.glob(pattern)):
            return _indexed_files(index)
    others = sorted(path.name for path in folder.glob("*.bin"))
    only = f", only {others[0]}, a pickle, which is not read" if others else ""
    raise WeightsError(f"there is no .safetensors file with weights in {folder}{only}")


def _indexed_files(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{index} is no index of weights: {in_one_line(error)}") from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise WeightsError(f"{index} names {missing[0]}, which does not exist: fetch it")
    return [index.parent / name for name in names]


def hub_snapshot(hub_id: str) -> Path | None:
    """Find the files of a model in the hub's cache, of the version fetched last; they may be incomplete.

    Of the hub's client only the constants are imported: its functions take a third of a second to import, and
    `--help` asks, too. The layout is documented for others: https://huggingface.co/docs/hub/local-cache.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    try:
        return folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None


def list_weights(folder: str | Path | None = None) -> list[WeightsEntry]:
    """List all networks that a preset may need, with the files that are here.

    Args:
        folder: see `find_full_size`.
    """
    mini = [
        WeightsEntry(
            "mini",
            part,
            "Apache-2.0",
            str(mini_folder() / part),
            tuple(sorted((mini_folder() / part).glob("*.safetensors"))),
        )
        for part in MINI_PARTS
    ]
    return mini + [_full_size_entry(model, folder) for model in FULL_SIZE]


def _full_size_entry(model: HubModel, folder: str | Path | None) -> WeightsEntry:
    name = f"{'video' if model is SVD else 'multiview'} ({model.title})"
    path = find_full_size(model, folder)
    if path is None:
        how = f"accept it on {model.page}, then weights fetch {model.name}, {model.gigabytes} GB"
        return WeightsEntry("svd-sv3d", name, model.licence, how)
    return WeightsEntry("svd-sv3d", name, model.licence, str(path), tuple(model_files(model, path)))


def model_files(model: HubModel, path: Path) -> list[Path]:
    """List the files of a full-size model at a path where it is complete."""
    if path.is_file():
        return [path]
    parts = SVD_PARTS if model is SVD else ("unet",)
    return [file for part in parts for file in network_files(path / part)]


def check_available(pair: str, folder: str | Path | None = None) -> None:
    """Refuse a pair whose weights are missing.

    Args:
        pair: which.
        folder: see `find_full_size`.

    Raises:
        WeightsError: names the networks that are missing and what to do.
    """
    if pair == "svd-sv3d":
        full_size_paths(folder)
        return
    missing = [entry for entry in list_weights() if entry.pair == pair and not entry.files]
    if missing:
        names = ", ".join(entry.name for entry in missing)
        raise WeightsError(
            f"weights of the {pair} pair are missing: {names} in {mini_folder()}: install the package with "
            f"its weights, or set {MINI_VARIABLE} to a folder that has vae/, lifter/, video/ and multiview/"
        )


def full_size_paths(folder: str | Path | None = None) -> tuple[Path, Path]:
    """Find SVD-XT and SV3D_p.

    Args:
        folder: see `find_full_size`.

    Raises:
        WeightsError: names what is missing and how to get it.
    """
    svd, sv3d = (find_full_size(model, folder) for model in FULL_SIZE)
    if svd and sv3d:
        return svd, sv3d
    missing = [model for model, path in zip(FULL_SIZE, (svd, sv3d), strict=True) if path is None]
    titles = " and ".join(model.title for model in missing)
    pages = " and ".join(model.page for model in missing)
    begun = [(model, place) for model in missing for place in _places(model, folder) if place.exists()]
    incomplete = "".join(f" ({place} lacks {missing_parts(model, place)[0]})" for model, place in begun[:1])
    raise WeightsError(
        f"the weights of {titles} are not here{f', in {folder}' if folder else ''}{incomplete}: accept the "
        f"licence on {pages}, then run diffusion2 weights fetch; or name a folder that has them, see "
        f"docs/weights.md; or use --preset mini, whose weights come with the package"
    )


def choose_preset(folder: str | Path | None = None) -> tuple[str, str]:
    """Choose the preset that this machine can run: (name, why).

    Args:
        folder: see `find_full_size`.
    """
    if not all(find_full_size(model, folder) for model in FULL_SIZE):
        return "mini", "the weights of the full-size pair are not here"
    size, reason = gpu_memory()
    if not size:
        return "mini", f"the weights of the full-size pair are here, but {reason}"
    if size < FULL_SIZE_BYTES:
        return "mini", (
            f"the full-size pair wants {FULL_SIZE_BYTES / 1e9:.0f} GB of a GPU's memory, this one has "
            f"{size / 1e9:.0f}"
        )
    return "paper", f"its weights and a GPU with {size / 1e9:.0f} GB are here"


def weights_hashes(pair: str, folder: str | Path | None = None) -> dict[str, str]:
    """Get the sha256 of every file of a pair's weights, by network and file name; see `remembered_hash`."""
    hashes = {}
    for entry in list_weights(folder):
        if entry.pair == pair:
            for path in entry.files:
                part = f"/{path.parent.name}" if pair == "svd-sv3d" and len(entry.files) > 1 else ""
                hashes[f"{entry.name}{part}/{path.name}"] = remembered_hash(path)
    return hashes


def noted_hash(path: Path) -> str | None:
    """Return the sha256 that the hub named when a file was fetched; None where it is not known.

    In the hub's cache, a large file's contents are named by it; in a folder of weights, `fetch` noted it.
    """
    blob = path.resolve()
    if blob.parent.name == "blobs" and len(blob.name) == 64:
        return blob.name
    for root in list(path.parents)[:3]:
        note = root / HASHES_NAME
        if note.is_file():
            noted = json.loads(note.read_text(encoding="utf-8")).get(path.relative_to(root).as_posix())
            return noted if isinstance(noted, str) else None
    return None
