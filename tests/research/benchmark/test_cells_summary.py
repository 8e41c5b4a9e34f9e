"""What a benchmark keeps in its folder, and tables in pages."""

from dataclasses import replace

import pytest
import torch

from diffusion2.errors import InputError
from diffusion2.evaluation.measure import Score
from diffusion2.image_matrix import Conditions
from diffusion2.research.benchmark.cells import (
    CellScores,
    Unit,
    digest,
    keep_matrix,
    keep_references,
    keep_scores,
    matrix_digest,
    read_scores,
)
from diffusion2.research.benchmark.pages import fill_page

from .tiny_bench import disc_truth


def test_a_digest_follows_every_value():
    unit = Unit("video", "Koi", 1)
    assert digest(unit, 1.5) == digest(Unit("video", "Koi", 1), 1.5)
    others = [digest(unit, 1.25), digest(replace(unit, seed=2), 1.5), digest(1.5, unit), digest(unit)]
    assert len({digest(unit, 1.5), *others}) == 5
    truth = disc_truth()
    changed = truth.images.clone()
    changed[0, 0, 0, 0, 0] -= 1 / 255
    assert matrix_digest(replace(truth, images=changed)) != matrix_digest(truth)
    assert matrix_digest(replace(truth, fps=9.0)) != matrix_digest(truth)
    assert matrix_digest(disc_truth()) == matrix_digest(truth)


def test_a_result_is_made_once_for_a_key_and_anew_for_another(tmp_path):
    made = []

    def make():
        made.append(1)
        return disc_truth(), None

    for key, count in (("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        matrix = keep_matrix(tmp_path / "cell", key, make, {"method": "x"})
        assert len(made) == count
        assert torch.allclose(matrix.images, disc_truth().images, atol=0.5 / 255 + 1e-6)


def test_scores_of_a_result_that_is_made_anew_are_forgotten(tmp_path):
    keep_matrix(tmp_path / "cell", "a", lambda: (disc_truth(), None), {})
    keep_scores(tmp_path / "cell", "a", lambda: CellScores({}, []))
    keep_matrix(tmp_path / "cell", "b", lambda: (disc_truth(), None), {})
    assert not (tmp_path / "cell" / "scores.json").exists()


def test_scores_come_back_as_they_were(tmp_path):
    scores = CellScores(
        {"psnr": Score("psnr", 20.123456789, True), "clip": Score("clip", None, True, "not here")},
        [{"psnr": Score("psnr", 19.5, True)}, {"psnr": Score("psnr", None, True, "empty")}],
        torch.randn(2, 400),
    )
    keep_scores(tmp_path, "key", lambda: scores)
    got = read_scores(tmp_path)
    assert (got.overall, got.per_view, got.failed) == (scores.overall, scores.per_view, "")
    assert torch.equal(got.logits, scores.logits)


def test_a_damaged_file_counts_as_missing(tmp_path):
    keep_scores(tmp_path, "key", lambda: CellScores({}, [], failed="first"))
    (tmp_path / "scores.json").write_text('{"key": "key"')
    keep_scores(tmp_path, "key", lambda: CellScores({}, [], failed="second"))
    assert read_scores(tmp_path).failed == "second"


def test_references_come_back_as_their_files_hold_them(tmp_path):
    truth = disc_truth()
    given = Conditions(truth.images[-1, 0], truth.images[-1], truth.images[:, 0])
    got = keep_references(tmp_path / "references", "key", lambda: given)
    assert torch.equal(got.picture, given.picture)
    assert torch.equal(got.video, given.video)
    assert torch.equal(got.views, given.views)


PAGE = "# Page\n\nbefore\n\n<!-- begin video -->\nold\n<!-- end video -->\n\nafter\n"


def test_a_page_is_filled_between_its_markers_again_and_again(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for text in ("| new |", "| newer |", "| newer |"):
        fill_page(page, {"video": text})
        expected = f"before\n\n<!-- begin video -->\n\n{text}\n\n<!-- end video -->\n\nafter\n"
        assert page.read_text() == f"# Page\n\n{expected}"


@pytest.mark.parametrize(
    "broken", ["", PAGE.replace("begin", "start"), PAGE.replace("end", "stop"), PAGE + PAGE]
)
def test_a_page_without_its_markers_is_refused_and_stays(broken, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(broken)
    with pytest.raises(InputError, match="needs one line <!-- begin video -->"):
        fill_page(page, {"video": "new"})
    assert page.read_text() == broken
    with pytest.raises(InputError, match="there is no page"):
        fill_page(tmp_path / "missing.md", {"video": "new"})
