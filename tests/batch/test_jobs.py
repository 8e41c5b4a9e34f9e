"""What was named becomes runs with folders of their own, or is refused before anything runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from diffusion2.batch.jobs import are_many, read_jobs
from diffusion2.config import PRESETS, GenerateSettings, InputSettings, move_to_preset
from diffusion2.errors import InputError
from diffusion2.runs.source import Source

MINI = PRESETS["mini"]


@pytest.fixture
def place(tmp_path):
    for name in ("fox.png", "cat.png", "a/fox.png", "b/fox.mp4", "odd[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "frames").mkdir()
    return tmp_path


def jobs(place, *inputs, settings=MINI, notes=None):
    report = (lambda event: None) if notes is None else notes.append
    given = [path if isinstance(path, Source) else place / path for path in inputs]
    return read_jobs(given, place / "out", settings, InputSettings(), report=report)


def table(place, text, name="list.csv"):
    (place / name).write_text(text, encoding="utf-8")
    return name


def test_several_inputs_a_pattern_or_a_list_are_many_and_one_file_is_one(place):
    assert not are_many([place / "fox.png"])
    assert not are_many([place / "odd[1].png"])  # a file of that name goes before the pattern
    assert not are_many([place / "frames"])
    for inputs in (["fox.png", "cat.png"], ["*.png"], ["list.txt"], ["list.csv"]):
        assert are_many([place / name for name in inputs]), inputs


def test_a_pattern_names_its_files_in_order(place):
    found = jobs(place, "*.png")
    assert [job.name for job in found] == ["cat", "fox", "odd[1]"]
    assert found[0].out == place / "out" / "cat"


def test_a_list_is_relative_to_its_own_folder_and_may_have_remarks(place):
    table(place / "a", "# mine\n\nfox.png\n../cat.png\n", "list.txt")
    assert [job.source.input for job in jobs(place, "a/list.txt")] == [
        place / "a" / "fox.png",
        place / "a" / ".." / "cat.png",
    ]


def test_names_that_clash_are_numbered_and_that_is_said(place):
    notes = []
    found = jobs(place, "fox.png", "a/fox.png", "b/fox.mp4", notes=notes)
    assert [job.name for job in found] == ["fox", "fox_2", "fox_3"]
    assert len(notes) == 2
    assert "fox_2, as fox is taken" in notes[0].message


def test_an_input_that_is_named_twice_is_made_once_and_that_is_said(place):
    notes = []
    assert [job.name for job in jobs(place, "fox.png", "*x.png", notes=notes)] == ["fox"]
    assert "named twice" in notes[0].message


def test_a_table_sets_what_its_cells_say_and_leaves_the_rest(place):
    text = (
        "input,name,seed,sampling.steps,background,azimuths_deg,sampling.last-multiview-weight\n"
        "fox.png,red,3,,plain,,none\n"
        "fox.png,,4, 20 ,,,\n"
        "\n"
        "cat.png,,,,,,0.5\n"
    )
    red, fox, cat = jobs(place, table(place, text), settings=replace(MINI, views=6))
    assert (red.name, fox.name, cat.name) == ("red", "fox", "cat")
    assert (red.settings.seed, fox.settings.seed, cat.settings.seed) == (3, 4, 0)
    assert red.settings.sampling.steps == MINI.sampling.steps
    assert fox.settings.sampling.steps == 20
    assert red.settings.sampling.last_multiview_weight is None
    assert cat.settings.sampling.last_multiview_weight == 0.5
    assert red.source.settings.background == "plain"
    assert fox.source.settings.background == "auto"
    assert {job.settings.views for job in (red, fox, cat)} == {6}


def test_a_table_may_choose_the_preset_and_what_the_call_changed_stays_changed(place):
    called = replace(MINI, seed=7, sampling=replace(MINI.sampling, rollback_steps=1))
    (job,) = jobs(place, table(place, "input,preset\nfox.png,paper\n"), settings=called)
    paper = PRESETS["paper"]
    assert job.settings == replace(paper, seed=7, sampling=replace(paper.sampling, rollback_steps=1))
    assert move_to_preset(MINI, "fast") == PRESETS["fast"]
    assert move_to_preset(GenerateSettings(views=5), "mini") == replace(MINI, views=5)


def test_a_table_may_come_from_a_spreadsheet(place):
    (place / "list.csv").write_bytes("﻿input;seed;prompt\r\nfox.png;3;\r\n".encode())
    (job,) = jobs(place, "list.csv")
    assert (job.name, job.settings.seed) == ("fox", 3)


def test_words_name_their_folder(place):
    source = Source(prompt="A red fox, jumping!", settings=InputSettings(text_model="model"))
    assert [job.name for job in jobs(place, source)] == ["A-red-fox-jumping"]


def test_our_own_names_are_not_given_to_runs(place):
    for name in ("summary.json.png", "contact_sheet.png.png"):
        (place / name).write_bytes(b"x")
    assert [job.name for job in jobs(place, "summary.json.png", "contact_sheet.png.png")] == [
        "summary.json_2",
        "contact_sheet.png_2",
    ]


REFUSED = {
    "missing files": ("input\nfox.png\nno.png\nnor.png\n", "line 3: there is no file"),
    "an unknown column": ("input,sede\nfox.png,1\n", "line 1: unknown column 'sede' (did you mean seed?)"),
    "an unknown nested setting": ("input,sampling.step\nfox.png,1\n", "did you mean sampling.steps?"),
    "a group of settings": ("input,sampling\nfox.png,1\n", "unknown column 'sampling'"),
    "a column twice": ("input,seed,seed\nfox.png,1,2\n", "twice"),
    "no inputs": ("seed\n1\n", "line 1: no column says"),
    "a number out of range": ("input,seed\nfox.png,1\ncat.png,-1\n", "line 3: seed must lie between"),
    "no number": ("input,sampling.steps\nfox.png,many\n", "line 2: sampling.steps must be a whole number"),
    "no truth": (
        "input,sampling.offload\nfox.png,perhaps\n",
        "line 2: sampling.offload must be True or False",
    ),
    "no choice": ("input,background\nfox.png,alfa\n", "did you mean alpha?"),
    "no preset": ("input,preset\nfox.png,papier\n", "line 2: there is no preset 'papier'"),
    "settings that don't fit": ("input,views,azimuths_deg\nfox.png,3,0 90\n", "line 2: there are 3 views"),
    "too many cells": ("input,seed\nfox.png,1,2\n", "line 2: there are 3 cells for 2 columns"),
    "an open quote": ('input,seed\n"fox.png,1\n', "line 2"),
    "one output twice": ("input,name\nfox.png,x\ncat.png,X\n", "line 3: the name X is that of another run"),
    "an output elsewhere": ("input,name\nfox.png,../x\n", "line 2: '../x' can't be the name"),
    "nothing in a row": ("input,seed\n,3\n", "line 2: nothing to start from"),
    "words and a file": ("input,prompt\nfox.png,a fox\n", "line 2: give an INPUT or a --prompt"),
    "nothing at all": ("input\n", "name no file"),
    "no text": ("input\nfox\0\n", "no list of inputs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_can_not_be_meant_is_refused_with_its_line(place, case):
    text, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        jobs(place, table(place, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_missing_files_are_counted(place):
    with pytest.raises(InputError, match="and 3 more are missing"):
        jobs(place, table(place, "\n".join(f"no_{n}.png" for n in range(6)), "list.txt"))


@pytest.mark.parametrize("name", ["*.tiff", "nothing.png", "nothing.csv"])
def test_what_names_no_file_is_refused(place, name):
    with pytest.raises(InputError, match=r"no file"):
        jobs(place, name)


def test_a_letter_is_no_list(place):
    (place / "letter.txt").write_text("Dear all,\n" + "many words " * 100, encoding="utf-8")
    with pytest.raises(InputError, match="line 1: there is no file"):
        jobs(place, Path("letter.txt"))
