"""What the first of several processes knows of a run, told to the others."""

from diffusion2.distributed import Message, ProcessGroup
from diffusion2.image_matrix import Conditions
from diffusion2.sampling.joint import State


def share_conditions(group: ProcessGroup, conditions: Conditions | None = None) -> Conditions:
    """Tell the other processes the pictures that are known, or be told them."""
    if conditions is None:
        message = group.broadcast()
        told = message.tensors
        return Conditions(told["picture"], told.get("video"), told.get("views"))
    known = {"picture": conditions.picture, "video": conditions.video, "views": conditions.views}
    tensors = {name: images for name, images in known.items() if images is not None}
    group.broadcast(Message(tensors))
    return conditions


def share_state(group: ProcessGroup, start: tuple[int, State] | None = None) -> tuple[int, State] | None:
    """Tell the other processes from where sampling goes on, or be told it."""
    step, state = start or (0, {})
    told = group.broadcast(Message(state, {"step": step}))
    return (told.note["step"], told.tensors) if told.tensors else None
