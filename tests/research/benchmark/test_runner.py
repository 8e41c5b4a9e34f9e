"""The benchmark's work on a unit: what is kept, what is used again, what the tables make of it."""

import json
from dataclasses import replace

import pytest
import torch

from diffusion2.errors import InputError, NumericalError
from diffusion2.metrics.networks import Networks
from diffusion2.research.benchmark import bench as bench_module
from diffusion2.research.benchmark.bench import Bench
from diffusion2.research.benchmark.cells import TRUTH, Unit, read_scores
from diffusion2.research.benchmark.methods import BASELINES
from diffusion2.research.benchmark.runner import collect
from diffusion2.research.benchmark.settings import BenchmarkSettings
from diffusion2.research.benchmark.summary import rows
from diffusion2.research.benchmark.tables import creatures_text, task_text, write_report
from diffusion2.runs.matrix_files import read_matrix

from .tiny_bench import SETTINGS, disc_truth, mean_difference, three_numbers

NETWORKS = Networks({"lpips_alex": mean_difference, "i3d": three_numbers})
CREATURES = ("Koi", "Frog")


def make_settings(**changes) -> BenchmarkSettings:
    defaults = {
        "methods": ("preset", "multiview-blend"),
        "creatures": CREATURES,
        "seeds": (0, 1),
        "generate": SETTINGS,
    }
    return BenchmarkSettings(**{**defaults, **changes})


def fill(out, settings, pair, networks=NETWORKS):
    bench = Bench(out, settings, disc_truth, pair, networks)
    for unit in settings.units():
        bench.fill(unit)
    return collect(out, settings, networks.missing, "0123456789abcdef")


@pytest.fixture(scope="module")
def filled(tmp_path_factory, pair):
    out = tmp_path_factory.mktemp("bench")
    return out, fill(out, make_settings(), pair)


