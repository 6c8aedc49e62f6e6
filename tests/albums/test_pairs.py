import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from srntt_pipeline.albums.levels import levels_by_bands, levels_by_quantiles
from srntt_pipeline.albums.pairs import Pairs
from srntt_pipeline.config import BuildParams


def pairs(*levels):
    """Pairs of these levels, a row per HR photo."""
    level = np.array(levels, np.int8).reshape(len(levels), -1)
    names = tuple(f"{i}.jpg" for i in range(len(levels)))
    return Pairs(names, np.arange(level.size, dtype=np.int32).reshape(level.shape), level)


SQUARES = st.integers(0, 7).flatmap(
    lambda n: npst.arrays(np.int32, (n, n), elements=st.integers(0, 9))
)


@settings(deadline=None, max_examples=60)
@given(SQUARES, st.sampled_from(["bands", "quantiles"]))
def test_levels_and_histogram_are_those_of_the_list_of_pairs(matches, by):
    np.fill_diagonal(matches, 0)
    params = BuildParams(levels=2, bands=(6, 2), levels_by=by)
    names = tuple(map(str, range(len(matches))))
    graded = Pairs.graded(names, matches, params)
    places = list(itertools.permutations(range(len(matches)), 2))
    counts = np.array([matches[place] for place in places], np.int64)
    levels = levels_by_bands(counts, (6, 2)) if by == "bands" else levels_by_quantiles(counts, 2)
    assert [graded.level[place] for place in places] == levels.tolist()
    assert (graded.level.diagonal() == -1).all()
    found = graded.histogram(2)
    expected = Counter(zip(levels.tolist(), counts.tolist(), strict=True))
    assert {(k, n): found[k, n] for k, n in np.argwhere(found).tolist()} == expected
    for level in range(3):
        of_level = [p for p, k in zip(places, levels, strict=True) if k == level]
        assert list(map(tuple, graded.of_level(level).tolist())) == of_level  # in their order


def test_photo_is_complete_with_a_reference_at_every_level():
    graded = pairs([-1, 1, 2, 0], [1, -1, 1, 0], [2, 2, -1, 1], [0, 0, 0, -1])
    assert graded.complete(2) == ["0.jpg", "2.jpg"]
    assert graded.complete(3) == []


def test_pairs_without_a_level_complete_nothing():
    assert pairs([-1, 0], [0, -1]).complete(1) == []


def test_pairs_without_some_photos_keep_their_levels():
    left = pairs([-1, 1, 2], [2, -1, 2], [1, 2, -1]).without({"1.jpg"})
    assert left.names == ("0.jpg", "2.jpg")
    assert left.level.tolist() == [[-1, 2], [1, -1]]
    assert left.matches.tolist() == [[0, 2], [6, 8]]


@pytest.mark.parametrize("photos", [0, 1])
def test_fewer_than_two_photos_have_no_pairs(photos):
    none = Pairs.graded(("a",) * photos, np.zeros((photos, photos), np.int32), BuildParams())
    assert not none.histogram(4).any()
    assert not none.complete(4)
    assert none.of_level(1).shape == (0, 2)
