import json

import pytest

from diffusion2.cli import parse
from diffusion2.commands.run import spell_out
from diffusion2.errors import InputError
from diffusion2.runs.source import InputSettings, Source, hash_path, recorded_source


def test_a_record_gives_the_source_back(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "v").mkdir()
    source = Source(
        str(tmp_path / "a.png"), views=str(tmp_path / "v"), settings=InputSettings(start=1.5, model_up="z")
    )
    record = json.loads(json.dumps(source.to_record()))
    assert recorded_source(record) == source
    assert source.is_recorded(record)


def test_a_changed_file_is_another_source_and_a_missing_one_is_not_judged(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"a")
    record = Source(path).to_record()
    path.write_bytes(b"b")
    assert not Source(path).is_recorded(record)
    path.unlink()
    assert Source(path).is_recorded(record)


def test_parts_that_are_not_named_do_not_count(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    record = Source(tmp_path / "a.png").to_record()
    assert Source().is_recorded(record)
    assert not Source(video=tmp_path / "a.png").is_recorded(record)
    assert not Source(prompt="a fox").is_recorded(record)
    assert Source(prompt="a fox").is_recorded({"prompt": "a fox"})


def test_a_folder_is_hashed_by_its_names_and_contents(tmp_path):
    (tmp_path / "1.png").write_bytes(b"1")
    first = hash_path(tmp_path)
    (tmp_path / ".hidden").write_bytes(b"x")
    assert hash_path(tmp_path) == first
    (tmp_path / "1.png").rename(tmp_path / "2.png")
    assert hash_path(tmp_path) != first


def test_the_record_of_an_older_run_is_read():
    assert recorded_source({"path": "a.png", "sha256": "x"}) == Source("a.png")
    with pytest.raises(InputError, match="unknown setting"):
        recorded_source({"path": "a.png", "settings": {"colour": 1}})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--elevation 5", "--elevation-deg 5"),
        ("--elevation=-5", "--elevation-deg=-5"),
        ("--azimuths 90 360", "--azimuths-deg 90 360"),
        ("--motion 40", "--sampling.motion-bucket-id 40"),
        ("--fps 6", "--video-fps=6 --sampling.fps-id=6 --fps 6"),
        ("--fps=6 --video-fps=3", "--video-fps=6 --sampling.fps-id=6 --fps=6 --video-fps=3"),
        ("--views 8", "--views 8"),
        ("--views=8", "--views=8"),
        ("--views turns/fox", "--given-views turns/fox"),
        ("--views=8views --views 4", "--given-views=8views --views 4"),
    ],
)
def test_short_spellings_are_spelled_out(written, meant):
    assert spell_out(["generate", *written.split()]) == ["generate", *meant.split()]
    assert spell_out(["sample", *written.split()]) == ["sample", *meant.split()]
    assert spell_out(["render", *written.split()]) == ["render", *written.split()]


@pytest.mark.parametrize(
    ("written", "rates"),
    [
        ("--fps 6", (6, 6, 6)),
        ("--fps=6 --video-fps=3", (6, 3, 6)),
        ("--video_fps 3 --fps 6", (6, 3, 6)),
        ("--sampling.fps-id 10 --video-fps 3 --fps 6", (6, 3, 10)),
        ("--fps 5 --fps 6", (6, 6, 6)),
        ("--video-fps 3", (8, 3, 12)),
    ],
)
def test_one_rate_sets_the_others_that_are_not_given(written, rates):
    command = parse(["generate", "a.png", "--out", "run", "--preset", "mini", *written.split()])
    assert (
        command.settings.fps,
        command.input_settings.video_fps,
        command.settings.sampling.fps_id,
    ) == rates


def test_reconstruct_takes_its_options_as_generate_spells_them():
    written = ["reconstruct", "run", "--reconstruction.lpips-weight", "0.2", "--overwrite"]
    assert spell_out(written) == ["reconstruct", "run", "--lpips-weight", "0.2", "--overwrite"]