def no_sampling(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("sampled again")

    for name in ("sample_method", "rebuild", "complete_references", "encode_and_decode"):
        monkeypatch.setattr(bench_module, name, refuse)


def test_every_unit_has_every_method_and_the_baselines_stand_once(filled):
    out, results = filled
    assert len(results.cells) == 2 * 2 * 2 + 2 * len(BASELINES)
    for (unit, method), cell in results.cells.items():
        assert cell.failed == ""
        assert cell.overall["psnr_foreground"].value is not None
        assert cell.overall["lpips_alex"].value is not None
        assert cell.logits.shape == (2, 3)
        assert read_matrix(unit.folder(out) / method).images.shape == disc_truth().images.shape
    assert results.cells[Unit(TRUTH, "Koi"), "static"].overall["motion_ratio"].value == 0


def test_another_run_gives_the_same_scores_to_the_bit(filled, tmp_path, pair):
    _, results = filled
    settings = make_settings(creatures=("Koi",), seeds=(1,))
    again = fill(tmp_path, settings, pair)
    for key, cell in again.cells.items():
        assert cell.overall == results.cells[key].overall
        assert torch.equal(cell.logits, results.cells[key].logits)


def test_what_is_there_is_used_again(filled, monkeypatch, pair):
    out, results = filled
    no_sampling(monkeypatch)
    monkeypatch.setattr(bench_module, "measure", None)
    again = fill(out, make_settings(seeds=(1,)), pair)
    assert all(cell.overall == results.cells[key].overall for key, cell in again.cells.items())


def test_another_metric_costs_no_sampling(filled, monkeypatch, pair):
    out, results = filled
    no_sampling(monkeypatch)
    more = Networks({**NETWORKS.loaded, "lpips_vgg": mean_difference})
    settings = make_settings(seeds=(0,), networks=("lpips_alex", "lpips_vgg", "i3d"))
    again = fill(out, settings, pair, more)
    for key, cell in again.cells.items():
        assert cell.overall["lpips_vgg"].value == results.cells[key].overall["lpips_alex"].value


def test_what_was_decided_by_something_else_is_made_anew(tmp_path, pair):
    settings = make_settings(methods=("preset",), creatures=("Koi",), seeds=(0,))
    key = (Unit("completion", "Koi", 0), "preset")
    before = fill(tmp_path, settings, pair).cells[key]
    changed = replace(SETTINGS, sampling=replace(SETTINGS.sampling, multiview_weight=0.9))
    after = fill(tmp_path, replace(settings, generate=changed), pair).cells[key]
    assert after.overall != before.overall
    threads = replace(SETTINGS, sampling=replace(SETTINGS.sampling, threads=2, checkpoint_every=1))
    fill(tmp_path, settings, pair)
    made = (key[0].folder(tmp_path) / "preset" / "cell.json").stat().st_mtime_ns
    fill(tmp_path, replace(settings, generate=threads), pair)
    assert (key[0].folder(tmp_path) / "preset" / "cell.json").stat().st_mtime_ns == made


def test_an_interrupted_result_is_made_anew_and_the_others_stay(tmp_path, pair, monkeypatch):
    settings = make_settings(creatures=("Koi",), seeds=(0,))
    bench = Bench(tmp_path, settings, disc_truth, pair, NETWORKS)
    unit = settings.units()[0]

    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bench_module, "measure", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bench.fill(unit)
    (unit.folder(tmp_path) / "preset" / "cameras.json").unlink()
    (unit.folder(tmp_path) / "preset" / "cell.json").unlink()
    bench.fill(unit)
    assert read_scores(unit.folder(tmp_path) / "preset").overall["psnr"].value is not None


def test_a_result_that_left_the_finite_numbers_is_a_line_of_its_own(tmp_path, pair, monkeypatch):
    def diverge(method, *rest):
        if method.title == "multi-view only, features blended":
            raise NumericalError("sampling", 2, 0.5)
        return real(method, *rest)

    real = bench_module.sample_method
    monkeypatch.setattr(bench_module, "sample_method", diverge)
    results = fill(tmp_path, make_settings(seeds=(0,)), pair)
    table = rows(results, "completion")
    broken = next(row for row in table if row.method == "multiview-blend")
    assert broken.overall == {}
    text = task_text(results, table)
    assert "multi-view only, features blended, Koi, completion, seed 0: sampling gave values that" in text
    assert "| multi-view only, features blended |" in text


def test_a_wrong_setting_is_an_error_and_no_result(tmp_path, pair):
    wrong = make_settings(generate=replace(SETTINGS, frames=4))
    with pytest.raises(InputError, match="needs 4 pictures"):
        fill(tmp_path, wrong, pair)


def test_means_are_over_creatures_and_spreads_over_seeds(filled):
    _, results = filled
    row = next(row for row in rows(results, "completion") if row.method == "preset")

    def value(creature, seed, name="psnr"):
        return results.cells[Unit("completion", creature, seed), "preset"].overall[name].value

    means = [(value("Koi", seed) + value("Frog", seed)) / 2 for seed in (0, 1)]
    assert row.overall["psnr"].mean == pytest.approx(sum(means) / 2)
    assert row.overall["psnr"].spread == pytest.approx(abs(means[0] - means[1]) / 2**0.5)
    assert row.overall["psnr"].creatures == 2
    own = [value("Koi", seed) for seed in (0, 1)]
    assert row.creatures["Koi"]["psnr"].mean == pytest.approx(sum(own) / 2)


def test_fvd_is_that_of_all_creatures_clips_together(filled):
    from diffusion2.metrics.fvd import fvd_of_logits

    _, results = filled
    row = next(row for row in rows(results, "completion") if row.method == "preset")
    truth = torch.cat([results.truth_logits[name] for name in CREATURES])
    values = []
    for seed in (0, 1):
        units = [Unit("completion", name, seed) for name in CREATURES]
        values.append(
            fvd_of_logits(torch.cat([results.cells[u, "preset"].logits for u in units]), truth).value
        )
    assert row.overall["fvd"].mean == pytest.approx(sum(values) / 2)
    text = task_text(results, [row])
    assert "| FVD ↓ (4 clips) |" in text
    assert "4 clips against 4 true ones" in text


def test_the_table_says_what_was_measured(filled, tmp_path):
    _, results = filled
    table = rows(results, "completion")
    text = task_text(results, table)
    assert text.splitlines()[0].startswith("| method ")
    assert " ± " in text
    assert "weights 01234567; 2 steps" in text
    for schedule, said in (("linear", "s 0.9 to 0.1, guidance"), ("constant", "s 0.9, guidance")):
        sampling = replace(
            SETTINGS.sampling, multiview_weight=0.9, last_multiview_weight=0.1, weight_schedule=schedule
        )
        settings = replace(results.settings, generate=replace(SETTINGS, sampling=sampling))
        assert said in task_text(replace(results, settings=settings), table)
    assert "at 32 px; measured are 2 views × 9 frames" in text
    assert len({line.count("|") for line in text.splitlines()[:6]}) == 1
    assert not any(name in line for name in CREATURES for line in text.splitlines() if "|" in line)
    heads = [line.replace("|", " ").split() for line in creatures_text(results, table).splitlines()]
    of_creatures = [" ".join(head[:-2]) for head in heads if head[-2:] == [*CREATURES]]
    assert {"PSNR object ↑", "motion ratio → 1"} <= {*of_creatures}
    one = replace(results, settings=make_settings(seeds=(0,), creatures=CREATURES[:1]))
    assert creatures_text(one, table) == ""
    write_report(tmp_path / "benchmark.json", results, {"completion": table})
    content = json.loads((tmp_path / "benchmark.json").read_text())
    assert len(content["cells"]) == len(results.cells)
    assert content["tables"]["completion"][0]["method"] == "preset"


def test_the_best_of_a_column_is_bold_baselines_aside(filled):
    _, results = filled
    table = rows(results, "completion")
    lines = task_text(results, table).splitlines()
    heads = [head.strip() for head in lines[0].split("|")]
    cells = {line.split("|")[1].strip(): line.split("|") for line in lines[2:6]}
    sampled = [row for row in table if row.method in ("preset", "multiview-blend")]
    for head, score, sign in (("PSNR ↑", "psnr", -1), ("LPIPS Alex ↓", "lpips_alex", 1)):
        best = min(sampled, key=lambda row: sign * row.overall[score].mean)
        bold = [title for title, line in cells.items() if "**" in line[heads.index(head)]]
        assert bold == [best.title]
    ratios = {row.title: abs(row.overall["motion_ratio"].mean - 1) for row in sampled}
    nearest = min(ratios, key=ratios.__getitem__)
    assert "**" in cells[nearest][heads.index("motion ratio → 1")]


def test_a_missing_network_is_named_below_the_table(tmp_path, pair):
    networks = Networks({}, {"i3d": "its weights are not here"})
    settings = make_settings(methods=("preset",), creatures=("Koi",), seeds=(0,))
    results = fill(tmp_path, settings, pair, networks)
    text = task_text(results, rows(results, "completion"))
    assert "- i3d is missing: its weights are not here." in text
    assert "FVD" not in text.splitlines()[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ("text",)}, "tasks must be image, video or completion, not 'text'"),
        ({"creatures": ("Unicorn",)}, "no creature 'Unicorn': choose from Wolf"),
        ({"methods": ("best",)}, "no method 'best'"),
        ({"seeds": ()}, "at least one task and one seed"),
        ({"seeds": (1, 1)}, "a seed is named twice: 1 1"),
        ({"methods": ("preset", "preset")}, "a method is named twice"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make_settings(**changes)
