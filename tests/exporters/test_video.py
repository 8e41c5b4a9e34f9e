from pathlib import Path

import av
import numpy as np
import pytest
import torch

from diffusion2.errors import ExportError, InputError
from diffusion2.exporters import write_orbit_video, write_video
from diffusion2.exporters.video import orbit_path
from diffusion2.gaussians import Asset4D


def read(path: Path) -> tuple[np.ndarray, av.VideoStream]:
    """Decode a video into (T, H, W, 3) bytes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), stream


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


def test_bytes_are_taken_as_they_are(tmp_path: Path) -> None:
    write_video([np.full((16, 16, 3), 128, np.uint8)], tmp_path / "a.mp4", fps=8)
    assert abs(int(read(tmp_path / "a.mp4")[0].mean()) - 128) <= 2


@pytest.mark.parametrize(
    "frames",
    [[], [torch.ones(16, 16)], [torch.ones(16, 16, 3), torch.ones(16, 18, 3)], [torch.ones(0, 16, 3)]],
)
def test_frames_that_make_no_video_leave_no_file(frames: list[torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_video(frames, tmp_path / "a.mp4", fps=8)
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


def test_an_orbit_video_can_be_looped() -> None:
    azimuths, times = orbit_path(2 * 11 / 8, fps=24, seconds=6, back=True)
    step = azimuths[1] - azimuths[0]
    assert azimuths[0] == 0
    assert azimuths[-1] + step == pytest.approx(360)
    assert times[0] == 0
    assert max(times) == 1
    assert times[-1] == pytest.approx(times[1])
    assert len(set(times)) == 34, "moments are shared between forth and back, and between the cycles"
    assert 4.5 < len(times) / 24 < 7.5


def test_a_motion_that_ends_where_it_begins_is_not_played_backwards() -> None:
    _, times = orbit_path(12 / 8, fps=24, seconds=6, back=False)
    assert len(times) == 4 * 36
    assert times[:37] == [step / 36 for step in range(36)] + [0.0]


@pytest.mark.parametrize("back", [True, False])
@pytest.mark.parametrize("cycle_seconds", [0.01, 0.125, 100.0])
def test_any_length_of_sequence_makes_an_orbit(cycle_seconds: float, back: bool) -> None:
    azimuths, times = orbit_path(cycle_seconds, fps=24, seconds=6, back=back)
    assert len(azimuths) == len(times) >= 2
    assert all(0 <= time <= 1 for time in times)
