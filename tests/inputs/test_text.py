import time

import numpy as np
import pytest

from diffusion2.errors import InputError, WeightsError
from diffusion2.inputs.text import paint
from diffusion2.runs.source import InputSettings, Source

from .conftest import read
from .tiny_pipeline import write_tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return write_tiny_pipeline(tmp_path_factory.mktemp("text") / "pipeline")


def how(model, **options):
    return InputSettings(text_model=str(model), text_steps=1, framing="keep", **options)


def test_words_become_a_picture_by_a_pipeline_in_a_folder(pipeline):
    source = Source(prompt="a red fox", settings=how(pipeline))
    first, _ = read(source)
    assert first.picture.shape == (3, 32, 32)
    assert first.video is None
    assert first.picture.std() > 0.01
    again, _ = read(source)
    assert (again.picture == first.picture).all()
    other, _ = read(source, seed=1)
    assert (other.picture != first.picture).any()


def test_the_suffix_is_part_of_the_prompt(pipeline):
    whole = paint("a fox", how(pipeline, prompt_suffix=" on white"), 0)
    parts = paint("a fox on white", how(pipeline, prompt_suffix=""), 0)
    assert np.array_equal(np.asarray(whole), np.asarray(parts))
    assert not np.array_equal(
        np.asarray(whole), np.asarray(paint("a fox", how(pipeline, prompt_suffix=""), 0))
    )


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="can't be loaded as a pipeline"):
        read(Source(prompt="a fox", settings=how(tmp_path)))


def test_weights_that_could_run_code_are_refused(pipeline, tmp_path):
    import shutil

    import torch

    shutil.copytree(pipeline, tmp_path / "p")
    weights = tmp_path / "p" / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_name("diffusion_pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(WeightsError, match="safetensors"):
        read(Source(prompt="a fox", settings=how(tmp_path / "p")))


def test_a_pipeline_for_something_else_is_refused(pipeline, tmp_path):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "p")
    with pytest.raises(InputError, match="can't make a picture"):
        read(Source(prompt="a fox", settings=how(tmp_path / "p")))


@pytest.mark.parametrize("name", ["nobody/no-such-pipeline-as-this", "no folder of mine", "../up/there"])
def test_a_name_that_can_not_be_had_is_refused_soon(name, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", offline)
    begin = time.monotonic()
    with pytest.raises(WeightsError, match=r"there is no folder"):
        read(Source(prompt="a fox", settings=how(name)))
    # loading without a check would try for tens of seconds
    assert time.monotonic() - begin < 8
