import io
import json
import re
from base64 import b64decode

import pytest
import torch
from PIL import Image

from diffusion2.cameras import orbit
from diffusion2.commands.terminal import print_table
from diffusion2.errors import ExportError
from diffusion2.evaluation.measure import Networks, measure
from diffusion2.evaluation.page import CELL, MOST_PIXELS, make_page, write_page
from diffusion2.evaluation.pairing import SUSPICIOUS, MatrixPair
from diffusion2.evaluation.scores import HIGHER_IS_BETTER, Score
from diffusion2.evaluation.tables import LABELS, best, format_value, table_rows, to_record
from diffusion2.image_matrix import ImageMatrix, frame_times

JPEG = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")


def make_pair(views=2, frames=3, height=16, width=16, notes=()):
    generator = torch.Generator().manual_seed(0)
    images = torch.ones(2, views, frames, 3, height, width)
    half = (..., slice(height // 4, -height // 4), slice(width // 4, -width // 4))
    images[half] = torch.rand(images[half].shape, generator=generator)
    cameras = orbit(views, 10.0, height=height, width=width)
    result, reference = (ImageMatrix(part, cameras, frame_times(frames), 8.0) for part in images)
    return MatrixPair(result, reference, "matrix", True, notes)


def evaluate(pair):
    return measure(pair.result, pair.reference, Networks({}, {"clip": "CLIP <is> not here"}))


def strips(page):
    return [Image.open(io.BytesIO(b64decode(found))) for found in JPEG.findall(page)]


@pytest.fixture(scope="module")
def pair():
    return make_pair(notes=(f"{SUSPICIOUS}: <mirrored>", "resized"))


@pytest.fixture(scope="module")
def evaluation(pair):
    return evaluate(pair)


@pytest.fixture(scope="module")
def page(evaluation, pair):
    return make_page(evaluation, pair, "a & b")


def test_the_page_asks_no_server_for_anything(page):
    assert not re.search(r"(src|href)=|https?://|@import|url\((?!data:)", page)


def test_the_page_shows_result_reference_and_difference_of_every_view(page):
    found = strips(page)
    assert len(found) == 2 * 3
    assert {image.size for image in found} == {(3 * 16, 16)}


def test_equal_pictures_have_a_white_difference_and_others_dont(evaluation, pair, page):
    equal = MatrixPair(pair.reference, pair.reference, "matrix", True)
    white = strips(make_page(evaluation, equal, "equal"))[2]
    assert white.convert("L").getextrema()[0] == 255
    assert strips(page)[2].convert("L").getextrema()[0] < 100


def test_everything_from_outside_is_escaped(page):
    assert "<title>a &amp; b</title>" in page
    assert "CLIP &lt;is&gt; not here" in page
    assert f'<p class="warning">{SUSPICIOUS}: &lt;mirrored&gt;</p><p class="remark">resized</p>' in page
    assert "<mirrored>" not in page


def test_the_page_has_every_score_and_view(evaluation, page):
    for name, score in evaluation.overall.items():
        if score.value is not None:
            assert LABELS[name] in page
            assert format_value(score) in page
    for scores, azimuth in zip(evaluation.per_view, ("180°", "360°"), strict=True):
        assert azimuth in page
        assert format_value(scores["psnr_foreground"]) in page


@pytest.mark.parametrize(("views", "frames", "height", "width"), [(2, 2, 400, 200), (1, 330, 16, 200)])
def test_large_matrices_are_shown_smaller(views, frames, height, width):
    pair = make_pair(views, frames, height, width)
    small = evaluate(make_pair(views))
    found = strips(make_page(small, pair, "large"))
    for image in found:
        assert image.height <= CELL
        assert image.width < 65_536  # as much as JPEG holds
        assert abs(image.width / frames / image.height - width / height) < 0.2 * width / height
    assert sum(image.width * image.height for image in found) <= MOST_PIXELS


def test_a_page_that_cant_be_written_leaves_nothing(evaluation, pair, tmp_path):
    with pytest.raises(ExportError, match="the page can't be written"):
        write_page(tmp_path / "no" / "page.html", evaluation, pair, "a")
    write_page(tmp_path / "page.html", evaluation, pair, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_table_leaves_out_what_nobody_asked_for_and_keeps_what_is_missing(evaluation):
    rows = {row[0]: row for row in table_rows(evaluation)}
    assert LABELS["lpips_vgg"] not in rows
    assert rows[LABELS["clip"]][1:] == ("–", "high", "", "CLIP <is> not here")
    assert re.fullmatch(r"\d+\.\d\d dB", rows[LABELS["psnr"]][1])
    assert re.fullmatch(r"\d+\.\d\d … \d+\.\d\d", rows[LABELS["psnr"]][3])


def test_the_record_has_all_scores_with_their_meaning(evaluation):
    record = json.loads(json.dumps(to_record(evaluation), allow_nan=False))
    assert list(record["overall"]) == list(record["definitions"]) == list(HIGHER_IS_BETTER)
    assert [view["azimuth_deg"] for view in record["per_view"]] == [180, 360]
    assert record["overall"]["clip"] == {"value": None, "best": "high", "note": "CLIP <is> not here"}
    assert record["overall"]["multiview_consistency"]["reference"] > 0


def test_values_are_written_with_unit_and_a_missing_one_as_a_dash():
    assert format_value(Score("psnr", 23.456, True)) == "23.46 dB"
    assert format_value(Score("fvd", 812.34, False)) == "812.3"
    assert format_value(Score("clip", None, True, "why")) == "–"
    assert [best(Score("a", 1.0, way)) for way in (True, False, None)] == ["high", "low", "1"]


def test_a_table_that_is_not_on_a_terminal_has_no_control_characters_and_no_markup():
    stream = io.StringIO()
    long = "a reason " * 8
    print_table(("score", "value", "note"), [("[bold]x", "1.0", long)], numbers=("value",), stream=stream)
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert any(line.split() == ["score", "value", "note"] for line in lines)
    assert any(line.split()[:2] == ["[bold]x", "1.0"] and long.strip() in line for line in lines)
