"""The command line: settings from arguments, events on the terminal, errors as one line.

Every option of a run is a field of `config/settings.py`. This module imports nothing heavy before a command
runs, so that `--help` answers at once.
"""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

from diffusion2.commands import command_types
from diffusion2.commands.run import peek, spell_out, together
from diffusion2.config import PRESETS, GenerateSettings, InputSettings
from diffusion2.errors import Diffusion2Error, InputError

INTERRUPTED = 130

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}
"""How OpenMP's threads wait, as torch reads it when it is imported: they sleep after a few microseconds.
Spinning ones would take the cores from the rasteriser's threads and from other programs. But small operations
follow each other closely, and waking a thread for each made stage 2 a quarter slower."""

DESCRIPTION = """Turn a picture, a video, words or a 3D model into a moving 3D asset.
Any command takes --debug, which shows tracebacks.

Exit status: 0; 2 for a wrong call or input; 1 for a failure; 130 when interrupted (--resume continues)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status.

    Args:
        argv: the arguments after the command's name; None for those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may have any bytes
    for library in ("DIFFUSERS", "TRANSFORMERS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    os.environ.update(WAITING | os.environ)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what is lost with a process is said by us
    try:
        with warnings.catch_warnings(), _termination_interrupts():
            if not debug and not sys.warnoptions:
                # libraries' remarks to their programmers are of no use to ours
                warnings.filterwarnings("ignore", module=r"(?!diffusion2)")
            with together(arguments) as has_command:
                command = parse(arguments) if has_command else None
                if command is not None:
                    command.run()
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        _say("interrupted: the same command with --resume continues a run")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Keep Python from flushing into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, Diffusion2Error):
            _say(f"error: {error}")
            return error.exit_code
        what = "out of memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        _say(f"error: {what} (--debug shows where)")
        return 1


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: worker processes and half-made files go, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parse(arguments: list[str]) -> Any:
    """Parse arguments to a command object with a method `run`; None where help was shown.

    Raises:
        InputError: the call is wrong; the message is one line.
    """
    import tyro

    settings, inputs = _defaults(arguments)
    captured = StringIO()
    try:
        with redirect_stderr(captured):
            return tyro.cli(
                command_types(settings, inputs),
                prog="diffusion2",
                description=DESCRIPTION,
                args=spell_out(arguments),
                config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stopped:
        if stopped.code in (0, None):
            return None
        raise InputError(f"{one_line(captured.getvalue())}; see diffusion2 --help") from None


def one_line(box: str) -> str:
    """Take the message, and options that may have been meant, out of tyro's framed text on a wrong call."""
    lines = [line.strip("│╭╰╮╯─ ") for line in box.splitlines()]
    suggestions = lines[lines.index("Perhaps you meant:") :] if "Perhaps you meant:" in lines else []
    meant = dict.fromkeys(line.split()[0] for line in suggestions if line.startswith("--"))
    message = []
    for line, framed in zip(lines[1:], box.splitlines()[1:], strict=True):
        if not line and "──" in framed:
            break
        message.append(line)
    text = " ".join(" ".join(message).split()).rstrip(".") or "this call is not understood"
    return text + (f", perhaps you meant {' or '.join(meant)}" if meant else "")


def _defaults(arguments: list[str]) -> tuple[GenerateSettings, InputSettings]:
    """Find the defaults of a run's options: those of the run in the folder, or of the preset."""
    from diffusion2.weights.catalogue import choose_preset

    options = peek(arguments)
    reconstructs = arguments[:1] == ["reconstruct"]
    folders = arguments[1:] if reconstructs else [options.out] if options.resume and options.out else []
    for folder in folders:
        if (Path(folder) / "config.json").is_file():
            from diffusion2.runs.run_folder import RunFolder  # late: it waits for torch

            run = RunFolder(Path(folder))
            return run.read_settings(), InputSettings() if reconstructs else run.read_source().settings
    if reconstructs or options.preset == "none":
        return GenerateSettings(), InputSettings()
    name = options.preset if options.preset in PRESETS else choose_preset(options.weights)[0]
    return PRESETS[name], InputSettings()


def _say(line: str) -> None:
    """Write one line to stderr."""
    print(" ".join(line.split()), file=sys.stderr, flush=True)
