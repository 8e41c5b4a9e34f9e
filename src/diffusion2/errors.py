"""The errors a caller can meet.

    Diffusion2Error
    ├── InputError           a wrong call or an input that can't be used        (exit 2)
    ├── WeightsError         weights not found, or not those of this network    (exit 2)
    ├── BackendUnavailable   a device, library or extra is missing              (exit 2)
    ├── AssetFormatError     a file is not an asset or run this version reads   (exit 2)
    ├── ExportError          a result could not be written                      (exit 2)
    ├── NumericalError       a computation left the finite numbers              (exit 1)
    ├── OutOfMemory          a device's memory is too small for the least work  (exit 1)
    ├── ProcessError         one of the processes of a run ended or hangs       (exit 1)
    └── RunsFailed           some runs of many have failed                      (exit 1)

Every message is one line that names the thing, what was expected, what came, and what to do next.
"""

LONGEST_REASON = 300


class Diffusion2Error(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 2


class InputError(Diffusion2Error):
    """A wrong call, or an input file that can't be used."""


class WeightsError(Diffusion2Error):
    """Weights were not found, or do not belong to the network they were given for."""


class BackendUnavailable(Diffusion2Error):
    """A device, library or optional extra that this call needs is missing."""


class AssetFormatError(Diffusion2Error):
    """A file is not an asset or a run folder that this version can read."""


class ExportError(Diffusion2Error):
    """A result could not be written."""


class NumericalError(Diffusion2Error):
    """A computation left the finite numbers.

    Args:
        stage: what was being computed, e.g. "sampling".
        step: the step at which it happened, from 0.
        sigma: the noise level at that step, where there is one.
    """

    exit_code = 1

    def __init__(self, stage: str, step: int, sigma: float | None = None, hint: str = "") -> None:
        at = f"step {step}" + (f", sigma {sigma:.4g}" if sigma is not None else "")
        super().__init__(f"{stage} gave values that are not finite at {at}" + (f": {hint}" if hint else ""))
        self.stage, self.step, self.sigma = stage, step, sigma


class OutOfMemory(Diffusion2Error):
    """A device's memory is too small for the least piece of work."""

    exit_code = 1


class ProcessError(Diffusion2Error):
    """One of the processes that make a run together failed, ended or doesn't answer."""

    exit_code = 1


class RunsFailed(Diffusion2Error):
    """Some runs of many have failed; the others are complete."""

    exit_code = 1


def in_one_line(error: BaseException) -> str:
    """Say why another library or the system failed, as the end of a message of ours.

    Returns:
        The system's words where it is the system's error, without the path that our message has already;
        otherwise the first line that says something, cut where it is very long; at least the error's type.
    """
    lines = str(getattr(error, "strerror", None) or error).splitlines()
    return next((line.strip() for line in lines if line.strip()), type(error).__name__)[:LONGEST_REASON]
