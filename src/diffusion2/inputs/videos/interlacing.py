"""Interlaced video: frames of two moments, every other line of each, made whole as players make them."""

from collections.abc import Iterable, Iterator
from typing import Any

from av.error import BlockingIOError as NotYet
from av.error import EOFError as EndOfFile
from av.filter import Graph

FILTER = ("bwdif", "mode=send_frame:deint=interlaced")
"""FFmpeg's better deinterlacer: for every frame one, of its first field's moment; whole frames stay."""


class Deinterlacer:
    """Makes interlaced frames whole, and lets others pass.

    Attributes:
        used: whether there was one.
    """

    used: bool = False

    def whole(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Yield as many frames, at the same times; from the first interlaced one on, a frame later."""
        graph = None
        for frame in frames:
            if graph is None and frame.interlaced_frame:
                self.used, graph, time_base = True, _make_graph(frame), frame.time_base
            if graph is None:
                yield frame
            else:
                graph.push(frame)
                yield from _pull(graph, time_base)
        if graph is not None:
            graph.push(None)
            yield from _pull(graph, time_base)


def _make_graph(frame: Any) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add(*FILTER), graph.add("buffersink")).configure()
    return graph


def _pull(graph: Graph, time_base: Any) -> Iterator[Any]:
    """Take what is ready; the filter counts time in half ticks."""
    while True:
        try:
            frame: Any = graph.pull()
        except (NotYet, EndOfFile):
            return
        if frame.pts is not None:
            frame.pts = round(frame.pts * frame.time_base / time_base)
            frame.time_base = time_base
        yield frame
