"""Motion cycles: clips in which bones swing about their rest, and which end as they begin."""

from dataclasses import dataclass, field

import numpy as np

from diffusion2.meshes.animation import Channel, Clip
from diffusion2.training.procedural.rig import Limb, Rig

PITCH, YAW, ROLL = np.eye(3)  # about x: down to the front; about y: to the left; about z: to the right
KEYS_PER_CYCLE = 8


@dataclass
class Cycle:
    """A clip in the making: sums of waves for each bone.

    Attributes:
        seconds: its length.
    """

    seconds: float
    _swings: list[tuple[int, np.ndarray, float, float, float, float]] = field(default_factory=list)
    _shifts: list[tuple[int, np.ndarray, float, float, float]] = field(default_factory=list)
    _scales: list[tuple[int, float, float, float]] = field(default_factory=list)

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
        axis = axis if side >= 0 else axis * np.array([1.0, -1.0, -1.0])
        self._swings.append((bone, axis, amplitude, phase, cycles, offset))

    def shift(
        self, bone: int, direction: np.ndarray, amplitude: float, phase: float = 0.0, cycles: int = 1
    ) -> None:
        """Move a bone by `amplitude sin(...)`; by |sin| of half the turns where it is negative."""
        self._shifts.append((bone, direction, amplitude, phase, cycles))

    def scale(self, bone: int, amplitude: float, phase: float = 0.0, cycles: int = 1) -> None:
        """Stretch a bone upwards and narrow it, keeping its volume."""
        self._scales.append((bone, amplitude, phase, cycles))

    def clip(self, name: str, rig: Rig) -> Clip:
        """Sample the waves at key frames."""
        most = max(
            [s[4] for s in self._swings] + [s[4] for s in self._shifts] + [s[3] for s in self._scales] + [1]
        )
        count = KEYS_PER_CYCLE * int(most) + 1
        turns = np.linspace(0.0, 1.0, count)
        turns[-1] = 0.0  # the last key frame is the first
        times = np.linspace(0.0, self.seconds, count)
        channels = [
            Channel(bone, "rotation", times, values, "LINEAR")
            for bone, values in self._rotations(turns).items()
        ]
        places: dict[int, np.ndarray] = {}
        for bone, along, amplitude, phase, cycles in self._shifts:
            wave = np.sin(2 * np.pi * (cycles * turns + phase))
            wave = np.abs(np.sin(np.pi * (cycles * turns + phase))) if amplitude < 0 else wave
            parent = rig.parents[bone]
            rest = rig.positions[bone] - (rig.positions[parent] if parent >= 0 else 0.0)
            places[bone] = places.get(bone, rest) + abs(amplitude) * wave[:, None] * along
        channels += [Channel(bone, "translation", times, values, "LINEAR") for bone, values in places.items()]
        for bone, amplitude, phase, cycles in self._scales:
            stretch = 1 + amplitude * np.sin(2 * np.pi * (cycles * turns + phase))
            values = np.stack([stretch**-0.5, stretch, stretch**-0.5], -1)
            channels.append(Channel(bone, "scale", times, values, "LINEAR"))
        return Clip(name, channels)

    def _rotations(self, turns: np.ndarray) -> dict[int, np.ndarray]:
        if not self._swings:
            return {}
        bones, axes, amplitudes, phases, cycles, offsets = (
            np.array(x) for x in zip(*self._swings, strict=True)
        )
        waves = np.sin(2 * np.pi * (cycles[:, None] * turns + phases[:, None]))
        angles = (offsets[:, None] + amplitudes[:, None] * waves) / 2
        quaternions = np.concatenate(
            [np.sin(angles)[..., None] * axes[:, None], np.cos(angles)[..., None]], -1
        )
        values: dict[int, np.ndarray] = {}
        for bone, quaternion in zip(bones.tolist(), quaternions, strict=True):
            values[bone] = quaternion if bone not in values else _product(values[bone], quaternion)
        return values


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply quaternions xyzw (K, 4): first b, then a."""
    vector = a[:, 3:] * b[:, :3] + b[:, 3:] * a[:, :3] + np.cross(a[:, :3], b[:, :3])
    scalar = a[:, 3] * b[:, 3] - np.einsum("ki,ki->k", a[:, :3], b[:, :3])
    return np.concatenate([vector, scalar[:, None]], -1)


def make_clips(rig: Rig, rng: np.random.Generator, size: float) -> dict[str, Clip]:
    """Make two to four loops that suit a creature: it moves on, and it does something where it is.

    Args:
        rig: the creature; its limbs say what it can do.
        rng: chooses.
        size: its height or length, for what it is lifted by.
    """
    kinds = {limb.kind for limb in rig.limbs}
    ways = [("walk", _walk)] if "leg" in kinds else []
    ways += [("run", _run)] if "leg" in kinds else []
    ways += [("fly", _fly)] if "wing" in kinds else []
    ways += [("swim", _swim)] if kinds & {"wave", "undulation"} else []
    ways += [("hop", _hop)]
    acts = [("idle", _idle), ("look", _look)]
    acts += [("wave", _wave), ("attack", _attack)] if "arm" in kinds else []
    chosen = []
    for options, count in ((ways, 2), (acts, 2)):
        first = [options[0]] if rng.random() < 0.8 else []
        others = [option for option in options if option not in first]
        picks = rng.permutation(len(others))[: max(count - len(first) - int(rng.random() < 0.3), 0)]
        chosen += first + [others[k] for k in picks]
    clips = {}
    for name, make in chosen or [("idle", _idle)]:
        cycle = Cycle(float(rng.uniform(0.6, 1.6) if (name, make) in ways else rng.uniform(1.2, 2.6)))
        make(cycle, rig, rng, size)
        clips[name] = cycle.clip(name, rig)
    return clips


def _pose(cycle: Cycle, rig: Rig, rng: np.random.Generator, amount: float) -> None:
    """Bring the limbs out of their symmetric rest, and let loose things swing a little."""
    for limb in rig.limbs:
        for bone in limb.bones:
            match limb.kind:
                case "leg":
                    cycle.swing(bone, PITCH, 0.0, offset=rng.normal(0, 0.12 * amount))
                case "arm":
                    cycle.swing(bone, PITCH, 0.06, rng.random(), offset=rng.normal(-0.15, 0.4 * amount))
                    cycle.swing(bone, ROLL, 0.0, offset=rng.normal(0, 0.25 * amount))
                case "ear":
                    cycle.swing(bone, ROLL, 0.08, rng.random(), offset=rng.normal(0, 0.12 * amount))
                case "cape":
                    cycle.swing(bone, PITCH, 0.1, rng.random(), offset=rng.uniform(0, 0.2))
                case "tentacle":
                    cycle.swing(bone, PITCH, 0.15, rng.random(), offset=rng.normal(0, 0.2 * amount))
                    cycle.swing(bone, ROLL, 0.15, rng.random(), offset=rng.normal(0, 0.2 * amount))
    for limb in rig.of_kind("tail", "trunk"):
        turn, lift = rng.normal(0, 0.22 * amount, 2)
        sway, start, turns = rng.uniform(0.05, 0.25), rng.random(), int(rng.integers(1, 3))
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, YAW, sway, start - 0.12 * k, turns, turn)
            cycle.swing(bone, PITCH, 0.0, offset=0.5 * lift)
    for limb in rig.of_kind("wave", "undulation"):
        turn = rng.normal(0, 0.12 * amount)
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, YAW, 0.04 * amount, -0.1 * k, offset=turn)


def _head(cycle: Cycle, rig: Rig, rng: np.random.Generator, amount: float) -> None:
    """Turn and nod the head, or hold it turned."""
    yaw, nod = rng.normal(0, 0.3 * amount), rng.normal(0, 0.12 * amount)
    for limb in rig.of_kind("neck"):
        for bone in limb.bones:
            cycle.swing(bone, YAW, rng.uniform(0, 0.08), rng.random(), offset=yaw / len(limb.bones))
            cycle.swing(bone, PITCH, rng.uniform(0.02, 0.08), rng.random(), offset=nod / len(limb.bones))
    for limb in rig.of_kind("jaw"):
        wide = rng.uniform(0.02, 0.25)
        cycle.swing(limb.bones[0], PITCH, wide, rng.random(), offset=wide)


def _gait(cycle: Cycle, rig: Rig, reach: float, bend: float, phase: float | None = None) -> None:
    for limb in rig.of_kind("leg"):
        start = limb.phase if phase is None else phase
        many = len(rig.of_kind("leg")) > 4
        cycle.swing(limb.bones[0], YAW if many else PITCH, reach, start, side=limb.side if many else 1)
        if many:
            cycle.swing(limb.bones[0], ROLL, 0.3 * reach, start + 0.25, offset=0.2 * reach, side=limb.side)
        elif len(limb.bones) > 1:
            cycle.swing(limb.bones[1], PITCH, bend, start - 0.25, offset=0.8 * bend)
    for limb in rig.of_kind("arm"):
        cycle.swing(limb.bones[0], PITCH, 0.8 * reach, (limb.phase if phase is None else phase) + 0.5)


def _walk(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 0.5)
    _head(cycle, rig, rng, 0.5)
    _gait(cycle, rig, rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.6))
    cycle.shift(0, np.array([0, 1.0, 0]), 0.012 * size, rng.random(), 2)
    cycle.swing(0, ROLL, rng.uniform(0, 0.07), 0.25)
    cycle.swing(0, YAW, rng.uniform(0, 0.08), 0.0)


def _run(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 0.4)
    _head(cycle, rig, rng, 0.3)
    _gait(cycle, rig, rng.uniform(0.55, 0.9), rng.uniform(0.5, 0.9))
    cycle.shift(0, np.array([0, 1.0, 0]), -0.08 * size, rng.random(), 2)
    cycle.swing(0, PITCH, rng.uniform(0.02, 0.12), rng.random(), offset=rng.uniform(-0.05, 0.2))


def _fly(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 0.6)
    _head(cycle, rig, rng, 0.5)
    beat, turns = rng.uniform(0.4, 0.9), int(rng.integers(1, 4))
    for limb in rig.of_kind("wing"):
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, ROLL, beat * (1 - 0.3 * k), limb.phase - 0.15 * k, turns, 0.15, limb.side)
    for limb in rig.of_kind("leg"):
        cycle.swing(limb.bones[0], PITCH, 0.05, rng.random(), offset=rng.uniform(0.2, 0.8))
    cycle.shift(0, np.array([0, 1.0, 0]), 0.05 * size, 0.5, turns)
    cycle.swing(0, PITCH, 0.05, rng.random(), offset=rng.uniform(-0.3, 0.3))


def _swim(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _head(cycle, rig, rng, 0.4)
    wide, lag = rng.uniform(0.12, 0.32), rng.uniform(0.1, 0.22)
    for limb in rig.of_kind("wave", "undulation"):
        axis = YAW if limb.kind == "wave" else PITCH
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, axis, wide * (0.5 + 0.5 * k), -lag * k)
    for limb in rig.of_kind("fin", "leg", "wing"):
        cycle.swing(
            limb.bones[0], ROLL, rng.uniform(0.1, 0.4), limb.phase, offset=rng.normal(0, 0.15), side=limb.side
        )
    for limb in rig.of_kind("tentacle"):
        for k, bone in enumerate(limb.bones):
            cycle.swing(bone, PITCH, 0.3, limb.phase - 0.15 * k)
    cycle.shift(0, np.array([0, 1.0, 0]), 0.02 * size, rng.random())
    cycle.swing(0, ROLL, rng.uniform(0, 0.12), rng.random())


def _hop(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 0.6)
    _head(cycle, rig, rng, 0.4)
    _gait(cycle, rig, rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.8), phase=0.0)
    cycle.shift(0, np.array([0, 1.0, 0]), -rng.uniform(0.08, 0.25) * size, 0.0, 1)
    if not rig.of_kind("leg") or rng.random() < 0.2:
        cycle.scale(0, rng.uniform(0.06, 0.2), 0.0, 1)


def _idle(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 1.0)
    _head(cycle, rig, rng, 1.0)
    cycle.shift(0, np.array([0, 1.0, 0]), 0.008 * size, rng.random())
    cycle.swing(0, ROLL, 0.015, rng.random(), offset=rng.normal(0, 0.03))
    for limb in rig.of_kind("wing", "fin"):
        folded = rng.uniform(-0.3, 0.6)
        for bone in limb.bones:
            cycle.swing(bone, ROLL, 0.06, limb.phase, offset=folded, side=limb.side)


def _look(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 1.0)
    far, nod = rng.uniform(0.3, 0.7), rng.normal(0, 0.1)
    for limb in rig.of_kind("neck"):
        for bone in limb.bones:
            cycle.swing(bone, YAW, far / len(limb.bones), 0.0)
            cycle.swing(bone, PITCH, 0.08, 0.1, 2, nod / len(limb.bones))
    cycle.swing(0, YAW, rng.uniform(0.0, 0.2), -0.1)


def _wave(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 0.8)
    _head(cycle, rig, rng, 0.8)
    side = 1 if rng.random() < 0.5 else -1
    arm = next((limb for limb in rig.of_kind("arm") if limb.side == side), rig.of_kind("arm")[0])
    _raise(cycle, arm, rng.uniform(1.4, 2.3))
    cycle.swing(arm.bones[-1], ROLL, rng.uniform(0.25, 0.5), 0.0, int(rng.integers(2, 4)), side=arm.side)


def _raise(cycle: Cycle, arm: Limb, angle: float) -> None:
    cycle.swing(arm.bones[0], ROLL, 0.1, 0.0, offset=angle, side=arm.side)


def _attack(cycle: Cycle, rig: Rig, rng: np.random.Generator, size: float) -> None:
    _pose(cycle, rig, rng, 0.8)
    _head(cycle, rig, rng, 0.4)
    for limb in rig.of_kind("arm")[: 1 + int(rng.random() < 0.4)]:
        cycle.swing(limb.bones[0], PITCH, rng.uniform(0.4, 0.9), 0.0, offset=rng.uniform(-1.6, -0.6))
    for limb in rig.of_kind("jaw"):
        cycle.swing(limb.bones[0], PITCH, 0.2, 0.0, offset=0.2)
    cycle.swing(0, YAW, rng.uniform(0.1, 0.3), 0.1)
    cycle.swing(0, PITCH, rng.uniform(0.0, 0.12), 0.0, offset=0.05)
