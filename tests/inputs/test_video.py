import numpy as np
import pytest
from PIL import Image

from diffusion2.errors import InputError
from diffusion2.inputs.videos.video import read_clip
from diffusion2.inputs.videos.video_file import VideoFile

from .conftest import centre, disc, moving_disc, read, write_frames, write_video


def middles(pictures):
    """Where the dark object is in each picture, from its left edge."""
    return [np.nonzero(np.asarray(p.convert("L")) < 200)[1].mean() for p in pictures]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv444p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv444p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
    ],
)
def test_the_frames_of_a_video_file_are_read(tmp_path, name, codec, pixels):
    path = write_video(tmp_path / name, moving_disc(9), codec=codec, pixels=pixels)
    clip = read_clip(path, 5, 64)
    assert middles(clip.pictures) == pytest.approx([14, 23, 32, 41, 50], abs=1)
    assert clip.fps == pytest.approx(5, rel=1e-3)
    assert clip.distinct == 5


def test_seeking_and_reading_on_give_the_same_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving_disc(400), fps=30, g="50", bf="3")
    with VideoFile(path) as video:
        assert len(video.times) == 400
        sought = video.pictures([0, 199, 200, 399], 64)
    with VideoFile(path) as video:
        read_on = video.pictures(range(400), 64)
    for index, picture in zip([0, 199, 200, 399], sought, strict=True):
        assert np.array_equal(np.asarray(picture), np.asarray(read_on[index]))


def test_a_video_without_an_index_is_read_to_its_end(tmp_path):
    path = write_video(tmp_path / "a.ts", moving_disc(150), pixels="yuv420p", g="30")
    assert middles(read_clip(path, 3, 64).pictures) == pytest.approx([14, 32, 50], abs=1)


def test_frames_of_varying_duration_are_taken_by_time(tmp_path):
    stamps = [0, 100, 200, 300, 400, 2000]
    path = write_video(tmp_path / "a.mkv", moving_disc(6), stamps=stamps)
    with VideoFile(path) as video:
        assert video.times == pytest.approx([s / 1000 for s in stamps], abs=2e-3)
    assert middles(read_clip(path, 3, 64).pictures) == pytest.approx([14, 42.8, 50], abs=1)


def test_a_video_that_is_turned_is_turned_upright(tmp_path):
    import av

    path = tmp_path / "a.mp4"
    wide = disc(x=80, y=20, radius=10, size=(96, 48))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("needs a PyAV that can mark videos as turned (18)")
        stream.set_display_rotation(90)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(wide), format="rgb24")))
        container.mux(stream.encode())
    picture = read_clip(path, 1, 96).pictures[0]
    assert picture.size == (48, 96)
    rows, columns = np.nonzero(np.asarray(picture.convert("L")) < 200)
    # counter-clockwise by a quarter: what was right is now at the top
    assert (columns.mean(), rows.mean()) == pytest.approx((20, 96 - 80), abs=1)


