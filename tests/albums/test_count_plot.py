"""The plot of match counts: training and test apart, levels in bands."""

import numpy as np
import pytest

from srntt_pipeline.albums import count_plot
from srntt_pipeline.config import BuildParams

BANDS = BuildParams(levels=2, bands=(100, 20))


def histogram(most, **pairs):
    """Return [3, most + 1] with the pairs of `n0_15=4`: level 0, 15 matches."""
    table = np.zeros((3, most + 1), np.int64)
    for place, count in pairs.items():
        level, matches = map(int, place[1:].split("_"))
        table[level, matches] = count
    return table


WHOLE = histogram(300, n0_0=5, n0_15=3, n2_20=2, n2_99=4, n1_100=7, n1_300=1)
TEST = histogram(99, n0_15=1, n2_99=4)


@pytest.fixture
def plotted(tmp_path, monkeypatch):
    seen = []
    save = count_plot.save_figure
    monkeypatch.setattr(
        count_plot, "save_figure", lambda figure, path: (seen.append(figure), save(figure, path))
    )

    def plot(whole, test, params):
        count_plot.draw(tmp_path / "x.png", whole, test, params)
        assert (tmp_path / "x.png").stat().st_size > 5000
        return seen[-1]

    return plot


def heights(axes):
    """Return the pairs drawn of each level, with the bars that hold any."""
    names = axes.get_legend_handles_labels()[1]
    bars = dict(zip(names, axes.containers, strict=True))
    return {n: {(b.get_x(), b.get_width()): b.get_height() for b in bars[n] if b.get_height()}
            for n in names}  # fmt: skip


def test_training_and_test_have_a_panel_each(plotted):
    training, test = plotted(WHOLE, TEST, BANDS).axes
    assert training.get_title(loc="left") == "Training albums: 17 ordered photo pairs"
    assert test.get_title(loc="left") == "Test albums: 5 ordered photo pairs"
    drawn = [{n: sum(of.values()) for n, of in heights(axes).items()} for axes in (training, test)]
    assert drawn == [{"no level": 7, "L2": 2, "L1": 8}, {"no level": 1, "L2": 4, "L1": 0}]
    assert training.get_xlim() == test.get_xlim()


def test_no_bar_holds_two_levels_and_bands_are_labelled(plotted):
    for axes, pairs in zip(plotted(WHOLE, TEST, BANDS).axes, ("7 2 8", "1 4 0"), strict=True):
        assert [line.get_xdata()[0] for line in axes.lines] == [20, 100]
        labels = [text.get_text() for text in axes.texts]
        names = ("no level", "L2", "L1")
        assert labels == [f"{n}\n{c}" for n, c in zip(names, pairs.split(), strict=True)]
        places = [text.xy[0] for text in axes.texts]
        assert 1 < places[0] < 20 < places[1] < 100 < places[2]
        for name, bars in heights(axes).items():
            for left, width in bars:
                ends = {"no level": (1, 20), "L2": (20, 100), "L1": (100, 1e9)}[name]
                assert ends[0] <= left
                assert left + width <= ends[1]


def test_higher_levels_are_darker(plotted):
    axes = plotted(WHOLE, TEST, BANDS).axes[0]
    light = [np.dot(bars[0].get_facecolor()[:3], (0.299, 0.587, 0.114)) for bars in axes.containers]
    assert (np.diff(light) < -0.1).all()


def test_levels_by_quantiles_have_a_legend_and_no_bands(plotted):
    axes = plotted(WHOLE, TEST, BANDS.model_copy(update={"levels_by": "quantiles"})).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["no level", "L2", "L1"]
    assert len(axes.lines) == len(axes.texts) == 0


def test_no_pairs_and_bands_above_every_count_are_drawn(plotted):
    nothing = np.zeros((3, 1), np.int64)
    for axes in plotted(nothing, nothing, BANDS).axes:
        assert np.isfinite(axes.get_xlim()).all()
        assert [text.get_text() for text in axes.texts] == ["no level\n0", "L2\n0", "L1\n0"]
