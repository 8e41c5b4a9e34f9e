import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from diffusion2.errors import ExportError, InputError
from diffusion2.exporters import write_orbit_video, write_video
from diffusion2.exporters.video import SUFFIXES
from diffusion2.gaussians import Asset4D


def read(path: Path) -> tuple[np.ndarray, av.VideoStream]:
    """Decode a video into (T, H, W, 3) bytes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), stream


def probe(path: Path) -> dict:
    """What the program ffprobe says of a file's only stream."""
    if shutil.which("ffprobe") is None:
        pytest.skip("needs ffprobe, of the programs of FFmpeg")
    command = ["ffprobe", "-v", "error", "-show_streams", "-count_frames", "-of", "json", str(path)]
    (stream,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[
        "streams"
    ]
    return stream


def read_elsewhere(path: Path) -> np.ndarray:
    """Decode a file into (T, H, W, 4) bytes: a video by the program ffmpeg, a picture by Pillow."""
    if path.suffix not in (".mp4", ".webm"):
        with Image.open(path) as picture:
            return np.stack([np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(picture)])
    stream = probe(path)
    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []  # its own decoder skips alpha
    command = ["ffmpeg", "-v", "error", *decoder, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, stream["height"], stream["width"], 4)


def red_center(picture: np.ndarray) -> np.ndarray:
    """Row and column of the middle of what is red."""
    return np.argwhere(picture[..., 0].astype(int) - picture[..., 1] > 60).mean(axis=0)


def test_a_video_shows_the_frames_it_was_given(tmp_path: Path) -> None:
    colours = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1, 1, 1]])
    frames = colours[:, None, None, :].expand(4, 32, 48, 3)
    write_video(frames, tmp_path / "a.mp4", fps=10)
    seen, _ = read(tmp_path / "a.mp4")
    assert seen.shape == (4, 32, 48, 3)
    # 8: rounding to 8-bit limited-range YUV and the codec at crf 16
    np.testing.assert_allclose(seen.mean(axis=(1, 2)) / 255, colours, atol=8 / 255)


def test_a_video_is_what_every_browser_plays(tmp_path: Path) -> None:
    write_video(torch.rand(3, 16, 16, 3), tmp_path / "a.mp4", fps=24)
    _, stream = read(tmp_path / "a.mp4")
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert stream.average_rate == 24
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "playing can't begin before all is loaded"


def test_odd_sides_become_even(tmp_path: Path) -> None:
    write_video(torch.ones(2, 15, 17, 3), tmp_path / "a.mp4", fps=8)
    seen, _ = read(tmp_path / "a.mp4")
    assert seen.shape == (2, 16, 18, 3)
    assert seen.min() > 245


def test_ffprobe_finds_what_each_kind_of_video_should_be(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).random((5, 16, 32, 4))
    write_video(frames, tmp_path / "a.webm", fps=12.5)
    write_video(frames[..., :3], tmp_path / "a.mp4", fps=12.5)
    webm, mp4 = probe(tmp_path / "a.webm"), probe(tmp_path / "a.mp4")
    assert (webm["codec_name"], mp4["codec_name"]) == ("vp9", "h264")
    assert webm["tags"]["alpha_mode"] == "1"
    for stream in (webm, mp4):
        assert (stream["width"], stream["height"], stream["nb_read_frames"]) == (32, 16, "5")
        assert stream["r_frame_rate"] == "25/2"
        assert stream["color_space"] == "bt709"


def test_bytes_are_taken_as_they_are(tmp_path: Path) -> None:
    write_video([np.full((16, 16, 3), 128, np.uint8)], tmp_path / "a.mp4", fps=8)
    assert abs(int(read(tmp_path / "a.mp4")[0].mean()) - 128) <= 2


