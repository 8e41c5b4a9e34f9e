"""The flow: conditions, priors, references, matrix, asset, results.

What passes from stage to stage is what lies in the run folder (pictures of 8 bits), so a resumed run,
or a stage that is run alone, continues identically.
"""

from diffusion2.pipeline.flow import generate, sample
from diffusion2.pipeline.processes import assist
from diffusion2.pipeline.second_stage import reconstruct
from diffusion2.pipeline.static import preview

__all__ = ["assist", "generate", "preview", "reconstruct", "sample"]