def test_a_video_with_alpha_is_turned_too(tmp_path):
    import av

    path = tmp_path / "a.webm"
    wide = disc(x=80, y=20, radius=10, size=(96, 48), ground=None)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10, options={"crf": "4", "b:v": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("needs a PyAV that can mark videos as turned (18)")
        stream.set_display_rotation(90)
        frame = av.VideoFrame.from_ndarray(np.asarray(wide), format="rgba").reformat(format="yuva420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    alpha = np.asarray(read_clip(path, 1, 96).pictures[0].getchannel("A"))
    rows, columns = np.nonzero(alpha > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((20, 96 - 80), abs=1)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_half_frames_are_made_whole_and_told(tmp_path, codec):
    moments = [np.asarray(disc(x=20 + 4 * i, radius=10)) for i in range(8)]
    woven = [first.copy() for first in moments[::2]]
    for frame, second in zip(woven, moments[1::2], strict=True):
        frame[::2] = second[::2]  # encoders take odd lines for the earlier ones, if nothing is said
    path = write_video(
        tmp_path / "a.mkv",
        [Image.fromarray(frame) for frame in woven],
        fps=25,
        codec=codec,
        pixels="yuv420p",
        flags="+ildct+ilme",
        q="1",
    )
    clip = read_clip(path, 4, 64)
    assert "is interlaced" in clip.notes[0]
    assert middles(clip.pictures) == pytest.approx([20, 28, 36, 44], abs=1)
    for picture in clip.pictures:
        rows = np.asarray(picture.convert("L"), np.float64)
        # a comb changes from row to row and back, by 200 of 255 at the disc's two sides
        assert np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).max() < 120


def test_a_turn_by_no_quarter_is_taken_for_the_nearest_and_told(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("needs a PyAV that can mark videos as turned (18)")
        stream.set_display_rotation(80)
        frame = av.VideoFrame.from_ndarray(np.asarray(disc(size=(96, 48))), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clip = read_clip(tmp_path / "a.mp4", 1, 96)
    assert clip.pictures[0].size == (48, 96)
    assert "no multiple of 90 degrees" in clip.notes[0]


def test_alpha_in_a_webm_says_what_the_object_is(tmp_path):
    import av

    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10, options={"crf": "4", "b:v": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for picture in moving_disc(4, ground=None):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgba")
            container.mux(stream.encode(frame.reformat(format="yuva420p")))
        container.mux(stream.encode())
    alphas = [np.asarray(p.getchannel("A")) for p in read_clip(path, 2, 64).pictures]
    assert alphas[0][32, 14] > 250
    assert alphas[0][32, 50] < 5
    assert alphas[1][32, 50] > 250


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        frame = av.VideoFrame.from_ndarray(np.asarray(disc()), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert read_clip(path, 1, 256).pictures[0].size == (128, 64)


def test_a_damaged_middle_is_left_out(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving_disc(60), g="10")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(bytes(data))
    places = middles(read_clip(path, 5, 64).pictures)
    assert len(places) == 5
    assert places[0] == pytest.approx(14, abs=1)
    assert places == sorted(places)


def test_the_sound_alone_is_refused(tmp_path):
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="only sound"):
        read_clip(path, 3, 64)


# -- what a run makes of them -------------------------------------------------------------------


def test_one_crop_for_the_whole_video_keeps_the_motion(tmp_path):
    conditions, notes = read(write_frames(tmp_path / "f", moving_disc(9)), size=64, object_size=0.8)
    places = [centre(frame) for frame in conditions.video]
    steps = np.diff([x for x, _ in places])
    # 52 pixels of motion and object become 0.8 of 64; the middle goes 36 of them, in four even steps
    assert steps == pytest.approx([36 / 52 * 0.8 * 64 / 4] * 4, abs=0.6)
    assert [y for _, y in places] == pytest.approx([places[0][1]] * 5, abs=0.2)
    assert notes == []
    assert (conditions.picture == conditions.video[0]).all()


def test_the_last_frame_can_be_the_reference(tmp_path):
    folder = write_frames(tmp_path / "f", moving_disc(5))
    first, _ = read(folder, reference_frame="first")
    last, _ = read(folder, reference_frame="last")
    assert (last.video == first.video.flip(0)).all()
    assert (last.picture == first.video[-1]).all()


def test_a_video_with_fewer_frames_repeats_them_and_says_so(tmp_path):
    conditions, notes = read(write_frames(tmp_path / "f", moving_disc(3)), frames=6)
    assert (conditions.video[0] == conditions.video[1]).all()
    assert (conditions.video[1] != conditions.video[2]).any()
    assert "only 3 different frames" in notes[0]
    assert "--frames 3" in notes[0]


def test_a_video_of_one_frame_is_a_picture(tmp_path):
    conditions, notes = read(write_video(tmp_path / "a.mp4", [disc()]))
    assert conditions.video is None
    assert "taken as a picture" in notes[0]


def test_the_frame_rate_is_that_of_the_frames_taken(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving_disc(21), fps=20)
    assert read(path)[0].fps == pytest.approx(4)
