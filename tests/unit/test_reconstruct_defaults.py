"""Where `reconstruct` takes its defaults from."""

import json
from dataclasses import asdict, replace

from diffusion2.cli import parse
from diffusion2.config import PRESETS, ReconstructionSettings


def test_a_run_is_reconstructed_with_the_settings_it_began_with(tmp_path):
    began = replace(PRESETS["mini"], seed=7)
    (tmp_path / "config.json").write_text(json.dumps({"settings": asdict(began)}))
    command = parse(["reconstruct", str(tmp_path)])
    assert command.reconstruction == began.reconstruction != ReconstructionSettings()
    assert command.seed == 7
    assert parse(["reconstruct", str(tmp_path), "--seed", "3"]).seed == 3


def test_a_foreign_folder_is_reconstructed_with_the_plain_defaults(tmp_path):
    assert parse(["reconstruct", str(tmp_path)]).reconstruction == ReconstructionSettings()
