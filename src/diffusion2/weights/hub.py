"""Fetching weights from the hub."""

import json
import os
from pathlib import Path

from diffusion2.atomic_files import write_json
from diffusion2.errors import WeightsError, in_one_line
from diffusion2.weights.catalogue import HASHES_NAME, SVD, HubModel, find_full_size, missing_parts


def fetch(model: HubModel, to: Path | None = None) -> Path:
    """Fetch a full-size model; what an interrupted call has fetched is kept and not fetched again.

    Args:
        model: which.
        to: a folder of weights to put it in; None: the hub's own cache, which other programs share.

    Returns:
        Where it is now: a folder of diffusers, or the released file.

    Raises:
        WeightsError: the licence has not been accepted, there is no way to the hub, or no room on the disk.
    """
    target = None if to is None else (to / model.local[0] if model is SVD else to)
    try:
        folder = _download(model, target)
    except Exception as error:  # its libraries' errors come from many places, and all mean that it isn't here
        raise _explained(model, error) from error
    path = (find_full_size(model, to) if to else find_full_size(model)) or folder
    missing = missing_parts(model, path)
    if missing:
        raise WeightsError(f"the hub's {model.source} has no {missing[0]}: {path} is not {model.title}")
    return path


def _download(model: HubModel, target: Path | None) -> Path:
    """Get the files into the hub's cache, or into a folder, with a note of their hashes for `noted_hash`."""
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    if target is None:
        return Path(hub.snapshot_download(model.source, allow_patterns=list(model.files)))
    there = hub.model_info(model.source, files_metadata=True)
    hub.snapshot_download(
        model.source, revision=there.sha, allow_patterns=list(model.files), local_dir=target
    )
    large = {file.rfilename: file.lfs.sha256 for file in there.siblings or () if file.lfs}
    note = target / HASHES_NAME
    known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    write_json(note, known | {name: sha256 for name, sha256 in large.items() if name in model.files})
    return target


def _explained(model: HubModel, error: Exception) -> WeightsError:
    """Say in one line what is the matter and what to do."""
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return WeightsError(
            f"the hub gives {model.title} only to those who accepted its licence: accept it on {model.page}, "
            "run hf auth login, or put a token of yours into the environment as HF_TOKEN, and fetch again"
        )
    if isinstance(error, RepositoryNotFoundError):
        return WeightsError(f"the hub has no {model.source}, or not for this token: look at {model.page}")
    offline = (
        isinstance(error, LocalEntryNotFoundError | ConnectionError) or "Connect" in type(error).__name__
    )
    if offline:
        return WeightsError(
            f"{model.title} can't be fetched, there is no way to the hub: go online, unset HF_HUB_OFFLINE, "
            f"or bring the files of {model.page} here by other means, see docs/weights.md"
        )
    return WeightsError(
        f"{model.title} could not be fetched, run the same again to go on: {in_one_line(error)}"
    )
