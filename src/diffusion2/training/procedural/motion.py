"""Motion cycles: clips in which bones swing about their rest, and which end as they begin."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from diffusion2.meshes.animation import Channel, Clip
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import MIRROR, UP, cross

PITCH, YAW, ROLL = np.eye(3)  # about x: forward and down; about y: to the left; about z: raises what is left
KEYS_PER_CYCLE = 8


@dataclass
class Cycle:
    """A clip in the making: waves that turn, move or stretch bones.

    Attributes:
        seconds: its length.
    """

    seconds: float
    _swings: list[tuple[int, np.ndarray, float, float, int, float]] = field(default_factory=list)
    _lifts: list[tuple[float, float, int, bool]] = field(default_factory=list)
    _stretch: tuple[float, float] | None = None

    def swing(
        self,
        bone: int,
        axis: np.ndarray,
        amplitude: float,
        phase: float = 0.0,
        cycles: int = 1,
        offset: float = 0.0,
        side: int = 1,
    ) -> None:
        """Turn a bone about an axis by `offset + amplitude sin(2 pi (cycles t + phase))` radians.

        On the right side (-1), turns about y and z are mirrored.
        """
        axis = axis if side >= 0 else -axis * MIRROR
        self._swings.append((bone, axis, amplitude, phase, cycles, offset))

    def lift(self, amplitude: float, phase: float = 0.0, cycles: int = 1, hop: bool = False) -> None:
        """Move the root up and down by a sine, or up only, as hopping does."""
        self._lifts.append((amplitude, phase, cycles, hop))

    def stretch(self, amplitude: float, phase: float = 0.0) -> None:
        """Stretch the whole creature upwards and narrow it, keeping its volume."""
        self._stretch = amplitude, phase

    def clip(self, name: str, rig: Rig) -> Clip:
        """Sample the waves at key frames."""
        most = max([1, *(swing[4] for swing in self._swings), *(lift[2] for lift in self._lifts)])
        turns = np.linspace(0.0, 1.0, KEYS_PER_CYCLE * most + 1)
        times = self.seconds * turns
        turns[-1] = 0.0  # the last key frame is the first
        rotations = self._rotations(turns).items()
        channels = [Channel(bone, "rotation", times, values, "LINEAR") for bone, values in rotations]
        height = np.zeros(len(turns))
        for amplitude, phase, cycles, hop in self._lifts:
            angle = 2 * np.pi * (cycles * turns + phase)
            height += amplitude * (np.abs(np.sin(angle / 2)) if hop else np.sin(angle))
        places = rig.positions[0] + np.outer(height, UP)
        channels.append(Channel(0, "translation", times, places, "LINEAR"))
        if self._stretch is not None:
            amplitude, phase = self._stretch
            tall = 1 + amplitude * np.sin(2 * np.pi * (turns + phase))
            channels.append(
                Channel(0, "scale", times, np.stack([tall**-0.5, tall, tall**-0.5], -1), "LINEAR")
            )
        return Clip(name, channels)

    def _rotations(self, turns: np.ndarray) -> dict[int, np.ndarray]:
        columns = zip(*self._swings, strict=True)
        bones, axes, amplitudes, phases, cycles, offsets = (np.array(column) for column in columns)
        waves = np.sin(2 * np.pi * (cycles[:, None] * turns + phases[:, None]))
        angles = (offsets[:, None] + amplitudes[:, None] * waves) / 2
        vectors = np.sin(angles)[..., None] * axes[:, None]
        quaternions = np.concatenate([vectors, np.cos(angles)[..., None]], -1)
        values: dict[int, np.ndarray] = {}
        for bone, quaternion in zip(bones.tolist(), quaternions, strict=True):
            values[bone] = quaternion if bone not in values else _product(values[bone], quaternion)
        return values


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply quaternions xyzw (K, 4): first b, then a."""
    vector = a[:, 3:] * b[:, :3] + b[:, 3:] * a[:, :3] + cross(a[:, :3], b[:, :3])
    scalar = a[:, 3] * b[:, 3] - (a[:, :3] * b[:, :3]).sum(1)
    return np.concatenate([vector, scalar[:, None]], -1)


Move = Callable[[Cycle, Rig], None]


def make_clips(rig: Rig) -> dict[str, Clip]:
    """Make two to four loops that suit a creature: it moves on, and it does something where it is."""
    kinds = {limb.kind for limb in rig.limbs}
    ways: dict[str, Move] = {"walk": _walk, "run": _run} if "leg" in kinds else {}
    ways |= {"fly": _fly} if "wing" in kinds else {}
    ways |= {"swim": _swim} if kinds & {"wave", "undulation", "tentacle"} else {}
    ways |= {"hop": _hop}
    acts: dict[str, Move] = {"idle": _idle, "look": _look}
    acts |= {"wave": _wave, "attack": _attack} if "arm" in kinds else {}
    clips = {}
    for moves, shortest, longest in ((ways, 0.6, 1.6), (acts, 1.2, 2.6)):
        names = [next(iter(moves)), *(list(moves)[1 + k] for k in rig.rng.permutation(len(moves) - 1))]
        if rig.chance(0.2):
            names = names[1:] or names
        for name in names[: 1 + int(rig.chance(0.7))]:
            cycle = Cycle(rig.between(shortest, longest))
            moves[name](cycle, rig)
            clips[name] = cycle.clip(name, rig)
    return clips


