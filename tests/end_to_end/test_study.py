"""`diffusion2 study` as people use it: finished runs, a page, a browser without a network."""

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2.cameras import orbit
from diffusion2.cli import main
from diffusion2.exporters import write_video
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import write_picture
from diffusion2.runs.matrix_files import write_matrix, write_pictures

sys.path.insert(0, str(Path(__file__).parent.parent / "viewer"))  # for chromium.py

from chromium import Chromium, find_chromium

CASES, METHODS, QUESTIONS = (
    ("fox", "cat"),
    ("cedar", "maple"),
    ("reference", "multiview", "temporal", "overall"),
)
VIDEOS = "[...document.querySelectorAll('video')]"


def make_run(folder: Path, red: float) -> None:
    """A run whose orbit lasts 2 s and whose reference video lasts 1 s; both grow brighter."""
    folder.mkdir(parents=True)
    images = torch.rand(4, 8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    write_matrix(folder, ImageMatrix(images, orbit(4, height=16), frame_times(8), 8.0))
    write_pictures(folder / "conditions" / "video", images[-1], "frame")
    write_picture(folder / "conditions" / "picture.png", images[-1, 0])
    frames = np.zeros((24, 64, 64, 3))
    frames[..., 0] = red
    frames[..., 1] = np.linspace(0, 1, 24)[:, None, None]
    write_video(frames, folder / "orbit.mp4", 12)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    for case in CASES:
        for red, method in enumerate(METHODS):
            make_run(root / case / method, float(red))
    return root


@pytest.fixture(scope="module")
def page(results: Path) -> Path:
    runs = [str(results / case / method) for case in CASES for method in METHODS]
    assert main(["study", *runs, "--out", str(results / "study.html"), "--seed", "1"]) == 0
    return results / "study.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("needs Chromium on the PATH (apt-get install chromium)")
    with Chromium(executable, 1000, 800) as chromium:
        yield chromium


@pytest.fixture
def opened(browser: Chromium, page: Path) -> Chromium:
    """The page at its start, with nothing kept of earlier visits."""
    browser.open(page.as_uri())
    browser.wait_for("document.getElementById('stage')?.children.length")
    browser.evaluate("state = fresh(); go(-1)")  # as the button "Next participant" does
    return browser


def begin(browser: Chromium, participant: str = "p1") -> None:
    browser.evaluate(f"document.getElementById('participant').value = {participant!r}")
    click(browser, "begin")
    wait_for_videos(browser)


def click(browser: Chromium, button: str) -> None:
    browser.evaluate(f"document.getElementById({button!r}).click()")


def wait_for_videos(browser: Chromium) -> None:
    browser.wait_for(f"{VIDEOS}.length === 3 && {VIDEOS}.every((v) => v.readyState >= 3)")


def answer(browser: Chromium, letters: str) -> None:
    """Choose one letter for each of the four questions."""
    for question, letter in zip(QUESTIONS, letters, strict=True):
        browser.evaluate(f"document.querySelector('input[name={question}][value={letter}]').click()")


def colour(browser: Chromium, number: int) -> list[int]:
    """Mean red, green and blue of what a video shows now."""
    return browser.evaluate(
        f"""(() => {{
          const video = {VIDEOS}[{number}], canvas = document.createElement("canvas");
          canvas.width = canvas.height = 1;
          const context = canvas.getContext("2d");
          context.drawImage(video, 0, 0, 1, 1);
          return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }})()"""
    )


def test_answers_are_saved_with_the_names_behind_the_letters(opened: Chromium, tmp_path: Path) -> None:
    opened.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    begin(opened)
    for case, letters in (("fox", "ABAB"), ("cat", "BBBA")):
        wait_for_videos(opened)
        # what is under a letter is told by its colour: "cedar" is not red, "maple" is
        under = {letter: METHODS[colour(opened, k + 1)[0] > 128] for k, letter in enumerate("AB")}
        assert set(under.values()) == set(METHODS)
        answer(opened, letters)
        expected = [under[letter] for letter in letters]
        click(opened, "next")
        if case == "fox":
            first = expected
    opened.wait_for("document.getElementById('save')")
    click(opened, "save")
    deadline = time.monotonic() + 30
    while not (files := list(tmp_path.glob("*.csv"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert files[0].name.startswith("answers-p1-")
    with files[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["question"]) for row in rows] == [(c, q) for c in CASES for q in QUESTIONS]
    assert [row["chosen"] for row in rows] == first + expected
    assert [row["position"] for row in rows] == list("12122221")
    assert {row["participant"] for row in rows} == {"p1"}
    assert {row["seed"] for row in rows} == {"1"}
    assert all(row["time"].endswith("Z") for row in rows)
    assert all(row["shown"].split("|")[int(row["position"]) - 1] == row["chosen"] for row in rows)


def test_saved_answers_are_counted(opened: Chromium, tmp_path: Path, capsys) -> None:
    begin(opened)
    for _ in CASES:
        wait_for_videos(opened)
        answer(opened, "AAAA")
        click(opened, "next")
    opened.wait_for("document.getElementById('answers')")
    (tmp_path / "a.csv").write_text(opened.evaluate("document.getElementById('answers').value"))
    assert main(["study", "--count", str(tmp_path / "a.csv")]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["cedar", "maple", "answers"]
    assert "1 participant, 2 cases; chosen by place: A 100%, B 0%" in out


def test_videos_play_in_step_and_begin_again_together(opened: Chromium) -> None:
    begin(opened)
    opened.wait_for(f"{VIDEOS}.every((v) => !v.paused && v.currentTime > 0.2)")
    lengths = opened.evaluate(f"{VIDEOS}.map((v) => v.duration)")
    assert lengths == pytest.approx([1, 2, 2], abs=0.1)
    wraps, previous, deadline = 0, 0.0, time.monotonic() + 30
    while wraps < 2 and time.monotonic() < deadline:
        times = opened.evaluate(f"{VIDEOS}.map((v) => v.currentTime)")
        wraps, previous = wraps + (times[1] < previous), times[1]
        if 0.3 < times[1] < 1.7:  # at the ends one may have begun again just before the other
            assert abs(times[2] - times[1]) < 0.3  # 0.08 s on an idle machine
        time.sleep(0.05)
    assert wraps == 2


def test_videos_stop_and_are_turned_to_a_time_together(opened: Chromium) -> None:
    begin(opened)
    opened.wait_for(f"{VIDEOS}.every((v) => !v.paused)")
    click(opened, "toggle")
    opened.wait_for(f"{VIDEOS}.every((v) => v.paused)")
    opened.evaluate(
        "{const s = document.getElementById('seek'); s.value = 0.7; s.dispatchEvent(new Event('input'))}"
    )
    opened.wait_for(f"{VIDEOS}.every((v) => !v.seeking)")
    times = opened.evaluate(f"{VIDEOS}.map((v) => v.currentTime)")
    assert times == pytest.approx([0.39, 1.39, 1.39], abs=0.05)  # the reference lasts 1 s and has begun again


def test_no_name_is_in_the_text_of_any_page(opened: Chromium) -> None:
    texts = [opened.evaluate("document.body.innerText")]
    begin(opened)
    for _ in CASES:
        texts.append(opened.evaluate("document.body.innerText + document.title"))
        answer(opened, "ABAB")
        click(opened, "next")
    texts.append(opened.evaluate("document.body.innerText"))
    assert "Which is best overall?" in texts[1]
    for text in texts:
        assert not any(name in text for name in (*CASES, *METHODS))


def test_next_waits_for_all_four_answers(opened: Chromium) -> None:
    begin(opened)
    for k, question in enumerate(QUESTIONS):
        assert opened.evaluate("document.getElementById('next').disabled")
        assert f"{4 - k} of 4 questions open" in opened.evaluate("document.body.innerText")
        opened.evaluate(f"document.querySelector('input[name={question}]').click()")
    assert not opened.evaluate("document.getElementById('next').disabled")


def test_answers_stay_when_going_back_and_when_the_page_is_opened_again(opened: Chromium, page: Path) -> None:
    chosen = "[...document.querySelectorAll('input:checked')].map((i) => i.name + i.value).join()"
    begin(opened, "p7")
    answer(opened, "ABBA")
    expected = "referenceA,multiviewB,temporalB,overallA"
    click(opened, "next")
    assert opened.evaluate(chosen) == ""
    click(opened, "back")
    assert opened.evaluate(chosen) == expected
    opened.open(page.as_uri())
    opened.wait_for(f"{VIDEOS}.length === 3")
    assert opened.evaluate(chosen) == expected


def test_whoever_has_read_the_names_answers_no_more(opened: Chromium) -> None:
    begin(opened)
    for _ in CASES:
        answer(opened, "AAAA")
        click(opened, "next")
    assert not opened.evaluate("document.getElementById('back').disabled")
    opened.evaluate("document.querySelector('details').open = true")
    opened.wait_for("document.getElementById('back').disabled")


def test_the_next_participant_starts_afresh(opened: Chromium) -> None:
    begin(opened)
    for _ in CASES:
        answer(opened, "AAAA")
        click(opened, "next")
    opened.evaluate("window.confirm = () => true")
    click(opened, "again")
    assert opened.evaluate("document.getElementById('participant').value") not in ("", "p1")
    begin(opened, "p2")
    assert opened.evaluate("document.querySelectorAll('input:checked').length") == 0


def test_a_participant_needs_a_plain_name(opened: Chromium) -> None:
    opened.evaluate("document.getElementById('participant').value = '=1+1'")
    click(opened, "begin")
    assert "letters, digits" in opened.evaluate("document.body.innerText")
    assert opened.evaluate(f"{VIDEOS}.length") == 0


def test_the_page_asks_no_server_and_raises_no_error(opened: Chromium) -> None:
    begin(opened)
    opened.wait_for(f"{VIDEOS}.every((v) => v.currentTime > 0)")
    assert not [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]
    assert opened.errors == []


# -- wrong calls ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{r}/fox/cedar", "{r}/fox/maple"], "--out FILE.html"),
        (["{r}/fox/cedar", "{r}/fox/maple", "--out", "{r}/new.txt"], "new.html"),
        (["{r}/fox/cedar", "--out", "{r}/new.html"], "one candidate"),
        (["--out", "{r}/new.html"], "nothing to compare"),
        (["{r}/fox", "{r}/cat", "--out", "{r}/new.html"], "no run's folder"),
        (["{r}/fox/cedar", "{r}/fox/cedar", "--out", "{r}/new.html"], "two candidates cedar"),
        (["{r}/fox/cedar", "{r}/fox/maple", "--out", "{r}/no/new.html"], "create the folder"),
        (["{r}/fox/cedar", "--count", "{r}/nothing.csv"], "leave out the runs"),
        (["--count", "{r}/nothing.csv"], "nothing.csv can't be read"),
        (["--count", "{r}/fox/cedar/cameras.json"], "is not what a study page saves"),
    ],
)
def test_a_wrong_call_gives_one_line(results: Path, capsys, arguments: list[str], message: str) -> None:
    assert main(["study", *(a.format(r=results) for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(results.glob("**/new*"))


def test_help_says_how_runs_become_cases(capsys) -> None:
    assert main(["study", "--help"]) == 0
    out = capsys.readouterr().out
    assert "usage: diffusion2" in out
    assert "results/fox/ours" in out
