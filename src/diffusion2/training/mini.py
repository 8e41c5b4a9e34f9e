"""The mini pair from models to weights: render, train the autoencoder, encode, train both networks, pack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from diffusion2.atomic_files import atomic_path
from diffusion2.config import Between, Settings, Share
from diffusion2.errors import InputError, WeightsError
from diffusion2.events import Report, ignore
from diffusion2.priors.devices import choose_device
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.mini import WEIGHTS_FILE, load_network
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.unet import SpatioTemporalUNet, multiview_from_video
from diffusion2.runs.atomic_tensors import save_tensors
from diffusion2.training.data import build_set
from diffusion2.training.diffusion import (
    BATCH,
    MULTIVIEW_CHANNELS,
    UNET_CONFIG,
    VECTOR_WIDTHS,
    DiffusionTask,
    MixedSet,
    SequenceSet,
    open_set,
)
from diffusion2.training.latents import encode_set, motion_buckets
from diffusion2.training.lifter import LIFTER_CONFIG, LifterTask, held_out_creatures
from diffusion2.training.loop import LoopSettings, Trainer, TrainingTask, read_checkpoint, write_checkpoint
from diffusion2.training.processes import join
from diffusion2.training.scenes import AssetScenes, MixedScenes, procedural_scene
from diffusion2.training.vae import VAE_CONFIG, VaeTask, decode, fit_components

Part = Literal["vae", "video", "multiview", "lifter"]
OPTIONAL = {"lifter"}
"""Parts that a pair may lack."""
PROCEDURAL = 500
"""Procedural creatures that are rendered where nothing else is said."""
DEFAULT_CACHE = Path.home() / ".cache" / "diffusion2" / "mini"


@dataclass(frozen=True)
class TrainSettings(Settings):
    """What is trained, on what, where it is kept and for how long.

    Attributes:
        part: which of the networks.
        assets: folder of models with a `PROVENANCE.tsv` (columns split, kind, file); None to learn from
            procedural creatures alone, where nothing is held out to measure on.
        cache: rendered sets, latents and checkpoints.
        loop: how long, and how often to look.
        threads: of this process.
        device: where the video and the multi-view network are trained; the autoencoder is on the CPU.
        batch: sequences, or scenes of the lifter, that one step learns from.
        procedural: how many procedural creatures are rendered, beside the models or in their place; the
            lifter draws as many as it needs, or none where this is 0.
        procedural_share: share of sequences, or scenes, that are of them, where there are models, too.
    """

    part: Part
    assets: Path | None
    cache: Path
    loop: LoopSettings
    threads: Annotated[int, Between(1, 1024)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    batch: Annotated[int, Between(1, 100_000)] = BATCH
    procedural: Annotated[int, Between(0, 1_000_000)] = PROCEDURAL
    procedural_share: Share = 0.5


def train(settings: TrainSettings, report: Report) -> Path:
    """Train one part of the pair, or go on with it; what it needs is rendered or encoded first.

    Returns:
        The checkpoint.

    Raises:
        InputError: the models, or the part that has to be trained before, are not there; there is nothing to
            learn from; or several processes on a GPU.
    """
    if settings.assets is None and not settings.procedural:
        raise InputError("there is nothing to learn from: give models with --assets, or --procedural above 0")
    checkpoint = settings.cache / f"{settings.part}.safetensors"
    torch.set_num_threads(settings.threads)
    processes = join()
    if processes.count > 1 and settings.device != "cpu":
        raise InputError("several processes train on the CPU only: leave out torchrun, or --device")
    if not processes.is_first:
        report = ignore
        processes.wait()  # until the first has rendered and encoded what the others read
    task = _task(settings, report)
    if processes.is_first:
        processes.wait()
    Trainer(task, checkpoint, processes).run(settings.loop, report)
    return checkpoint


def _task(settings: TrainSettings, report: Report) -> TrainingTask:
    """Make what is trained; render and encode first what it learns from."""
    if settings.part == "lifter":
        return _lifter_task(settings)
    sources = _sources(settings)
    if settings.part == "vae":
        sets = {
            split: [build_set(source, split, kind, settings.cache) for kind in ("orbit", "video")]
            for split, source in sources.items()
        }
        held_out = sets.pop("val", [])
        train_sets = [path for paths in sets.values() for path in paths]
        return VaeTask(_starting_autoencoder(settings.cache, train_sets), train_sets, held_out)
    sequences = {split: _sequences(settings, source, split, report) for split, source in sources.items()}
    files, procedural = sequences.get("train"), sequences.get("procedural")
    if files and procedural:
        train_set = MixedSet(files, procedural, settings.procedural_share)
    else:
        train_set = files or procedural
    assert train_set is not None
    return DiffusionTask(
        _starting_network(settings.part, settings.cache),
        train_set,
        sequences.get("val"),
        partial(decode, trained_vae(settings.cache)),
        batch=settings.batch,
        device=choose_device(settings.device, "mini"),
    )


def _lifter_task(settings: TrainSettings) -> LifterTask:
    """Make the lifter and what draws its scenes; the creatures to measure on are rendered once."""
    torch.manual_seed(0)
    network = Lifter(**LIFTER_CONFIG)
    if settings.assets is None:
        return LifterTask(network, procedural_scene, [], settings.batch)
    held_out = held_out_creatures(settings.assets, settings.cache / "truth")
    draw = AssetScenes(settings.assets, "train")
    if settings.procedural:
        draw = MixedScenes(draw, settings.procedural_share)
    return LifterTask(network, draw, held_out, settings.batch)


def _sources(settings: TrainSettings) -> dict[str, Path | int]:
    """List the splits that there are, each with the models' folder or the number of procedural creatures."""
    sources: dict[str, Path | int] = {}
    if settings.assets is not None:
        sources |= {"train": settings.assets, "val": settings.assets}
    if settings.procedural:
        sources["procedural"] = settings.procedural
    return sources