@pytest.mark.parametrize(
    "frames",
    [[], [torch.ones(16, 16)], [torch.ones(16, 16, 3), torch.ones(16, 18, 3)], [torch.ones(0, 16, 3)]],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_that_make_no_video_leave_no_file(frames: list[torch.Tensor], suffix, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_video(frames, tmp_path / f"a{suffix}", fps=8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colours_and_alpha_come_back_by_a_second_reader(suffix, tmp_path: Path) -> None:
    """A disc whose colour changes on nothing; ffmpeg's program or Pillow reads it."""
    rows, columns = torch.meshgrid(torch.arange(48) - 23.5, torch.arange(64) - 40.5, indexing="ij")
    distance = (rows**2 + columns**2).sqrt()
    colours = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.8, 0.2], [0.2, 0.1, 0.9]])
    frames = torch.cat([colours[:, None, None].expand(3, 48, 64, 3), torch.ones(3, 48, 64, 1)], dim=3)
    frames = frames * (distance < 20)[..., None]
    if suffix == ".mp4":
        frames = frames[..., :3]
    write_video(frames, tmp_path / f"a{suffix}", fps=10)
    seen = read_elsewhere(tmp_path / f"a{suffix}")
    assert seen.shape == (3, 48, 64, 4)
    # rounding to limited-range YUV, and codecs that lose a little; a palette holds one colour exactly
    tolerance = 12 if suffix in (".mp4", ".webm", ".webp") else 1
    inside, outside = distance.numpy() < 15, distance.numpy() > 25
    np.testing.assert_allclose(seen[:, inside, :3].mean(axis=1) / 255, colours, atol=tolerance / 255)
    assert seen[:, inside, 3].min() >= 253
    assert seen[:, outside, 3].max() <= (255 if suffix == ".mp4" else 2)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".mp4"])
def test_animated_pictures_play_over_and_over_at_their_speed(suffix, tmp_path: Path) -> None:
    write_video(np.random.default_rng(0).random((7, 16, 16, 3)), tmp_path / f"a{suffix}", fps=24)
    if suffix == ".webm":
        assert probe(tmp_path / "a.webm")["r_frame_rate"] == "24/1"
        return
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert (picture.n_frames, picture.info["loop"]) == (7, 0)
        spans = []
        for frame in ImageSequence.Iterator(picture):
            frame.load()
            spans.append(frame.info["duration"])
    # GIF has hundredths of a second; all in all none is lost
    assert sum(spans) == pytest.approx(7000 / 24, abs=10)
    assert max(spans) - min(spans) <= 10


def test_half_transparent_is_there_or_not_in_a_gif(tmp_path: Path) -> None:
    frames = torch.ones(2, 16, 16, 4)
    frames[..., :8, 3], frames[..., 8:, 3] = 0.4, 0.6
    write_video(frames, tmp_path / "a.gif", fps=10)
    alpha = read_elsewhere(tmp_path / "a.gif")[..., 3]
    assert (alpha[..., :8] == 0).all()
    assert (alpha[..., 8:] == 255).all()


def test_what_a_kind_of_file_can_not_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.mp4 has no alpha: .*\.webm"):
        write_video(torch.ones(2, 16, 16, 4), tmp_path / "a.mp4", fps=8)
    with pytest.raises(InputError, match="at most 50 pictures a second, not 60"):
        write_video(torch.ones(2, 16, 16, 3), tmp_path / "a.gif", fps=60)
    with pytest.raises(ExportError, match=r"use \.mp4, \.webm"):
        write_video(torch.ones(2, 16, 16, 3), tmp_path / "a.avi", fps=8)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    frames = torch.ones(2, 16, 16, 3)
    for path in (tmp_path, tmp_path / "no folder" / "a.mp4", tmp_path / ("x" * 250 + ".mp4")):
        with pytest.raises(ExportError, match="the video") as caught:
            write_video(frames, path, fps=8)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_video_keeps_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(torch.ones(2, 16, 16, 3), path, fps=8)
    before = path.read_bytes()

    def frames():
        yield torch.zeros(16, 16, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(frames(), path, fps=8)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_orbit_starts_at_the_reference_view_and_turns_while_time_runs(
    rising_asset: Asset4D, tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    write_orbit_video(
        rising_asset, tmp_path / "o.mp4", size=64, fps=8, seconds=2, progress=lambda *n: done.append(n)
    )
    seen, _ = read(tmp_path / "o.mp4")
    assert seen.shape == (16, 64, 64, 3)
    assert done[-1] == (16, 16)
    rows, columns = np.stack([red_center(picture) for picture in seen]).T
    assert columns[0] > 40, "a camera on +x sees +y on the right"
    assert columns[8] < 24, "half a turn later it is on the left"
    # in 2 s the sequence of 0.5 s runs forth and back twice: highest at frames 4 and 12
    assert rows[0] - rows[4] > 10
    assert rows[8] - rows[12] > 10
