"""Dealing the rows and columns of a matrix out to processes, so that the longest share is as short as can be.

The unit is half a sequence, as guidance takes two estimates of each: the conditional and the unconditional
one, which may be computed apart. Rows are as long as there are frames, columns as there are views, and what
a sequence costs grows with its length.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Consecutive halves of sequences: 2n is the conditional half of sequence n, 2n + 1 the unconditional.

    Where guidance does not act, a sequence belongs to whoever has its conditional half.
    """

    begin: int
    end: int

    def __len__(self) -> int:
        """Count the halves."""
        return self.end - self.begin

    @property
    def sequences(self) -> slice:
        """Which sequences any half is of."""
        return slice(self.begin // 2, -(-self.end // 2) if len(self) else self.begin // 2)

    @property
    def guided(self) -> tuple[list[tuple[int, bool]], range]:
        """Where guidance acts: single halves (sequence, whether the conditional one), and whole sequences."""
        whole = range(-(-self.begin // 2), self.end // 2)
        first = [(self.begin // 2, False)] if self.begin % 2 and len(self) else []
        last = [(self.end // 2, True)] if self.end % 2 and len(self) else []
        return first + last, whole

    @property
    def unguided(self) -> range:
        """Where guidance does not act: whole sequences."""
        return range(-(-self.begin // 2), -(-self.end // 2))


@dataclass(frozen=True)
class Kind:
    """Rows, or columns.

    Attributes:
        count: how many there are.
        cost: of one of them, in any unit that both kinds share.
        is_guided: whether it takes two estimates, which may be computed apart.
    """

    count: int
    cost: int
    is_guided: bool


def deal(rows: Kind, columns: Kind, processes: int, *, apart: bool = False) -> list[tuple[Share, Share]]:
    """Deal rows and columns out, so that the longest share is as short as can be.

    Halves of one sequence go to two processes only where that makes it shorter. Among equals, the first
    processes get rows and the last ones columns, so that few need both networks.

    Args:
        rows: how many, and what each costs.
        columns: the same.
        processes: how many there are.
        apart: give no process both rows and columns, where memory has no room for two networks.

    Returns:
        Each process's rows and columns; empty shares, last, for those that nothing is left for.
    """
    if processes == 1:
        return [(Share(0, 2 * rows.count), Share(0, 2 * columns.count))]
    whole = _deal(rows, columns, processes, apart, halves=1)
    if not (rows.is_guided or columns.is_guided):
        return whole
    split = _deal(rows, columns, processes, apart, halves=2)
    return split if longest(split, rows, columns) < longest(whole, rows, columns) else whole


def longest(shares: Sequence[tuple[Share, Share]], rows: Kind, columns: Kind) -> int:
    """Compute twice the cost of the longest share."""
    return max(len(of_rows) * rows.cost + len(of_columns) * columns.cost for of_rows, of_columns in shares)


def _deal(rows: Kind, columns: Kind, processes: int, apart: bool, halves: int) -> list[tuple[Share, Share]]:
    pieces = [halves if kind.is_guided else 1 for kind in (rows, columns)]
    counts = [kind.count * n for kind, n in zip((rows, columns), pieces, strict=True)]
    sizes = [2 // n for n in pieces]  # in halves
    costs = [size * kind.cost for kind, size in zip((rows, columns), sizes, strict=True)]
    active = min(processes, sum(counts))
    apart = apart and active > 1
    limits = sorted({i * costs[0] + j * costs[1] for i in range(counts[0] + 1) for j in range(counts[1] + 1)})
    fair = -(-sum(n * cost for n, cost in zip(counts, costs, strict=True)) // active)
    limits = limits[bisect_left(limits, fair) :]

    def suffices(limit: int) -> bool:
        return _placed(limit, counts, costs, active, apart)[-1][-1] >= counts[1]

    limit = limits[bisect_left(limits, True, key=suffices)]
    taken = _take(_placed(limit, counts, costs, active, apart), limit, counts, costs, apart)
    shares, begin = [], [0, 0]
    for of_rows, of_columns in taken:
        end = [begin[0] + of_rows * sizes[0], begin[1] + of_columns * sizes[1]]
        shares.append((Share(begin[0], end[0]), Share(begin[1], end[1])))
        begin = end
    return shares + [(Share(begin[0], begin[0]), Share(begin[1], begin[1]))] * (processes - active)


def _room(limit: int, costs: Sequence[int], taken: int, apart: bool) -> int:
    """Count the columns that fit beside so many rows; negative where not even the rows do."""
    left = limit - taken * costs[0]
    return left if left < 0 else (0 if apart and taken else left // costs[1])


def _placed(
    limit: int, counts: Sequence[int], costs: Sequence[int], processes: int, apart: bool
) -> list[list[int]]:
    """Count the columns that n processes can take beside a rows, each up to a limit: table[n][a]."""
    rooms = [_room(limit, costs, taken, apart) for taken in range(counts[0] + 1)]
    fits = [room for room in rooms if room >= 0]
    table = [[0] + [-(10**9)] * counts[0]]
    for _ in range(processes):
        before = table[-1]
        table.append(
            [max(before[a - i] + fits[i] for i in range(min(a + 1, len(fits)))) for a in range(counts[0] + 1)]
        )
    return table


def _take(
    table: list[list[int]], limit: int, counts: Sequence[int], costs: Sequence[int], apart: bool
) -> list[tuple[int, int]]:
    """Read off a table how many rows and columns each process takes: the last ones as few rows as can be."""
    rows, columns = counts
    taken: list[tuple[int, int]] = []
    for before in reversed(table[:-1]):
        rooms = [_room(limit, costs, of_rows, apart) for of_rows in range(rows + 1)]
        of_rows = next(i for i, room in enumerate(rooms) if room >= 0 and before[rows - i] + room >= columns)
        of_columns = min(columns, rooms[of_rows])
        taken.append((of_rows, of_columns))
        rows, columns = rows - of_rows, columns - of_columns
    return taken[::-1]
