"""What the other processes of a group do for the run that the first one makes."""

from dataclasses import replace

from diffusion2.config import GenerateSettings
from diffusion2.distributed import Message, ProcessGroup
from diffusion2.priors.devices import choose_device, choose_dtype
from diffusion2.priors.loading import load_priors
from diffusion2.runs.plan import check_shared_facts, facts_to_share
from diffusion2.sampling import decode_matrix, sample_matrix, sample_references
from diffusion2.sampling.roles import assign
from diffusion2.sampling.sharing import share_conditions, share_state


def enlist(group: ProcessGroup, settings: GenerateSettings) -> None:
    """Tell the other processes what is made, with what this machine would choose."""
    if group.size == 1:
        return
    device = choose_device(settings.sampling.device, settings.priors)
    precision = str(choose_dtype(settings.sampling.precision, device)).removeprefix("torch.")
    sampling = replace(settings.sampling, device=device, precision=precision)
    group.broadcast(Message(note=facts_to_share(replace(settings, sampling=sampling))))
    group.work_on(device)


def assist(group: ProcessGroup) -> None:
    """Do this process's share of stage 1 of the run that the first process of a group makes.

    It needs neither the run's folder nor its input, both of which only the first process sees.

    Raises:
        InputError: versions, weights or arguments differ from the first process's.
        WeightsError: the weights are missing here.
        BackendUnavailable: the run's device isn't here.
        NumericalError: an estimate isn't finite.
    """
    facts = group.broadcast().note
    if not facts:
        return
    settings = check_shared_facts(facts)
    group.work_on(settings.sampling.device)
    priors = load_priors(settings, assign(settings, group.size).networks(group.rank))
    known = share_conditions(group)
    references = sample_references(priors, known, settings, group=group).as_written()
    start = share_state(group)
    latents = sample_matrix(priors, references, settings, start=start, group=group)
    decode_matrix(priors, latents, threads=settings.sampling.threads, group=group)
