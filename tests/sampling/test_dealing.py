"""Rows and columns dealt out to processes."""

from itertools import pairwise, product

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.config import PRESETS
from diffusion2.sampling.dealing import Kind, Share, deal, longest
from diffusion2.sampling.roles import assign

KINDS = st.builds(Kind, st.integers(0, 7), st.integers(1, 9), st.booleans())


def units(share: Share) -> list[int]:
    return list(range(share.begin, share.end))


@given(KINDS, KINDS.filter(lambda kind: kind.count > 0), st.integers(1, 20), st.booleans())
def test_every_half_is_dealt_once(rows, columns, processes, apart):
    shares = deal(rows, columns, processes, apart=apart)
    assert len(shares) == processes
    for kind, dealt in zip((rows, columns), zip(*shares, strict=True), strict=True):
        assert [half for share in dealt for half in units(share)] == list(range(2 * kind.count))
        if not kind.is_guided:
            assert all(share.begin % 2 == share.end % 2 == 0 for share in dealt)


@given(KINDS, KINDS.filter(lambda kind: kind.count > 0), st.integers(2, 20))
def test_kept_apart_no_process_has_both(rows, columns, processes):
    assert not any(a and b for a, b in deal(rows, columns, processes, apart=True))


@hypothesis.settings(deadline=None, max_examples=50)
@given(
    st.builds(Kind, st.integers(1, 2), st.integers(1, 5), st.booleans()),
    st.builds(Kind, st.integers(1, 2), st.integers(1, 5), st.booleans()),
    st.integers(1, 3),
)
def test_no_other_way_is_shorter(rows, columns, processes):
    """Against all ways there are, of so few."""
    pieces = [
        cost
        for kind in (rows, columns)
        for cost in [kind.cost if kind.is_guided else 2 * kind.cost] * (kind.count * (1 + kind.is_guided))
    ]
    best = min(
        max(sum(cost for cost, to in zip(pieces, way, strict=True) if to == k) for k in range(processes))
        for way in product(range(processes), repeat=len(pieces))
    )
    assert longest(deal(rows, columns, processes), rows, columns) == best


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_share_is_whole_sequences_and_at_most_two_halves(begin, length):
    share = Share(begin, begin + length)
    halves, whole = share.guided
    found = [2 * n for n, conditional in halves if conditional]
    found += [2 * n + 1 for n, conditional in halves if not conditional]
    found += [half for n in whole for half in (2 * n, 2 * n + 1)]
    assert sorted(found) == units(share)
    assert [2 * n for n in share.unguided] == [half for half in units(share) if half % 2 == 0]
    touched = {half // 2 for half in units(share)}
    assert set(range(share.sequences.start, share.sequences.stop)) == touched


@pytest.mark.parametrize("processes", [2, 3, 8, 16, 46])
def test_the_papers_matrix_is_dealt_within_a_tenth_of_even(processes):
    """21 rows of 25 images cost what 25 columns of 21 do; nothing smaller than half a sequence is dealt."""
    rows, columns = Kind(21, 25, True), Kind(25, 21, True)
    shares = deal(rows, columns, processes)
    even = 2 * (21 * 25 + 25 * 21) / processes
    assert longest(shares, rows, columns) <= max(1.1 * even, even + 4)


def test_two_processes_need_one_network_each():
    roles = assign(PRESETS["paper"], 2)
    assert [roles.networks(rank) for rank in range(2)] == [{"video"}, {"multiview"}]
    assert not roles.idle


def test_more_processes_than_pieces_are_idle():
    roles = assign(PRESETS["paper"], 100)
    assert roles.idle == 100 - 2 * 46
    assert all(not rows and not columns for rows, columns in roles.shares[92:])


def test_the_references_are_made_by_different_processes_that_have_their_network():
    for processes in range(2, 12):
        roles = assign(PRESETS["paper"], processes)
        assert not set(roles.video) & set(roles.views)
        assert all("video" in roles.networks(rank) for rank in roles.video)
        assert all("multiview" in roles.networks(rank) for rank in roles.views)
    assert (len(roles.video), len(roles.views)) == (2, 2)


def test_kept_features_stay_where_they_are():
    """Both halves of a sequence share them, so none is split."""
    shares = assign(PRESETS["fast"], 7).shares
    assert all(share.begin % 2 == share.end % 2 == 0 for both in shares for share in both)
    for which in range(2):
        assert all(a[which].end == b[which].begin for a, b in pairwise(shares))
