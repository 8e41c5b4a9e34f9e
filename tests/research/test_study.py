"""The user study's page as a file, and how its answers are counted; tests/end_to_end opens it."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import AssetFormatError, ExportError, InputError
from diffusion2.exporters import write_video
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import write_picture
from diffusion2.research.study.answers import COLUMNS, QUESTIONS, count_answers, format_preferences
from diffusion2.research.study.page import Case, Media, read_cases, shuffled, tiles, write_study
from diffusion2.runs.matrix_files import write_matrix, write_pictures


def make_run(folder: Path, grey: float = 0.5, *, video: bool = True, seed: int = 0) -> Path:
    """A finished run of tiny pictures: conditions, matrix, orbit.mp4."""
    images = torch.full((4, 3, 3, 16, 16), grey)
    folder.mkdir(parents=True)
    write_matrix(folder, ImageMatrix(images, orbit(4, height=16), frame_times(3), 8.0))
    (folder / "conditions").mkdir()
    write_picture(folder / "conditions" / "picture.png", images[0, 0])
    noise = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    write_pictures(folder / "conditions" / "video", noise, "frame")
    if video:
        write_video(np.full((6, 16, 16, 3), grey), folder / "orbit.mp4", 12)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two cases of two methods."""
    for number, case in enumerate(("fox", "cat")):
        for grey, method in ((0.2, "ours"), (0.8, "theirs")):
            make_run(tmp_path / "results" / case / method, grey, seed=number)
    return tmp_path / "results"


def arguments(results: Path) -> list[str]:
    return [str(path) for path in sorted(results.glob("*/*"))]


