import json
from pathlib import Path

import pytest

from diffusion2 import events


def test_a_stage_reports_its_begin_progress_and_end():
    seen = []
    with events.stage(seen.append, "sampling") as progress:
        progress(0, 4)
        progress(2, 4, "sigma 3")
    assert [type(e).__name__ for e in seen] == [
        "StageStarted",
        "StageProgress",
        "StageProgress",
        "StageFinished",
    ]
    assert seen[1].eta is None
    assert seen[2].eta == pytest.approx(seen[2].seconds)
    assert seen[2].detail == "sigma 3"


def test_a_resumed_stage_estimates_from_what_it_did_itself():
    seen = []
    with events.stage(seen.append, "sampling") as progress:
        progress(20, 25)
        progress(21, 25)
    assert seen[2].eta == pytest.approx(4 * seen[2].seconds)


def test_a_stage_that_raises_is_not_finished():
    seen = []
    with pytest.raises(RuntimeError), events.stage(seen.append, "sampling"):
        raise RuntimeError
    assert [type(e).__name__ for e in seen] == ["StageStarted"]


def test_every_event_has_a_json_record():
    examples = [
        events.RunStarted("a.png", Path("out"), "mini", "why"),
        events.StageStarted("a"),
        events.StageProgress("a", 1, 2, 0.5),
        events.StageFinished("a", 1.0),
        events.Warned("careful"),
        events.ResultWritten("asset", Path("out/asset")),
        events.RunFinished(3.0),
    ]
    assert {type(e) for e in examples} == set(events.Event.__args__)
    for event in examples:
        record = json.loads(json.dumps(events.to_record(event)))
        assert record["event"] == type(event).__name__
