"""The full-size pair by the commands, with tiny networks of random weights in the real ones' layouts."""

import hashlib
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from diffusion2.cli import main
from diffusion2.priors.unet import SpatioTemporalUNet

from ..priors.full_size_files import FullSizeFiles
from .local_hub import local_hub

SETTINGS = [
    *("--size", "32", "--views", "3", "--frames", "4", "--sampling.steps", "2"),
    *(
        "--sampling.rollback-steps",
        "1",
        "--sampling.checkpoint-every",
        "2",
        "--sampling.precision",
        "float32",
    ),
    *("--reconstruction.warmup-iterations", "4", "--reconstruction.joint-iterations", "3"),
    *("--reconstruction.gaussians", "200", "--reconstruction.deformation-width", "32"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights, as docs/weights.md describes it."""
    folder, made = tmp_path_factory.mktemp("weights"), FullSizeFiles()
    made.write_svd_folder(folder / "svd_xt")
    made.write_sv3d_file(folder / "sv3d_p.safetensors")
    return folder


@pytest.mark.parametrize(
    ("preset", "command"), [("paper", "generate"), ("released", "sample"), ("fast", "sample")]
)
def test_a_preset_makes_a_run(weights, picture, tmp_path, preset, command, capsys):
    call = [command, str(picture), "--out", str(tmp_path / "run"), "--preset", preset]
    assert main([*call, "--weights", str(weights), *SETTINGS]) == 0
    assert "toy creatures" not in capsys.readouterr().out  # the mini pair's domain
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["preset"] == preset
    assert config["settings"]["sampling"]["sigma_max"] == 700
    assert config["settings"]["sampling"]["view_factor"] == (preset == "released")
    assert len(config["weights"]) == 4
    assert (tmp_path / "run" / "viewer.html").is_file() == (command == "generate")
    assert len(list((tmp_path / "run" / "matrix").rglob("*.png"))) == 12


def test_an_estimate_that_is_not_finite_is_named_with_its_step_and_sigma(weights, picture, tmp_path, capsys):
    shutil.copytree(weights, tmp_path / "weights")
    path = tmp_path / "weights" / "sv3d_p.safetensors"
    tensors = load_file(path)
    tensors["model.diffusion_model.out.2.weight"] *= 1e30
    tensors["model.diffusion_model.out.0.weight"] *= 1e30
    save_file(tensors, path)
    call = ["sample", str(picture), "--out", str(tmp_path / "run"), "--preset", "paper"]
    assert main([*call, "--weights", str(tmp_path / "weights"), *SETTINGS]) == 1
    assert "not finite at step 0, sigma 700" in capsys.readouterr().err


def test_too_little_memory_for_one_row_is_an_error_from_which_a_run_goes_on(
    weights, picture, tmp_path, capsys, monkeypatch
):
    forward, calls = SpatioTemporalUNet.forward, []

    def failing(self, *inputs):
        calls.append(len(inputs[0]))
        if len(calls) > 16:  # the references, the first two steps of the matrix, and one row
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return forward(self, *inputs)

    call = ["sample", str(picture), "--out", str(tmp_path / "run"), "--preset", "paper"]
    call += ["--weights", str(weights), *SETTINGS, "--sampling.batch-size", "4"]
    call[call.index("--sampling.steps") + 1] = "4"
    with monkeypatch.context() as patched:
        patched.setattr(SpatioTemporalUNet, "forward", failing)
        assert main(call) == 1
    err = capsys.readouterr().err
    assert "error: the memory of cpu is too small for one sequence of 4 images: it takes about" in err
    assert calls[-2:] == [6, 2]  # three rows, then one, each with guidance
    assert list((tmp_path / "run" / "latents").iterdir())
    assert main(["sample", "--out", str(tmp_path / "run"), "--resume"]) == 0


def test_a_wrong_file_is_refused_before_anything_is_written(weights, picture, tmp_path, capsys):
    shutil.copytree(weights, tmp_path / "weights")
    shutil.copy(
        tmp_path / "weights" / "svd_xt" / "unet" / "diffusion_pytorch_model.fp16.safetensors",
        tmp_path / "weights" / "sv3d_p.safetensors",
    )
    call = ["sample", str(picture), "--out", str(tmp_path / "run"), "--preset", "paper"]
    assert main([*call, "--weights", str(tmp_path / "weights"), *SETTINGS]) == 2
    assert "not a released checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_refused(weights, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    call = ["sample", str(picture), "--out", str(tmp_path / "run"), "--preset", "paper"]
    assert main([*call, "--weights", str(weights), *SETTINGS, "--sampling.device", "cuda"]) == 2
    assert "--sampling.device cpu" in capsys.readouterr().err


def test_weights_that_are_as_they_should_be_pass_the_check(weights, capsys):
    assert main(["weights", "check", "--weights", str(weights)]) == 0
    out = capsys.readouterr().out
    for said in ("mini: its networks", "svd image_encoder", "svd vae", "svd unet", "sv3d unet"):
        assert said in out
    assert "the image encoder in its file are SVD-XT's" in out
    assert main(["weights", "list", "--weights", str(weights)]) == 0
    assert "unet/diffusion_pytorch_model.fp16.safetensors: sha256" in capsys.readouterr().out
    assert main(["weights", "check", str(weights / "svd_xt")]) == 0
    assert "svd unet" in capsys.readouterr().out
    assert main(["weights", "check", str(weights / "sv3d_p.safetensors")]) == 2
    assert "neither SVD (768) nor SV3D_p (1280): its added vector has 80 numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "is damaged or not a safetensors file"),
        (
            lambda path: save_file({k: v for k, v in load_file(path).items() if "out.2" not in k}, path),
            "conv_out.bias should be (4,), is absent; conv_out.weight should be (4, 32, 3, 3), is absent",
        ),
    ],
)
def test_the_check_names_what_is_wrong(weights, tmp_path, damage, said, capsys):
    shutil.copytree(weights, tmp_path / "weights")
    damage(tmp_path / "weights" / "sv3d_p.safetensors")
    assert main(["weights", "check", "sv3d", "--weights", str(tmp_path / "weights")]) == 2
    assert said in capsys.readouterr().err


def test_weights_are_fetched_go_on_after_an_interruption_and_are_hashed(tmp_path, monkeypatch, capsys):
    content = bytes(range(256)) * 50_000  # more than one of the client's portions of 10 MB
    with local_hub("stabilityai/sv3d", {"sv3d_p.safetensors": content}, cut_after=11_000_000) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert main(["weights", "fetch", "sv3d", "--weights", str(tmp_path)]) == 0
    assert (tmp_path / "sv3d_p.safetensors").read_bytes() == content
    assert [start > 0 for _, start in hub.begun] == [False, True]
    assert "sv3d: " in capsys.readouterr().out
    (tmp_path / "sv3d_p.safetensors").write_bytes(content[:-1] + b"x")
    assert main(["weights", "list", "--weights", str(tmp_path)]) == 0
    assert f"sv3d_p.safetensors: sha256 {hashlib.sha256(content).hexdigest()}" in capsys.readouterr().out


def test_a_gated_licence_says_where_to_accept_it_and_how_to_give_a_token(tmp_path, monkeypatch, capsys):
    with local_hub("stabilityai/sv3d", {"sv3d_p.safetensors": b"x"}, gated=True) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert main(["weights", "fetch", "sv3d", "--weights", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    for said in ("https://huggingface.co/stabilityai/sv3d", "hf auth login", "HF_TOKEN"):
        assert said in err


@pytest.mark.parametrize(
    ("names", "said"), [(["sv3d"], "there is no way to the hub"), (["mini"], "only svd and sv3d are fetched")]
)
def test_what_cannot_be_fetched_is_said(tmp_path, monkeypatch, capsys, names, said):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["weights", "fetch", *names, "--weights", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("error: ")
    assert list(tmp_path.rglob("*.safetensors")) == []
