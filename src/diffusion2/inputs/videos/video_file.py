"""Frames of a video file (mp4, mov, webm, mkv, avi …), decoded by FFmpeg's libraries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec import CodecContext
from av.error import EOFError as EndOfFile
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from PIL import Image

from diffusion2.errors import InputError, in_one_line
from diffusion2.inputs.picture import check_size
from diffusion2.inputs.videos.interlacing import Deinterlacer
from diffusion2.inputs.videos.video_frame import HDR, Shot, develop, display_matrix, nearest_turn, take_shot

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,ivf,mxf,nut,yuv4mpegpipe"
"""What a file may be: no playlists, which would open other files."""
SEEK_FRAMES = 60
"""Frames ahead from which on seeking is worth its trouble."""
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these leave the alpha out."""
FEW_FRAMES = 3
"""A video stream with so many times fewer frames than another has is a track of thumbnails."""


class NoVideo(InputError):
    """A file that is none of the video formats; it may be something else."""


class VideoFile:
    """The frames of a video file; use as a context manager.

    Attributes:
        path: the file.
        times: seconds from the first frame to each frame.
        notes: what was chosen or guessed, a line each; complete once pictures were read.

    Raises:
        NoVideo: it has no video format.
        InputError: it is damaged, has no pictures, or they are too large.
    """

    path: Path
    times: list[float]
    notes: list[str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes = []
        self._file = path.open("rb")
        self._container: Any = None
        self._deinterlacer = Deinterlacer()
        try:
            self._open()
            self._number, self._stamps = self._choose_stream()
            self._matrix = self._first_matrix()
        except (FFmpegError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        finally:
            if not hasattr(self, "_stamps"):
                self.close()
        self._stream = self._container.streams[self._number]
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
        found: dict[int, Shot] = {}
        frames, frame, before = iter(()), None, -SEEK_FRAMES
        try:
            for index in sorted(set(indices)):
                stamp = self._stamps[index]
                if index - before >= SEEK_FRAMES:
                    frames, frame = self._frames_from(index), None
                while frame is None or frame.pts < stamp:
                    frame = next(frames)
                found[index] = self._take(frame, side)
                before = index
        except StopIteration:
            pass
        except (FFmpegError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        if not found:
            raise InputError(f"{self.path}: no frame of this video can be decoded; it may be damaged")
        self._note(list(found.values()))
        pictures = dict(zip(found, develop(list(found.values()), side), strict=True))
        last = pictures[max(pictures)]
        return [pictures.get(index, last).copy() for index in indices]

    def _open(self) -> None:
        """Open the file at its beginning."""
        self._file.seek(0)
        self._container = av.open(
            self._file, metadata_errors="replace", container_options={"format_whitelist": CONTAINERS}
        )

    def _rewind(self) -> None:
        """Begin again, with nothing left in the decoder."""
        self._container.close()
        self._open()
        self._stream = self._container.streams[self._number]

    def _choose_stream(self) -> tuple[int, list[int]]:
        """Choose the video among thumbnails and the like: its number, and when its frames are shown."""
        streams = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise InputError(f"{self.path} has no pictures in it, only sound or a cover")
        streams = [stream for stream in streams if stream.codec_context is not None]
        if not streams:
            raise InputError(f"{self.path} has a video of a codec that is not known here, or it is damaged")
        stamps: dict[int, set[int]] = {stream.index: set() for stream in streams}
        for packet in self._container.demux(streams):  # decodes nothing
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None and packet.size and not packet.is_discard:
                stamps[packet.stream.index].add(stamp)

        most = max(map(len, stamps.values()))

        def worth(stream: Any) -> tuple[Any, ...]:
            side_line = stream.disposition & (Disposition.timed_thumbnails | Disposition.still_image)
            return (
                bool(stamps[stream.index]),
                not side_line,
                len(stamps[stream.index]) * FEW_FRAMES > most,
                stream.width * stream.height,
                bool(stream.disposition & Disposition.default),
                -stream.index,
            )

        best: Any = max(streams, key=worth)
        if not stamps[best.index]:
            raise InputError(f"{self.path} has no frames that can be decoded, or they have no times")
        check_size(self.path, best.width, best.height)
        if len(streams) > 1:
            self.notes.append(
                f"{self.path} has {len(streams)} video streams: number {best.index}, {best.width} x "
                f"{best.height} pixels and {len(stamps[best.index])} frames, is taken, and no other"
            )
        return best.index, sorted(stamps[best.index])

    def _first_matrix(self) -> np.ndarray:
        """Read the display matrix of the first frame, which counts for all that have none of their own.

        That is where the container says it, as FFmpeg's own decoders pass it on, and H.264's own message.
        """
        self._rewind()
        try:
            first = next(self._container.decode(self._stream), None)
        except FFmpegError:
            first = None
        found = None if first is None else display_matrix(first)
        return np.eye(2) if found is None else found

    def _make_decoder(self) -> Any:
        """Make a decoder for the chosen stream."""
        decoder: Any = self._stream.codec_context
        metadata = {name.lower(): value for name, value in self._stream.metadata.items()}
        if metadata.get("alpha_mode") == "1" and decoder.name in ALPHA_DECODERS:
            decoder = CodecContext.create(ALPHA_DECODERS[decoder.name], "r")
        decoder.thread_count = 2  # each holds frames of its own
        return decoder

    def _frames_from(self, index: int) -> Iterator[Any]:
        """Decode from a frame on, or from a little earlier."""
        stamp = self._stamps[index]
        self._rewind()
        if index >= SEEK_FRAMES:
            self._container.seek(stamp, stream=self._stream)
            frames = self._frames()
            first = next(frames, None)
            if first is not None and first.pts <= stamp:
                yield first
                yield from frames
                return
            self._rewind()  # sought too far, as without an index in the file
        yield from self._frames()

    def _frames(self) -> Iterator[Any]:
        """Decode whatever can be decoded, in the order in which it is shown."""
        return self._deinterlacer.whole(self._decoded())

    def _decoded(self) -> Iterator[Any]:
        decoder = self._make_decoder()
        for packet in self._container.demux(self._stream):
            try:
                decoded = decoder.decode(packet)
            except (InvalidDataError, EndOfFile):
                continue
            yield from (frame for frame in decoded if frame.pts is not None)

    def _take(self, frame: Any, side: int) -> Shot:
        check_size(self.path, frame.width, frame.height)
        ratio = self._stream.sample_aspect_ratio or 1
        try:
            return take_shot(frame, side, float(ratio) if 0.1 <= ratio <= 10 else 1.0, self._matrix)
        except (FFmpegError, ValueError) as error:
            raise InputError(
                f"{self.path}: its pictures ({frame.format.name}, matrix {int(frame.colorspace)}) can't be "
                "brought to RGB: convert the video first, e.g. by `ffmpeg -i IN -pix_fmt yuv420p OUT.mp4`"
            ) from error

    def _note(self, shots: Sequence[Shot]) -> None:
        """Note what had to be decided about colours and orientation."""
        if hdr := {HDR[shot.transfer] for shot in shots if shot.transfer in HDR}:
            self.notes.append(
                f"{self.path} is HDR ({', '.join(sorted(hdr))}): it is brought to SDR with its reference "
                "white as white, what is brighter is compressed; give an SDR video for other colours"
            )
        if self._deinterlacer.used:
            self.notes.append(
                f"{self.path} is interlaced: its half frames are made whole by FFmpeg's filter bwdif; "
                "deinterlace the video first for another"
            )
        if any(shot.is_untagged for shot in shots):
            self.notes.append(
                f"{self.path} has more than 8 bits a colour and says no curve that they follow: it is "
                "taken for SDR; if its pictures look pale, it is HDR: give it the tags of PQ or HLG"
            )
        if not all(nearest_turn(shot.matrix)[1] for shot in shots):
            self.notes.append(
                f"{self.path} is to be turned by no multiple of 90 degrees: it is turned by the nearest one; "
                "turn the video itself for another"
            )

    def _refusal(self, error: Exception) -> InputError:
        return NoVideo(f"{self.path} can't be read as a video: {in_one_line(error)}")