def _sequences(settings: TrainSettings, source: Path | int, split: str, report: Report) -> SequenceSet:
    assert settings.part in ("video", "multiview")
    kind = "video" if settings.part == "video" else "orbit"
    images = build_set(source, split, kind, settings.cache)
    vae = trained_vae(settings.cache)
    latents = encode_set(vae, images, images.with_suffix(".latents.npy"), report)
    motion = latents.with_suffix(".motion.npy")
    is_old = not motion.is_file() or motion.stat().st_mtime < images.stat().st_mtime
    if kind == "video" and is_old:
        with atomic_path(motion) as temporary:
            np.save(temporary, motion_buckets(images))
    return open_set(settings.part, latents, images.with_suffix(".json"), vae.mirror)


def _starting_autoencoder(cache: Path, sets: list[Path]) -> PatchAutoencoder:
    """Make an autoencoder of the sets' components; a checkpoint, where there is one, brings its own."""
    torch.manual_seed(0)
    network = PatchAutoencoder(**VAE_CONFIG)
    if not (cache / "vae.safetensors").is_file():
        network.set_components(fit_components(sets))
    return network


def _starting_network(part: str, cache: Path) -> SpatioTemporalUNet:
    """Make a video network from nothing, or a multi-view network from the video network, as SV3D from SVD.

    The weights do not matter where a checkpoint is about to replace them.
    """
    torch.manual_seed(0)
    network = SpatioTemporalUNet(**UNET_CONFIG, projection_class_embeddings_input_dim=VECTOR_WIDTHS["video"])
    if part == "video":
        return network
    if not (cache / f"{part}.safetensors").is_file():
        _load_average(network, cache / "video.safetensors", "video")
    return multiview_from_video(network, VECTOR_WIDTHS["multiview"], MULTIVIEW_CHANNELS)


