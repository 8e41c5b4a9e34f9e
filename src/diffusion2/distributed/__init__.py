"""Several processes, as `torchrun` starts them, that work together; the one place for torch.distributed."""

from diffusion2.distributed.group import ALONE, Message, ProcessGroup
from diffusion2.distributed.joining import current_group, joined

__all__ = ["ALONE", "Message", "ProcessGroup", "current_group", "joined"]
