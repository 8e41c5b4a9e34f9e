"""From two folders to scores: read, pair, measure, write."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from diffusion2.atomic_files import check_writable, write_json
from diffusion2.errors import ExportError, in_one_line
from diffusion2.evaluation.measure import Evaluation, measure
from diffusion2.evaluation.page import write_page
from diffusion2.evaluation.pairing import PairingSettings, read_pair
from diffusion2.evaluation.tables import to_record
from diffusion2.events import Report, ResultWritten, Warned, ignore, stage
from diffusion2.metrics.networks import load_networks
from diffusion2.runs.lock import locked

JSON_NAME, PAGE_NAME = "evaluation.json", "evaluation.html"


def evaluate(
    result: Path,
    reference: Path,
    settings: PairingSettings | None = None,
    *,
    out: Path | None = None,
    networks: Collection[str] | None = None,
    clip: str | None = None,
    report: Report = ignore,
) -> Evaluation:
    """Measure a result against a reference and write `evaluation.json` and `evaluation.html`.

    Args:
        result: a run's folder, an `asset.safetensors`, or a folder of views.
        reference: a folder in the layout of a run, a capture (docs/inputs.md), or a folder of views.
        settings: how they are brought together; None for the defaults.
        out: the folder of the two files, made if need be; None for the result's.
        networks: which networks are used, of `NETWORKS`; None for all.
        clip: folder or hub name of CLIP.
        report: takes the events of the work.

    Raises:
        InputError: the two can't be compared, or a run is at work in the folder of the results.
        AssetFormatError: a file is missing or can't be read.
        ExportError: the results can't be written. That is found before the work.
    """
    settings = settings or PairingSettings()
    pair = read_pair(result, reference, settings, report)
    for note in pair.notes:
        report(Warned(note))
    folder = out or (result if result.is_dir() else result.parent)
    _check_writable(folder)
    with locked(folder, report):
        with stage(report, "networks"):
            loaded = load_networks(networks, clip=clip)
        evaluation = measure(
            pair.result, pair.reference, loaded, cameras_known=pair.cameras_known, report=report
        )
        record: dict[str, Any] = {
            "result": str(result),
            "reference": str(reference),
            "compared": pair.source,
            "protocol": settings.protocol,
            "notes": list(pair.notes),
            **to_record(evaluation),
        }
        title = f"{_name(result)} against {_name(reference)}"
        write_page(folder / PAGE_NAME, evaluation, pair, title)
        report(ResultWritten("page", folder / PAGE_NAME))
        try:
            write_json(folder / JSON_NAME, record)
        except OSError as error:
            raise ExportError(f"can't write {folder / JSON_NAME}: {in_one_line(error)}") from error
        report(ResultWritten("scores", folder / JSON_NAME))
    return evaluation


def _check_writable(folder: Path) -> None:
    """Find out before minutes of work whether the results can be written."""
    try:
        check_writable(folder)
    except OSError as error:
        raise ExportError(f"can't write to {folder}: {in_one_line(error)}; choose another --out") from error


def _name(path: Path) -> str:
    return path.resolve().name