def _pose(cycle: Cycle, rig: Rig, amount: float) -> None:
    """Bring the limbs out of their symmetric rest, and let loose things swing a little."""
    rng = rig.rng
    lowered = rig.chance(0.85)
    for limb in rig.limbs:
        if limb.kind == "arm" and lowered:
            cycle.swing(limb.bones[0], ROLL, 0.0, offset=rng.normal(0.25, 0.15) - limb.spread, side=limb.side)
        for bone in limb.bones:
            match limb.kind:
                case "leg":
                    cycle.swing(bone, PITCH, 0.0, offset=rng.normal(0, 0.12 * amount))
                case "arm":
                    cycle.swing(bone, PITCH, 0.06, rng.random(), offset=rng.normal(-0.15, 0.4 * amount))
                    cycle.swing(bone, ROLL, 0.0, offset=rng.normal(0, 0.2 * amount))
                case "ear":
                    cycle.swing(bone, ROLL, 0.08, rng.random(), offset=rng.normal(0, 0.12 * amount))
                case "cape":
                    cycle.swing(bone, PITCH, 0.1, rng.random(), offset=rng.uniform(0, 0.2))
                case "tentacle":
                    cycle.swing(bone, PITCH, 0.15, rng.random(), offset=rng.normal(0, 0.2 * amount))
                    cycle.swing(bone, ROLL, 0.15, rng.random(), offset=rng.normal(0, 0.2 * amount))
    for limb in rig.of_kind("tail", "trunk"):
        turn, raised = rng.normal(0, 0.22 * amount, 2)
        sway, start, cycles = rng.uniform(0.05, 0.25), rng.random(), int(rng.integers(1, 3))
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, YAW, sway, start - 0.12 * k, cycles, turn)
            cycle.swing(bone, PITCH, 0.0, offset=0.5 * raised)
    for limb in rig.of_kind("wave"):
        turn, curl, start = (
            rng.normal(0, 0.12 * amount),
            0.3 * len(limb.bones) ** 0.5 - 0.3,
            rng.uniform(0, 6),
        )
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, YAW, 0.04, -0.1 * k, offset=turn + curl * np.sin(1.6 * k + start))
    for limb in rig.of_kind("undulation"):
        for bone in limb.bones:
            cycle.swing(bone, PITCH, 0.05, rng.random(), offset=rng.normal(0, 0.1 * amount))
            cycle.swing(bone, YAW, 0.0, offset=rng.normal(0, 0.1 * amount))


def _turn_head(cycle: Cycle, rig: Rig, amount: float) -> None:
    """Turn and nod the head, or hold it turned; open and close the mouth."""
    rng = rig.rng
    turn, nod = rng.normal(0, 0.3 * amount), rng.normal(0, 0.12 * amount)
    for limb in rig.of_kind("neck"):
        for bone in limb.bones:
            cycle.swing(bone, YAW, rng.uniform(0, 0.08), rng.random(), offset=turn / len(limb.bones))
            cycle.swing(bone, PITCH, rng.uniform(0.02, 0.08), rng.random(), offset=nod / len(limb.bones))
    for limb in rig.of_kind("jaw"):
        wide = rng.uniform(0.02, 0.25)
        cycle.swing(limb.bones[0], PITCH, wide, rng.random(), offset=wide)


def _gait(cycle: Cycle, rig: Rig, reach: float, bend: float, phase: float | None = None) -> None:
    """Step with all legs, in their own phases or together, and swing the arms."""
    legs = rig.of_kind("leg")
    for limb in legs:
        start = limb.phase if phase is None else phase
        if len(legs) > 4:
            cycle.swing(limb.bones[0], YAW, reach, start, side=limb.side)
            cycle.swing(limb.bones[0], ROLL, 0.3 * reach, start + 0.25, offset=0.2 * reach, side=limb.side)
            continue
        cycle.swing(limb.bones[0], PITCH, reach, start)
        if len(limb.bones) > 1:
            cycle.swing(limb.bones[1], PITCH, bend, start - 0.25, offset=0.8 * bend)
    for limb in rig.of_kind("arm"):
        cycle.swing(limb.bones[0], PITCH, 0.8 * reach, (limb.phase if phase is None else phase) + 0.5)


def _walk(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.5)
    _turn_head(cycle, rig, 0.5)
    _gait(cycle, rig, rig.between(0.25, 0.55), rig.between(0.2, 0.6))
    cycle.lift(0.012 * rig.size, rig.between(0, 1), 2)
    cycle.swing(0, ROLL, rig.between(0, 0.07), 0.25)
    cycle.swing(0, YAW, rig.between(0, 0.08))