def trained_vae(cache: Path) -> Any:
    """Load the trained autoencoder."""
    vae: Any = PatchAutoencoder(**VAE_CONFIG)
    _load_average(vae, cache / "vae.safetensors", "vae")
    return vae.eval().requires_grad_(False)


def _load_average(network: nn.Module, checkpoint: Path, part: Part) -> int:
    """Fill a network with a checkpoint's averaged weights; give the step."""
    if not checkpoint.is_file():
        raise InputError(f"{checkpoint} does not exist: run `diffusion2 train {part}` first")
    tensors, metadata = read_checkpoint(checkpoint, part)
    prefix = "average."
    averages = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    if _shapes(averages) != _shapes(network.state_dict()):
        raise WeightsError(f"{checkpoint} belongs to another network: move it away, and train {part} anew")
    network.load_state_dict(averages)
    return int(metadata["step"])


def pack(cache: Path, out: Path) -> dict[str, int]:
    """Write the trained pair as weights that runs load: float16, in diffusers' layout.

    Args:
        cache: where the checkpoints are.
        out: folder that gets `vae/`, `video/` and `multiview/`, and `lifter/` where one was trained.

    Returns:
        The training steps of each part.
    """
    steps = {}
    for part, network in _networks().items():
        if part in OPTIONAL and not (cache / f"{part}.safetensors").is_file():
            continue
        steps[part] = _load_average(network, cache / f"{part}.safetensors", part)
        folder = out / part
        folder.mkdir(parents=True, exist_ok=True)
        config = {k: v for k, v in network.config.items() if not k.startswith("_")}
        config["_class_name"] = type(network).__name__
        with atomic_path(folder / "config.json") as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n")
        tensors = {k: v.half().contiguous() for k, v in network.state_dict().items()}
        save_tensors(folder / WEIGHTS_FILE, tensors, {"format": "pt", "steps": str(steps[part])})
    return steps


def unpack(weights: Path, cache: Path) -> dict[str, int]:
    """Make checkpoints of a packed pair, so that training goes on from it where its own are not at hand.

    They lack the optimiser's state, which some steps build again.

    Args:
        weights: holds `vae/`, `video/` and `multiview/`, and maybe `lifter/`, as `pack` writes them.
        cache: gets the checkpoints.

    Returns:
        The training steps of each part.

    Raises:
        InputError: a checkpoint is there already.
        WeightsError: the weights are missing, damaged, or of other networks than those that are trained now.
    """
    checkpoints = {}
    for part, network in _networks().items():
        path, folder = cache / f"{part}.safetensors", weights / part
        if part in OPTIONAL and not folder.is_dir():
            continue
        if path.exists():
            raise InputError(f"{path} exists, and training goes on from it: move it away to unpack another")
        state = load_network(type(network), folder).state_dict()
        if _shapes(state) != _shapes(network.state_dict()):
            raise WeightsError(f"{folder} holds another network than `train {part}` trains")
        with safe_open(folder / WEIGHTS_FILE, "pt") as file:
            step = int((file.metadata() or {}).get("steps", 0))
        checkpoints[part] = path, state, step
    cache.mkdir(parents=True, exist_ok=True)
    for part, (path, state, step) in checkpoints.items():
        twice = {
            f"{kind}.{name}": tensor for kind in ("weights", "average") for name, tensor in state.items()
        }
        write_checkpoint(path, twice, part, step)
    return {part: step for part, (_, _, step) in checkpoints.items()}


def _networks() -> dict[Part, Any]:
    """Make the networks as they are trained; what they hold does not matter."""
    video = SpatioTemporalUNet(**UNET_CONFIG, projection_class_embeddings_input_dim=VECTOR_WIDTHS["video"])
    multiview = multiview_from_video(video, VECTOR_WIDTHS["multiview"], MULTIVIEW_CHANNELS)
    vae, lifter = PatchAutoencoder(**VAE_CONFIG), Lifter(**LIFTER_CONFIG)
    return {"vae": vae, "video": video, "multiview": multiview, "lifter": lifter}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
