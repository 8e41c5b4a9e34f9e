"""Frames of a video file (mp4, mov, webm, mkv, avi …), decoded by FFmpeg's libraries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from av.codec import CodecContext
from av.error import EOFError as EndOfFile
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from PIL import Image

from diffusion2.errors import InputError, in_one_line
from diffusion2.inputs.picture import check_size
from diffusion2.pictures import shrink

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,ivf"
"""What a file may be: no playlists, which would open other files."""
SEEK_FRAMES = 60
"""Frames ahead from which on seeking is worth its trouble."""
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these leave the alpha out."""


class NoVideo(InputError):
    """A file that is none of the video formats; it may be something else."""


class VideoFile:
    """The frames of a video file; use as a context manager.

    Attributes:
        path: the file.
        times: seconds from the first frame to each frame.

    Raises:
        NoVideo: it has no video format.
        InputError: it is damaged, has no pictures, or they are too large.
    """

    path: Path
    times: list[float]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self._container: Any = None
        try:
            self._open()
            self._stamps = self._read_stamps()
        except (FFmpegError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        finally:
            if not hasattr(self, "_stamps"):
                self.close()
        tick = float(self._stream.time_base)
        self.times = [(stamp - self._stamps[0]) * tick for stamp in self._stamps]

    def __enter__(self) -> "VideoFile":
        """Begin to read."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        self._file.close()

    def pictures(self, indices: Sequence[int], side: int) -> list[Image.Image]:
        """Decode the frames at these indices: RGBA, upright, at most `side` pixels a side.

        Where a frame is damaged, the next whole one takes its place; at the end, the last one.

        Raises:
            InputError: no frame can be decoded.
        """
        found: dict[int, Image.Image] = {}
        frames, frame, before = iter(()), None, -SEEK_FRAMES
        try:
            for index in sorted(set(indices)):
                stamp = self._stamps[index]
                if index - before >= SEEK_FRAMES:
                    frames, frame = self._frames_from(index), None
                while frame is None or frame.pts < stamp:
                    frame = next(frames)
                found[index] = self._to_picture(frame, side)
                before = index
        except StopIteration:
            pass
        except (FFmpegError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        if not found:
            raise InputError(f"{self.path}: no frame of this video can be decoded; it may be damaged")
        last = found[max(found)]
        return [found.get(index, last).copy() for index in indices]

    def _open(self) -> None:
        """Open the file at its beginning; again, if it is open already."""
        if self._container is not None:
            self._container.close()
        self._file.seek(0)
        self._container = av.open(
            self._file, metadata_errors="replace", container_options={"format_whitelist": CONTAINERS}
        )
        streams = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise InputError(f"{self.path} has no pictures in it, only sound or a cover")
        self._stream = streams[0]
        context = self._stream.codec_context
        check_size(self.path, context.width, context.height)
        self._decoder: Any = context
        metadata = {name.lower(): value for name, value in self._stream.metadata.items()}
        if metadata.get("alpha_mode") == "1" and context.name in ALPHA_DECODERS:
            self._decoder = CodecContext.create(ALPHA_DECODERS[context.name], "r")
        self._decoder.thread_count = 2  # each holds frames of its own

    def _read_stamps(self) -> list[int]:
        """Read when each frame is shown, without decoding any."""
        stamps = set()
        for packet in self._container.demux(self._stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None and packet.size and not packet.is_discard:
                stamps.add(stamp)
        if not stamps:
            raise InputError(f"{self.path} has no frames, or they have no times")
        return sorted(stamps)

    def _frames_from(self, index: int) -> Iterator[Any]:
        """Decode from a frame on, or from a little earlier."""
        stamp = self._stamps[index]
        self._open()
        if index >= SEEK_FRAMES:
            self._container.seek(stamp, stream=self._stream)
            frames = self._frames()
            first = next(frames, None)
            if first is not None and first.pts <= stamp:
                yield first
                yield from frames
                return
            self._open()  # sought too far, as without an index in the file
        yield from self._frames()

    def _frames(self) -> Iterator[Any]:
        """Decode whatever can be decoded, in the order in which it is shown."""
        for packet in self._container.demux(self._stream):
            try:
                decoded = self._decoder.decode(packet)
            except (InvalidDataError, EndOfFile):
                continue
            yield from (frame for frame in decoded if frame.pts is not None)

    def _to_picture(self, frame: Any, side: int) -> Image.Image:
        check_size(self.path, frame.width, frame.height)
        has_alpha = any(component.is_alpha for component in frame.format.components)
        mode = "rgba" if has_alpha else "rgb24"
        picture = shrink(Image.fromarray(frame.to_ndarray(format=mode)), side).convert("RGBA")
        ratio = self._stream.sample_aspect_ratio
        if ratio and ratio != 1 and 0.1 <= ratio <= 10:
            picture = picture.resize((max(1, round(picture.width * ratio)), picture.height))
        if frame.rotation:
            picture = picture.rotate(frame.rotation, expand=True)
        return picture

    def _refusal(self, error: Exception) -> InputError:
        return NoVideo(f"{self.path} can't be read as a video: {in_one_line(error)}")
