import io
from pathlib import Path

import pytest

from diffusion2 import events
from diffusion2.commands.terminal import Terminal, describe, duration


class Screen(io.StringIO):
    def isatty(self):
        return True


STORY = [
    events.RunStarted("a.png", Path("out"), "mini", "as asked"),
    events.StageStarted("matrix"),
    events.StageProgress("matrix", 3, 25, 2.0, 14.6, "sigma 41"),
    events.Warned("careful [not markup]"),
    events.StageFinished("matrix", 65.0),
    events.ResultWritten("matrix", Path("out/matrix")),
    events.RunFinished(70.0),
]


def test_plain_output_is_one_line_an_event_without_control_characters():
    stream = io.StringIO()
    with Terminal(stream) as terminal:
        for event in STORY:
            terminal(event)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().splitlines() == [
        "a.png -> out, preset mini (as asked)",
        "note: careful [not markup]",
        "matrix done in 1 min 05 s",
        "wrote out/matrix",
        "finished in 1 min 10 s",
    ]


def test_plain_progress_is_shown_now_and_then(monkeypatch):
    monkeypatch.setattr("diffusion2.commands.terminal.PLAIN_SECONDS", -1.0)
    stream = io.StringIO()
    with Terminal(stream) as terminal:
        for event in STORY[1:3]:
            terminal(event)
    assert stream.getvalue() == "matrix 3/25, 15 s left, sigma 41\n"


def test_a_terminal_shows_a_bar_with_the_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    with Terminal(screen) as terminal:
        for event in STORY:
            terminal(event)
    assert "careful [not markup]" in screen.getvalue()
    assert "wrote out/matrix" in screen.getvalue()


def test_a_bar_survives_an_interrupted_stage(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")

    def interrupted():
        with Terminal(Screen()) as terminal:
            terminal(STORY[1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


@pytest.mark.parametrize("event", STORY)
def test_every_event_can_be_said_in_one_line(event):
    assert "\n" not in describe(event)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3725, "1 h 02 min")],
)
def test_durations_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text
