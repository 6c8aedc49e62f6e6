"""The field of matches."""

import itertools

import naive_selfex as naive
import numpy as np
import pytest

from srntt_pipeline.selfex.field import enlarged, first_field, improve

SEEDS = np.array([3, 7], np.uint64)


def even(small):
    shape = small.level.plane_costs.shape
    return np.cumsum(np.full(shape, 1 / shape[0], np.float32), axis=0)


@pytest.fixture(scope="module")
def found(small):
    """Fields after no, one and two iterations."""
    fields = []
    for count in range(3):
        field = first_field(np.zeros(small.size, np.uint8))
        improve(field, small.level, even(small), SEEDS[:count])
        fields.append(field)
    return fields


def test_the_first_field_takes_each_patch_from_its_own_place(small, found):
    rows, columns = np.mgrid[: small.size[0], : small.size[1]]
    assert np.array_equal(found[0].matches[..., 0], columns)
    assert np.array_equal(found[0].matches[..., 1], rows)
    assert np.allclose(found[0].matches[..., 2], 2 ** (1 / 3))
    assert np.isfinite(found[0].costs).all()


def test_each_iteration_lowers_costs_and_none_grows(found):
    for before, after in itertools.pairwise(found):
        assert (after.costs <= before.costs).all()
        assert after.costs.mean() < before.costs.mean()
    assert found[2].costs.mean() < 0.7 * found[0].costs.mean()
    assert set(np.unique(found[2].planes)) == {0, 1}


def test_costs_are_those_of_the_matches_that_are_kept(small, found):
    field, (height, width) = found[2], small.size
    for x, y in ((0, 0), (7, 30), (21, 11), (width - 1, height - 1)):
        match, plane = field.matches[y, x], field.planes[y, x]
        expected = naive.cost(small.level.target, small.blurred, x, y, match,
                              small.level.lines[plane])  # fmt: skip
        for at in ((x, y), (int(match[0]), int(match[1]))):
            expected += small.level.plane_costs[plane, at[1] * 32 // height, at[0] * 40 // width]
        assert np.isclose(field.costs[y, x], expected, rtol=1e-3, atol=2e-6)


def test_matches_stay_in_their_ranges(small, found):
    matches = found[2].matches
    assert (matches[..., :2] >= 0).all()
    assert (matches[..., :2] <= np.array(small.size[::-1]) - 1).all()
    assert np.abs(matches[..., 3]).max() <= np.float32(np.pi / 4)
    assert np.abs(matches[..., 4:]).max() <= np.float32(0.05)
    assert len(np.unique(matches[..., 3])) > 20


def test_a_copy_elsewhere_is_found_and_spreads(small):
    """The source level has the target's patches moved by (7, -4) px of the target."""
    height, width = small.size
    start, rows, columns = small.pyramid.shapes[-1]
    images = np.zeros_like(small.pyramid.blurred)
    y, x = np.mgrid[:rows, :columns]
    random = np.random.default_rng(5)
    waves = random.normal(size=(6, 2)), random.uniform(0, 6, (6, 3))

    def texture(x, y):
        phase = 0.8 * (x[..., None] * waves[0][:, 0] + y[..., None] * waves[0][:, 1])
        return (0.5 + np.sin(phase[..., None] + waves[1]).sum(axis=-2) / 12).astype(np.float32)

    ratio = columns / width, rows / height
    source_x, source_y = (x + 0.5) / ratio[0] - 0.5, (y + 0.5) / ratio[1] - 0.5
    scale = 2 ** (1 / 3)
    images[start:] = texture((source_x - 7) / scale, (source_y + 4) / scale).reshape(-1, 3)
    v, u = np.mgrid[-2 : height + 2, -2 : width + 2].astype(float)
    level = small.level._replace(
        target=texture(u / 1.0, v / 1.0), images=images,
        plane_costs=np.zeros_like(small.level.plane_costs),
    )  # fmt: skip
    field = first_field(np.zeros(small.size, np.uint8))
    improve(field, level, np.ones_like(even(small)), np.arange(8, dtype=np.uint64))
    rows, columns = np.mgrid[:height, :width]
    expected = columns * scale + 7, rows * scale - 4
    inside = (expected[0] < width - 4) & (expected[1] < height - 4) & (expected[1] > 3)
    away = np.hypot(*(field.matches[..., axis] - expected[axis] for axis in (0, 1)))
    assert np.mean(away[inside] < 1.5) > 0.6


def test_the_same_seeds_give_the_same_field(small, found):
    field = first_field(np.zeros(small.size, np.uint8))
    improve(field, small.level, even(small), SEEDS)
    assert all(one.tobytes() == two.tobytes() for one, two in zip(field, found[2], strict=True))
    other = first_field(np.zeros(small.size, np.uint8))
    improve(other, small.level, even(small), SEEDS + np.uint64(1))
    assert other.matches.tobytes() != field.matches.tobytes()


def test_a_field_is_enlarged_with_its_moves(found):
    field = found[1]
    height, width = field.costs.shape
    large = enlarged(field, 2 * height, 2 * width)
    moves = field.matches[..., :2] - np.stack(np.mgrid[:height, :width][::-1], axis=-1)
    rows, columns = np.mgrid[: 2 * height, : 2 * width]
    expected = np.stack([columns, rows], axis=-1) + 2 * moves[rows // 2, columns // 2]
    expected = expected.clip(0, [2 * width - 1, 2 * height - 1])
    assert np.allclose(large.matches[..., :2], expected, atol=1e-3)
    assert np.array_equal(large.matches[..., 2:], field.matches[rows // 2, columns // 2, 2:])
    assert np.array_equal(large.planes, field.planes[rows // 2, columns // 2])
    assert np.isinf(large.costs).all()
    assert enlarged(field, height, width).matches.tobytes() == field.matches.tobytes()
