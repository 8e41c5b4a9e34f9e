"""The mini pair from models to weights: train the autoencoder, the lifter and both networks, pack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from diffusion2.atomic_files import atomic_path
from diffusion2.config import Between, Settings, Share
from diffusion2.distributed import joined
from diffusion2.errors import InputError, WeightsError
from diffusion2.events import Report, ignore
from diffusion2.meshes import AnimatedModel
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.devices import choose_device
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.mini import PIXEL_UNSHUFFLE, WEIGHTS_FILE, load_network
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.runs.atomic_tensors import save_tensors
from diffusion2.training.data import read_split
from diffusion2.training.diffusion import BATCH, NETWORK_CONFIGS, DiffusionTask, make_network
from diffusion2.training.examples import ClipExamples, DrawExample, OrbitExamples
from diffusion2.training.lifter import LIFTER_CONFIG, LifterTask, held_out_creatures
from diffusion2.training.loop import LoopSettings, Trainer, TrainingTask, read_checkpoint, write_checkpoint
from diffusion2.training.proportions import reproportioned
from diffusion2.training.scenes import (
    ANIMATED_SHARE,
    DrawModel,
    Drawn,
    DrawOf,
    FromAssets,
    FromGenerator,
    Mixed,
    Scene,
    Vary,
    draw_clip,
    draw_orbit,
    draw_scene,
)
from diffusion2.training.vae import VAE_CONFIG, VaeTask, fit_components, second_moment
from diffusion2.training.warping import warped
from diffusion2.weights.catalogue import mini_folder
from diffusion2.weights.tensor_files import to_8_bits

Part = Literal["vae", "video", "multiview", "lifter"]
DEFAULT_CACHE = Path.home() / ".cache" / "diffusion2" / "mini"


@dataclass(frozen=True)
class TrainSettings(Settings):
    """What is trained, on what, where it is kept and for how long.

    Attributes:
        part: which of the networks.
        assets: folder of models with a `PROVENANCE.tsv` (columns split, kind, file); None to learn from
            procedural creatures alone, where nothing is held out to measure on.
        cache: checkpoints, and the creatures to measure on.
        loop: how long, and how often to look.
        threads: of this process.
        device: where the video and the multi-view network are trained; the autoencoder is on the CPU.
        batch: sequences, or scenes of the lifter, that one step learns from.
        procedural_share: share of sequences, or scenes, of procedural creatures, where there are models, too.
    """

    part: Part
    assets: Path | None
    cache: Path
    loop: LoopSettings
    threads: Annotated[int, Between(1, 1024)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    batch: Annotated[int, Between(1, 100_000)] = BATCH
    procedural_share: Share = 0.3


def train(settings: TrainSettings, report: Report) -> Path:
    """Train one part of the pair, or go on with it; it starts from the weights that are packaged.

    Returns:
        The checkpoint.

    Raises:
        InputError: the models, or the part that has to be trained before, are not there; or several processes
            on a GPU.
    """
    checkpoint = settings.cache / f"{settings.part}.safetensors"
    torch.set_num_threads(settings.threads)
    with joined() as group:
        if group.size > 1 and settings.device != "cpu":
            raise InputError("several processes train on the CPU only: leave out torchrun, or --device")
        if not group.is_first:
            report = ignore
            group.wait()  # until the first has rendered what the others read
        task = _task(settings)
        if group.is_first:
            group.wait()
        Trainer(task, checkpoint, group).run(settings.loop, report)
    return checkpoint


def _task(settings: TrainSettings) -> TrainingTask:
    """Make what is trained, and what draws that from which it learns."""
    torch.manual_seed(0)
    if settings.part == "lifter":
        lifter = Lifter(**LIFTER_CONFIG)
        _start(lifter, settings.cache, "lifter")
        draw, _ = _draws(settings, draw_scene)
        creatures = held_out_creatures(settings.assets, settings.cache / "truth") if settings.assets else []
        return LifterTask(lifter, draw, creatures, settings.batch)
    if settings.part == "vae":
        draw, held_out = _draws(settings, draw_scene)
        return VaeTask(_starting_autoencoder(settings.cache, draw), draw, held_out)
    return _diffusion_task(settings, settings.part)


def _diffusion_task(settings: TrainSettings, part: Literal["video", "multiview"]) -> DiffusionTask:
    codec = LatentCodec(trained_vae(settings.cache), PIXEL_UNSHUFFLE)
    network = make_network(NETWORK_CONFIGS[part])
    _start(network, settings.cache, part)
    draw: DrawExample
    held_out: DrawExample | None
    if part == "video":
        # where things move, a warp would move what stands still
        clips, others = _draws(settings, draw_clip, animated_share=1.0, vary=reproportioned)
        draw, held_out = ClipExamples(clips, codec), others and ClipExamples(others, codec)
    else:
        lifter = trained_lifter(settings.cache)
        orbits, others = _draws(settings, draw_orbit)
        draw = OrbitExamples(orbits, codec, lifter)
        held_out = others and OrbitExamples(others, codec, lifter)
    return DiffusionTask(
        part,
        network,
        draw,
        held_out,
        codec.decode,
        batch=settings.batch,
        device=choose_device(settings.device, "mini"),
    )


def _vary_pose(model: AnimatedModel, rng: np.random.Generator) -> AnimatedModel:
    return warped(reproportioned(model, rng), rng)


def _draws(
    settings: TrainSettings,
    draw: DrawModel[Drawn],
    animated_share: float = ANIMATED_SHARE,
    vary: Vary = _vary_pose,
) -> tuple[DrawOf[Drawn], DrawOf[Drawn] | None]:
    """Draw what is learned from, and of held-out creatures, if there are any, what is measured on."""
    procedural = FromGenerator(draw)
    if settings.assets is None:
        return procedural, None
    files = FromAssets(draw, settings.assets, "train", animated_share, vary)
    has_creatures = any(kind == "animated" for _, kind in read_split(settings.assets, "val"))
    held_out = FromAssets(draw, settings.assets, "val", 1.0) if has_creatures else None
    if not settings.procedural_share:
        return files, held_out
    return Mixed(files, procedural, settings.procedural_share), held_out


def _starting_autoencoder(cache: Path, draw: DrawOf[Scene]) -> PatchAutoencoder:
    """Make an autoencoder that goes on from the packaged one; its own components where that has others."""
    network = PatchAutoencoder(**VAE_CONFIG)
    if not _start(network, cache, "vae"):
        network.set_components(fit_components(second_moment(draw)))
    return network


def _start(network: Any, cache: Path, part: Part) -> bool:
    """Let a network go on from the packaged one; what has another shape starts anew.

    Nothing is done where a checkpoint is about to replace it all. Returns whether nothing starts anew.
    """
    if (cache / f"{part}.safetensors").is_file():
        return True
    packaged = load_network(type(network), mini_folder() / part).state_dict()
    own = network.state_dict()
    fitting = {k: v for k, v in packaged.items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(fitting, strict=False)
    return len(fitting) == len(own)


def trained_vae(cache: Path) -> Any:
    """Load the trained autoencoder."""
    vae: Any = PatchAutoencoder(**VAE_CONFIG)
    _load_average(vae, cache / "vae.safetensors", "vae")
    return vae.eval().requires_grad_(False)


def trained_lifter(cache: Path) -> Lifter:
    """Load the trained lifter."""
    lifter: Any = Lifter(**LIFTER_CONFIG)
    _load_average(lifter, cache / "lifter.safetensors", "lifter")
    return lifter.eval().requires_grad_(False)


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
    """Write the trained pair as weights that runs load: of 8 bits, in diffusers' layout.

    Args:
        cache: where the checkpoints are.
        out: folder that gets `vae/`, `lifter/`, `video/` and `multiview/`.

    Returns:
        The training steps of each part.
    """
    steps = {}
    for part, network in _networks().items():
        steps[part] = _load_average(network, cache / f"{part}.safetensors", part)
        folder = out / part
        folder.mkdir(parents=True, exist_ok=True)
        config = {k: v for k, v in network.config.items() if not k.startswith("_")}
        config["_class_name"] = type(network).__name__
        with atomic_path(folder / "config.json") as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n")
        tensors = to_8_bits(network.state_dict())
        save_tensors(folder / WEIGHTS_FILE, tensors, {"format": "pt", "steps": str(steps[part])})
    return steps


def unpack(weights: Path, cache: Path) -> dict[str, int]:
    """Make checkpoints of a packed pair, so that training goes on from it where its own are not at hand.

    They lack the optimiser's state, which some steps build again.

    Args:
        weights: holds `vae/`, `lifter/`, `video/` and `multiview/`, as `pack` writes them.
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
        if path.exists():
            raise InputError(f"{path} exists, and training goes on from it: move it away to unpack another")
        state = load_network(type(network), folder).state_dict()
        if _shapes(state) != _shapes(network.state_dict()):
            raise WeightsError(
                f"{folder} holds another network than `train {part}` trains; that starts from it anyway"
            )
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
    networks = {part: make_network(config) for part, config in NETWORK_CONFIGS.items()}
    vae, lifter = PatchAutoencoder(**VAE_CONFIG), Lifter(**LIFTER_CONFIG)
    return {"vae": vae, "lifter": lifter, "video": networks["video"], "multiview": networks["multiview"]}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