def study_of(page: Path) -> dict:
    found = re.search(r'id="study">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def clip_of(page: Path, number: int) -> bytes:
    found = re.search(rf'id="clip-{number}">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    return base64.b64decode(found[1])


def name(hidden: str) -> str:
    return base64.b64decode(hidden).decode()


# -- what is compared -------------------------------------------------------------------------------


def test_a_runs_folder_is_the_candidate_and_its_parent_the_case(results: Path) -> None:
    cases = read_cases(arguments(results))
    assert [case.name for case in cases] == ["cat", "fox"]
    assert [set(case.candidates) for case in cases] == [{"ours", "theirs"}] * 2
    for case in cases:
        for method, clip in case.candidates.items():
            assert clip.data == (results / case.name / method / "orbit.mp4").read_bytes()


def test_folders_that_are_called_otherwise_are_named(tmp_path: Path) -> None:
    names = ("a/x", "a/y", "b/x", "b/y")
    runs = [make_run(tmp_path / f"run{k}", k / 4) for k in range(4)]
    cases = read_cases([f"{name}={run}" for name, run in zip(names, runs, strict=True)])
    assert [(case.name, list(case.candidates)) for case in cases] == [("a", ["x", "y"]), ("b", ["x", "y"])]


def test_a_link_counts_by_its_own_name(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dog").mkdir()
    for name, method in (("x", "ours"), ("y", "theirs")):
        (tmp_path / "dog" / name).symlink_to(results / "fox" / method)
    monkeypatch.chdir(tmp_path / "dog")
    case = read_cases(["x", "./y"])[0]
    assert (case.name, list(case.candidates)) == ("dog", ["x", "y"])


def test_a_folder_whose_name_has_an_equals_sign_is_that_folder(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "fox" / f"s={k}") for k in range(2)]
    assert list(read_cases([str(run) for run in runs])[0].candidates) == ["s=0", "s=1"]


def test_the_reference_is_the_video_where_all_runs_began_with_the_same(results: Path) -> None:
    case = read_cases(arguments(results))[0]
    assert case.reference.type == "video/mp4"
    assert case.reference.data[4:8] == b"ftyp"


def test_the_reference_is_the_picture_where_the_runs_made_their_own_videos(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "fox" / str(k), seed=k) for k in range(2)]
    case = read_cases([str(run) for run in runs])[0]
    assert case.reference == Media((runs[0] / "conditions" / "picture.png").read_bytes(), "image/png")


def test_a_named_reference_is_shown_and_not_asked_about(results: Path) -> None:
    for case in ("cat", "fox"):
        make_run(results / case / "truth", video=False)  # ground truth has no orbit.mp4
    for case in read_cases(arguments(results), reference="truth"):
        assert set(case.candidates) == {"ours", "theirs"}
        assert case.reference.type == "video/mp4"


def test_image_matrices_are_shown_from_four_sides() -> None:
    images = torch.arange(8.0)[:, None, None, None, None].expand(8, 2, 3, 4, 6) / 8
    matrix = ImageMatrix(images, orbit(8, height=4, width=6), frame_times(2), 8.0)
    shown = tiles(matrix)
    assert shown.shape == (2, 8, 12, 3)
    corners = [shown[0, 0, 0, 0], shown[0, 0, -1, 0], shown[0, -1, 0, 0], shown[0, -1, -1, 0]]
    assert [round(8 * float(value)) for value in corners] == [7, 1, 3, 5]  # azimuths 0, 90, 180, 270
    few = ImageMatrix(images[:2], make_cameras([90, 360], height=4, width=6), frame_times(2), 8.0)
    assert tiles(few).shape == (2, 4, 12, 3)


def test_matrices_alone_can_be_compared(tmp_path: Path) -> None:
    runs = [str(make_run(tmp_path / "fox" / str(k), video=False)) for k in range(2)]
    case = read_cases(runs, show="matrix")[0]
    assert all(clip.data[4:8] == b"ftyp" for clip in case.candidates.values())


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "nothing to compare"),
        (["{r}/fox/nothing", "{r}/fox/ours"], "no run's folder"),
        (["{r}/fox", "{r}/fox/ours"], "no run's folder"),
        (["{r}/fox/ours"], "case fox has one candidate"),
        (["{r}/fox/ours", "{r}/cat/theirs"], "case fox has one candidate"),
        (["{r}/fox/ours", "{r}/fox/ours"], "case fox has two candidates ours"),
        (["fox/ours={r}/fox/ours", "fox/ours={r}/fox/theirs"], "case fox has two candidates ours"),
        (["{r}/fox/ours", "{r}/fox/theirs", "{r}/cat/ours", "cat/x={r}/cat/theirs"], "the same candidates"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(results: Path, runs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_cases([run.format(r=results) for run in runs])


def test_a_reference_that_a_case_lacks_is_refused(results: Path) -> None:
    with pytest.raises(InputError, match="case cat has no run truth"):
        read_cases(arguments(results), reference="truth")


def test_a_run_without_a_video_is_named_with_what_to_do(results: Path) -> None:
    (results / "fox" / "ours" / "orbit.mp4").unlink()
    with pytest.raises(AssetFormatError, match=r"has no orbit\.mp4.*diffusion2 export"):
        read_cases(arguments(results))
    (results / "fox" / "ours" / "orbit.mp4").write_bytes(b"")
    with pytest.raises(AssetFormatError, match="no MP4"):
        read_cases(arguments(results))


def test_runs_without_conditions_need_a_named_reference(tmp_path: Path) -> None:
    runs = []
    for k in range(2):
        run = make_run(tmp_path / "fox" / str(k))
        for path in sorted((run / "conditions").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (run / "conditions").rmdir()
        runs.append(str(run))
    with pytest.raises(InputError, match="--reference"):
        read_cases(runs)


# -- the page ---------------------------------------------------------------------------------------


def make_case(case: str = "fox", names: str = "abcd") -> Case:
    return Case(case, Media(b"reference"), {letter: Media(letter.encode()) for letter in names})


def test_the_page_holds_all_videos_in_a_shuffled_order_and_no_name(results: Path, tmp_path: Path) -> None:
    cases = read_cases(arguments(results))
    write_study(cases, tmp_path / "study.html", title="a <b> & c")
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "<title>a &lt;b&gt; &amp; c</title>" in page
    assert not re.search(r"\b(ours|theirs)\b", page)
    assert "{{" not in page
    assert "http:" not in page
    assert "https:" not in page
    study = study_of(tmp_path / "study.html")
    for case, shown in zip(cases, study["cases"], strict=True):
        assert name(shown["name"]) == case.name
        assert [name(c["name"]) for c in shown["candidates"]] == shuffled(case, 0)
        for candidate in shown["candidates"]:
            expected = case.candidates[name(candidate["name"])].data
            assert clip_of(tmp_path / "study.html", candidate["clip"]) == expected
    assert [q["key"] for q in study["questions"]] == ["reference", "multiview", "temporal", "overall"]


def test_the_order_depends_on_seed_and_case_and_on_nothing_else() -> None:
    orders = {(seed, case): shuffled(make_case(case), seed) for seed in range(20) for case in ("fox", "cat")}
    assert orders[3, "fox"] == shuffled(make_case("fox", "dcba"), 3)
    assert len({tuple(order) for order in orders.values()}) > 10
    assert any(orders[seed, "fox"] != orders[seed, "cat"] for seed in range(20))
    first = [order[0] for order in orders.values()]
    assert all(first.count(letter) > 3 for letter in "abcd"), "no place is anybody's own"


def test_the_same_call_writes_the_same_page_and_another_seed_another_study(tmp_path: Path) -> None:
    for path, seed in (("a.html", 0), ("b.html", 0), ("c.html", 1)):
        write_study([make_case()], tmp_path / path, seed=seed)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert study_of(tmp_path / "a.html")["id"] != study_of(tmp_path / "c.html")["id"]


def test_a_name_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    nasty = "</script><b>{{CLIPS}}\\1"
    case = Case(nasty, Media(b"r"), {nasty: Media(b"1"), "other": Media(b"2")})
    write_study([case], tmp_path / "study.html", title=nasty)
    study = study_of(tmp_path / "study.html")
    assert name(study["cases"][0]["name"]) == nasty
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "<h1>&lt;/script&gt;&lt;b&gt;{{CLIPS}}\\1</h1>" in page


def test_a_page_that_browsers_cannot_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusion2.research.study.page.MAX_PAGE_BYTES", 1000)
    case = Case("fox", Media(b"r"), {"a": Media(bytes(500)), "b": Media(bytes(500))})
    with pytest.raises(InputError, match="the page would have"):
        write_study([case], tmp_path / "study.html")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="create the folder"):
        write_study([make_case()], tmp_path / "no" / "study.html")


# -- the answers ------------------------------------------------------------------------------------


def answers(path: Path, participant: str, picks: dict[str, str], **other: str) -> Path:
    """Write a file as the page does: the case's four questions, `picks` by question, shown a|b."""
    lines = [",".join(COLUMNS)]
    for question in QUESTIONS:
        pick = picks.get(question.key, "a")
        row = {
            "study": "12345678",
            "seed": "0",
            "participant": participant,
            "case": "fox",
            "question": question.key,
            "chosen": pick,
            "position": str("ab".index(pick) + 1),
            "shown": "a|b",
            "time": "2030-01-01T00:00:00.000Z",
        }
        lines.append(",".join((row | other)[column] for column in COLUMNS))
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def test_answers_are_counted_per_question(tmp_path: Path) -> None:
    files = [
        answers(tmp_path / "1.csv", "p1", {"overall": "b"}),
        answers(tmp_path / "2.csv", "p2", {"overall": "b", "temporal": "b"}),
        answers(tmp_path / "3.csv", "p3", {}),
        answers(tmp_path / "4.csv", "p3", {}, case="cat"),
    ]
    counted = count_answers(files)
    assert counted.candidates == ("a", "b")
    assert counted.shares == {
        "reference": (1.0, 0.0),
        "multiview": (1.0, 0.0),
        "temporal": (0.75, 0.25),
        "overall": (0.5, 0.5),
    }
    assert set(counted.answers.values()) == {4}
    assert (counted.participants, counted.cases) == (3, 2)
    assert counted.positions == (13, 3)
    lines = format_preferences(counted)
    assert lines[0].split() == ["a", "b", "answers"]
    assert lines[4].split()[-3:] == ["50.0%", "50.0%", "4"]
    assert "3 participants, 2 cases" in lines[-1]


def test_a_file_saved_twice_counts_once_as_it_was_saved_last(tmp_path: Path) -> None:
    early = answers(tmp_path / "1.csv", "p1", {"overall": "a"})
    late = answers(tmp_path / "2.csv", "p1", {"overall": "b"}, time="2030-01-01T00:05:00.000Z")
    for files in ([early, late], [late, early], [early, early, late]):
        counted = count_answers(files)
        assert counted.answers["overall"] == 1
        assert counted.shares["overall"] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"question": "beauty"}, "no question 'beauty'"),
        ({"chosen": "c"}, "'c' is not at position"),
        ({"position": "9"}, "is not at position"),
        ({"position": "x"}, "is not at position"),
        ({"time": "1,2"}, "9 values"),
    ],
)
def test_answers_that_no_page_gives_are_refused(tmp_path: Path, other: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=rf"1\.csv, line 2: .*{message}"):
        count_answers([answers(tmp_path / "1.csv", "p1", {}, **other)])


def test_files_that_hold_no_answers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text(",".join(COLUMNS) + "\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for file, message in (
        ("other.csv", "is not what a study page saves"),
        ("empty.csv", "has no answers"),
        ("binary.csv", "can't be read"),
        ("missing.csv", "No such file"),
    ):
        with pytest.raises(InputError, match=message):
            count_answers([tmp_path / file])


def test_studies_of_different_candidates_are_not_mixed(tmp_path: Path) -> None:
    first = answers(tmp_path / "1.csv", "p1", {})
    other = answers(tmp_path / "2.csv", "p2", {}, case="cat", shown="a|c")
    with pytest.raises(InputError, match="the same candidates"):
        count_answers([first, other])
