"""Load the full-size pair with random weights through the preset `paper`, and evaluate a small matrix once.

    python benchmarks/full_size.py FOLDER [--size 128] [--views 2] [--frames 2] [--precision bfloat16]
    python benchmarks/full_size.py FOLDER --preset fast --steps 2       the second step reuses features

Writes 7.6 GB of weights of the real sizes into FOLDER, and removes them unless --keep is given: SVD-XT as a
folder of diffusers in fp16, SV3D_p's network as a single file under the released names, also in fp16. Prints
what loading and running take in time and memory.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor

from diffusion2.priors import released
from diffusion2.priors.clip_image_encoder import build_empty_encoder
from diffusion2.priors.stored_network import build_empty
from diffusion2.priors.unet import SpatioTemporalUNet

NAMES = Path(__file__).parent.parent / "tests" / "parity" / "fixtures" / "checkpoint_keys.json.gz"
HALF = {
    "unet": "diffusion_pytorch_model.fp16",
    "vae": "diffusion_pytorch_model.fp16",
    "image_encoder": "model.fp16",
}


def make_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return random values of a size that keeps activations finite, in fp16."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if len(shape) >= 2:
        return (values / (values.numel() / shape[0]) ** 0.5).half()
    return (1 + 0.1 * values if name.endswith("weight") else 0.05 * values).half()


def write_weights(folder: Path) -> None:
    """Write both models."""
    networks = {
        "unet": build_empty(SpatioTemporalUNet, released.UNET, "SVD-XT"),
        "vae": build_empty(AutoencoderKLTemporalDecoder, released.AUTOENCODER, "SVD-XT"),
        "image_encoder": build_empty_encoder(released.IMAGE_ENCODER, "SVD-XT"),
    }
    for part, network in networks.items():
        place = folder / "svd_xt" / part
        place.mkdir(parents=True, exist_ok=True)
        config = network.config if part != "image_encoder" else network.config.to_dict()
        (place / "config.json").write_text(json.dumps(dict(config)))
        tensors = {name: make_tensor(name, tuple(t.shape)) for name, t in network.state_dict().items()}
        save_file(tensors, place / f"{HALF[part]}.safetensors")
    shapes = json.loads(gzip.decompress(NAMES.read_bytes()))["sv3d_full"]
    tensors = {name: make_tensor(name, tuple(shape)) for name, shape in shapes.items()}
    save_file(tensors, folder / "sv3d_p.safetensors")


def draw_picture(path: Path) -> None:
    """Draw a red disc with an eye."""
    image = Image.new("RGBA", (128, 128))
    draw = ImageDraw.Draw(image)
    draw.ellipse((24, 16, 104, 112), fill=(200, 40, 30, 255))
    draw.ellipse((50, 40, 64, 56), fill=(255, 255, 255, 255))
    image.save(path)


def main() -> None:
    """Write, run, measure, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the weights")
    options = parser.parse_args()

    began = time.perf_counter()
    if not (options.folder / "sv3d_p.safetensors").is_file():
        # in a process of its own, whose memory is free again afterwards
        writer = multiprocessing.get_context("spawn").Process(target=write_weights, args=(options.folder,))
        writer.start()
        writer.join()
        print(f"weights written in {time.perf_counter() - began:.0f} s")
    draw_picture(options.folder / "picture.png")
    command = [sys.executable, "-m", "diffusion2", "sample", options.folder / "picture.png"]
    command += ["--out", options.folder / "run", "--overwrite", "--weights", options.folder]
    for name in ("preset", "size", "views", "frames"):
        command += [f"--{name}", getattr(options, name)]
    command += ["--sampling.steps", options.steps, "--sampling.rollback-steps", 0]
    command += ["--sampling.precision", options.precision]
    began = time.perf_counter()
    _, status, used = os.wait4(subprocess.Popen([str(part) for part in command]).pid, 0)
    print(
        f"{options.views} views x {options.frames} frames of {options.size} pixels, {options.precision}: "
        f"{time.perf_counter() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time, "
        f"peak memory {used.ru_maxrss / 1e6:.1f} GB"
    )
    if not options.keep:
        for name in ("svd_xt", "run"):
            shutil.rmtree(options.folder / name, ignore_errors=True)
        (options.folder / "sv3d_p.safetensors").unlink()
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