def _run(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.4)
    _turn_head(cycle, rig, 0.3)
    _gait(cycle, rig, rig.between(0.5, 0.8), rig.between(0.5, 0.9))
    cycle.lift(0.08 * rig.size, rig.between(0, 1), 2, hop=True)
    cycle.swing(0, PITCH, rig.between(0.02, 0.12), rig.between(0, 1), offset=rig.between(-0.05, 0.2))


def _fly(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.6)
    _turn_head(cycle, rig, 0.5)
    beat, cycles = rig.between(0.4, 0.9), int(rig.rng.integers(1, 4))
    for limb in rig.of_kind("wing"):
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, ROLL, beat * (1 - 0.3 * k), limb.phase - 0.15 * k, cycles, 0.15, limb.side)
    for limb in rig.of_kind("leg"):
        cycle.swing(limb.bones[0], PITCH, 0.05, rig.between(0, 1), offset=rig.between(0.2, 0.8))
    cycle.lift(0.05 * rig.size, 0.5, cycles)
    cycle.swing(0, PITCH, 0.05, rig.between(0, 1), offset=rig.between(-0.3, 0.3))


def _swim(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.6)
    _turn_head(cycle, rig, 0.4)
    wide, lag = rig.between(0.12, 0.32), rig.between(0.1, 0.22)
    for limb in rig.of_kind("wave", "undulation"):
        axis = YAW if limb.kind == "wave" else PITCH
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, axis, wide * min(0.5 + 0.5 * k, 1.0), -lag * k)
    for limb in rig.of_kind("fin"):
        swing, offset = rig.between(0.1, 0.4), rig.rng.normal(0, 0.15)
        cycle.swing(
            limb.bones[0], ROLL if limb.side else YAW, swing, limb.phase, offset=offset, side=limb.side
        )
    for limb in rig.of_kind("tentacle"):
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, PITCH, 0.3, limb.phase - 0.15 * k)
    cycle.lift(0.02 * rig.size, rig.between(0, 1))
    cycle.swing(0, ROLL, rig.between(0, 0.12), rig.between(0, 1))


def _hop(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.6)
    _turn_head(cycle, rig, 0.4)
    _gait(cycle, rig, rig.between(0.2, 0.6), rig.between(0.3, 0.8), phase=0.0)
    cycle.lift(rig.between(0.08, 0.25) * rig.size, hop=True)
    cycle.swing(0, PITCH, rig.between(0, 0.1), 0.25)
    if not rig.of_kind("leg") or rig.chance(0.2):
        cycle.stretch(rig.between(0.06, 0.2))


def _idle(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 1.0)
    _turn_head(cycle, rig, 1.0)
    cycle.lift(0.008 * rig.size, rig.between(0, 1))
    cycle.swing(0, ROLL, 0.015, rig.between(0, 1), offset=rig.rng.normal(0, 0.03))
    folded, raised = rig.between(0.7, 1.3) * rig.chance(0.5), rig.between(-0.3, 0.6)
    for limb in rig.of_kind("wing", "fin"):
        cycle.swing(limb.bones[0], ROLL, 0.06, limb.phase, offset=raised, side=limb.side)
        if limb.kind == "wing" and len(limb.bones) > 1:
            cycle.swing(limb.bones[0], YAW, 0.0, offset=folded, side=limb.side)


def _look(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 1.0)
    far, nod = rig.between(0.3, 0.7), rig.rng.normal(0, 0.1)
    for limb in rig.of_kind("neck"):
        for bone in limb.bones:
            cycle.swing(bone, YAW, far / len(limb.bones))
            cycle.swing(bone, PITCH, 0.08, 0.1, 2, nod / len(limb.bones))
    cycle.swing(0, YAW, rig.between(0.0, 0.2), -0.1)


def _an_arm(rig: Rig) -> Limb:
    arms = rig.of_kind("arm")
    return arms[int(rig.rng.integers(len(arms)))]


def _wave(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.8)
    _turn_head(cycle, rig, 0.8)
    arm = _an_arm(rig)
    cycle.swing(arm.bones[0], ROLL, 0.1, offset=rig.between(1.6, 2.5), side=arm.side)
    cycle.swing(arm.bones[-1], ROLL, rig.between(0.25, 0.5), 0.0, int(rig.rng.integers(2, 4)), side=arm.side)


def _attack(cycle: Cycle, rig: Rig) -> None:
    _pose(cycle, rig, 0.8)
    _turn_head(cycle, rig, 0.4)
    for arm in rig.of_kind("arm")[:2] if rig.chance(0.4) else [_an_arm(rig)]:
        cycle.swing(arm.bones[0], PITCH, rig.between(0.4, 0.9), offset=rig.between(-1.6, -0.6))
    for limb in rig.of_kind("jaw"):
        cycle.swing(limb.bones[0], PITCH, 0.2, offset=0.2)
    cycle.swing(0, YAW, rig.between(0.1, 0.3), 0.1)
    cycle.swing(0, PITCH, rig.between(0.0, 0.12), offset=0.05)
