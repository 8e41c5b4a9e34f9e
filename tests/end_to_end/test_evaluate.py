"""`diffusion2 evaluate` as a user calls it, on made-up pairs of small matrices; no networks."""

import json
import shutil

import pytest
import torch
from PIL import Image

from diffusion2.cameras import make_cameras, orbit
from diffusion2.cli import main
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import write_picture
from diffusion2.runs.lock import locked
from diffusion2.runs.matrix_files import write_matrix

VIEWS, FRAMES, SIZE = 4, 3, 24


def make_matrix(views=VIEWS, frames=FRAMES, size=SIZE, noise=0.0, cameras=None):
    """A square that grows, on white, with noise on it."""
    images = torch.ones(views, frames, 3, size, size)
    for frame in range(frames):
        a = size // 4 - 2 * frame
        images[:, frame, 0, a:-a, a:-a] = 0.2
        images[:, frame, 2, a:-a, size // 2 : -a] = 0.5
    noises = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    cameras = cameras or orbit(views, 10.0, height=size)
    return ImageMatrix((images + noise * noises).clamp(0, 1), cameras, frame_times(frames), 8.0)


@pytest.fixture
def place(tmp_path):
    """A reference and a result that is a little worse."""
    for name, noise in (("truth", 0.0), ("run", 0.05)):
        (tmp_path / name).mkdir()
        write_matrix(tmp_path / name, make_matrix(noise=noise))
    return tmp_path


def call(place, *options, result="run", reference="truth"):
    return main(
        ["evaluate", str(place / result), "--reference", str(place / reference), *options, "--metrics"]
    )


def scores(folder):
    return json.loads((folder / "evaluation.json").read_text())["overall"]


def test_one_command_prints_a_table_and_writes_json_and_a_page(place, capsys):
    assert call(place) == 0
    out = capsys.readouterr().out
    assert "PSNR, object" in out
    assert "silhouettes done" in out
    record = json.loads((place / "run" / "evaluation.json").read_text())
    # noise of 0.05 gives 26 dB; it is clipped in the white, which is most of the picture
    assert 25 < record["overall"]["psnr"]["value"] < 31
    assert record["overall"]["lpips_alex"]["value"] is None
    assert record["compared"] == "matrix"
    assert len(record["per_view"]) == VIEWS
    assert (place / "run" / "evaluation.html").read_text().startswith("<!doctype html>")
    assert {path.name for path in (place / "run").iterdir()} == {
        *("matrix", "cameras.json", "evaluation.json", "evaluation.html")
    }


def test_a_folder_where_a_run_is_at_work_is_not_written_into(place, capsys):
    with locked(place / "run"):
        assert call(place) == 2
        assert "another run is at work" in capsys.readouterr().err
        assert call(place, "--out", str(place / "scores")) == 0
    assert not list((place / "run").glob("evaluation.*"))


def test_the_second_call_gives_the_same_files(place):
    assert call(place) == 0
    first = {name: (place / "run" / f"evaluation.{name}").read_bytes() for name in ("json", "html")}
    assert call(place) == 0
    for name, content in first.items():
        assert (place / "run" / f"evaluation.{name}").read_bytes() == content


def test_results_go_where_they_should(place):
    assert call(place, "--out", str(place / "new" / "folder")) == 0
    assert {p.name for p in (place / "new" / "folder").iterdir()} == {"evaluation.json", "evaluation.html"}
    assert not (place / "run" / "evaluation.json").exists()


def test_folders_of_views_are_measured_by_the_papers_protocol(place, monkeypatch):
    monkeypatch.setattr("diffusion2.evaluation.pairing.PAPER_SIZE", 24)  # for speed
    for name, noise in (("gt", 0.0), ("pred", 0.05)):
        matrix = make_matrix(noise=noise)
        for view in range(VIEWS):
            (place / name / "frog" / f"eval_{view}").mkdir(parents=True)
            for frame in range(FRAMES):
                path = place / name / "frog" / f"eval_{view}" / f"{frame}.png"
                write_picture(path, matrix.images[view, frame])
    assert call(place, "--protocol", "paper", result="pred/frog", reference="gt/frog") == 0
    record = json.loads((place / "pred" / "frog" / "evaluation.json").read_text())
    assert [view["azimuth_deg"] for view in record["per_view"]] == [-75, 15, 105, 195]
    assert record["overall"]["multiview_consistency"]["note"] == "the cameras are not known"
    assert any("4 of 5 views" in note for note in record["notes"])


def test_a_white_reference_marks_the_rows_that_need_an_object(place, capsys):
    (place / "white").mkdir()
    matrix = make_matrix()
    white = ImageMatrix(torch.ones_like(matrix.images), matrix.cameras, matrix.times, 8.0)
    write_matrix(place / "white", white)
    assert call(place, reference="white") == 0
    found = scores(place / "run")
    for name in ("psnr_foreground", "ssim_foreground", "temporal_error", "motion_ratio"):
        assert found[name]["value"] is None
        assert found[name]["note"]
    assert "shows no object" in capsys.readouterr().out


def test_one_view_and_one_frame_are_measured_as_far_as_they_go(place):
    for name, noise in (("one", 0.05), ("one_truth", 0.0)):
        (place / name).mkdir()
        write_matrix(place / name, make_matrix(1, 1, noise=noise))
    assert call(place, result="one", reference="one_truth") == 0
    found = scores(place / "one")
    assert found["psnr"]["value"] > 20
    for name in ("motion_ratio", "temporal_error", "multiview_consistency"):
        assert found[name]["value"] is None
        assert found[name]["note"].startswith("one ")


def test_resample_evens_out_what_is_refused_otherwise(place, capsys):
    (place / "small").mkdir()
    write_matrix(place / "small", make_matrix(2, 2, 20))
    assert call(place, result="small") == 2
    assert "--resample" in capsys.readouterr().err
    assert call(place, "--resample", result="small") == 0
    assert capsys.readouterr().out.count("note: ") == 3
    assert len(json.loads((place / "small" / "evaluation.json").read_text())["notes"]) == 3


def other(**options):
    def change(run):
        shutil.rmtree(run)
        run.mkdir()
        write_matrix(run, make_matrix(**options))

    return change


def cut_short(run):
    path = run / "matrix" / "view_001" / "frame_000.png"
    path.write_bytes(path.read_bytes()[:50])


def other_size_inside(run):
    Image.new("RGB", (5, 5)).save(run / "matrix" / "view_001" / "frame_001.png")


def mirrored_cameras(run):
    azimuths = [-30.0, -60.0, -90.0, -120.0]
    other(cameras=make_cameras(azimuths, 10.0, height=SIZE))(run)


WRONG = {
    "a frame is missing": (lambda run: (run / "matrix/view_002/frame_001.png").unlink(), "frame_001"),
    "a last frame is missing": (lambda run: (run / "matrix/view_002/frame_002.png").unlink(), "differ in"),
    "a view is missing": (lambda run: shutil.rmtree(run / "matrix/view_001"), "view_001 is missing"),
    "no cameras": (lambda run: (run / "cameras.json").unlink(), "--azimuths-deg"),
    "cameras are no JSON": (lambda run: (run / "cameras.json").write_text("{"), "cameras.json"),
    "a picture is cut short": (cut_short, "can't be read"),
    "a picture of another size": (other_size_inside, "5 x 5"),
    "more views": (other(views=6), "--resample"),
    "more frames": (other(frames=4), "--resample"),
    "larger pictures": (other(size=40), "--resample"),
    "other azimuths": (mirrored_cameras, "-30°"),
    "an empty folder": (lambda run: [shutil.rmtree(run), run.mkdir()], "no pictures of views"),
    "no folder": (shutil.rmtree, "there is no folder"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("side", ["run", "truth"])
def test_wrong_input_is_one_line_and_leaves_nothing(place, capsys, name, side):
    spoil, message = WRONG[name]
    spoil(place / side)
    assert call(place) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not list(place.rglob("evaluation.*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "other"], "--protocol"),
        (["--from", "video"], "--from"),
        (["--from", "asset"], "asset.safetensors"),
        (["--protocol", "paper"], "paper's azimuths"),
        (["--out", "{place}/file"], "can't write to"),
        (["--metrics", "ssim"], "--metrics"),
    ],
)
def test_wrong_options_are_one_line(place, capsys, options, message):
    (place / "file").write_text("")
    cameras = make_cameras([30.0, 60.0, 90.0, 120.0], 10.0, height=SIZE)
    for folder in (place / "truth", place / "run"):
        other(cameras=cameras)(folder)
    assert call(place, *(option.format(place=place) for option in options)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
