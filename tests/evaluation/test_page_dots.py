"""PSNR as dots on one axis of the page."""

import pytest

from srntt_pipeline.evaluation.page_dots import dots


def row(method, reference, psnr, low=None, high=None):
    return {"method": method, "reference": reference, "psnr_db": psnr,
            "psnr_db_low": low, "psnr_db_high": high}  # fmt: skip


def test_all_methods_share_an_axis_that_holds_every_interval():
    drawn = dots([row("A", "none", 26.36, 25.83, 26.89), row("B", "L1", "27.79", "26.9", "28.7")])
    first, last = (float(label) for label in (drawn.ticks[0][1], drawn.ticks[-1][1]))
    assert first <= 25.83
    assert last >= 28.7
    assert [at for at, _ in (drawn.ticks[0], drawn.ticks[-1])] == [0, 100]
    [a], [b] = drawn.methods["A"], drawn.methods["B"]
    for dot, value, low, high in ((a, 26.36, 25.83, 26.89), (b, 27.79, 26.9, 28.7)):
        for place, there in ((dot.at, value), (dot.low, low), (dot.high, high)):
            assert place == pytest.approx(100 * (there - first) / (last - first), abs=0.01)
    assert (a.text, b.text) == ("26.36", "27.79")
    assert drawn.intervals


def test_without_intervals_there_are_dots_alone():
    drawn = dots([row("A", "L1", 26.0), row("A", "L2", float("inf")), row("A", "L3", 25.0)])
    assert [(dot.reference, dot.low, dot.high) for dot in drawn.methods["A"]] == [
        ("L1", None, None), ("L3", None, None),
    ]  # fmt: skip
    assert not drawn.intervals


def test_equal_values_have_an_axis_too():
    [dot] = dots([row("A", "L1", 26.0)]).methods["A"]
    assert 0 < dot.at < 100


def test_nothing_is_drawn_of_no_number():
    assert dots([row("A", "L1", None), row("B", "L1", float("nan"))]) is None
