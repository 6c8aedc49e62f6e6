import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import ConnectionPatch
from matplotlib.text import Text
from PIL import Image

from srntt_pipeline.figures import save_figure
from srntt_pipeline.text import printable

NAMES = [
    "$x^_$.jpg", "\\frac{1}{2} $\\frac$", "$", "a\x1b[31m\x00\u202e", "\udcff.jpg", "x" * 5000,
]  # fmt: skip


def figure_of(name):
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([1, 10_000], [1, 2], label=f"{name} ")
    axes.legend()
    axes.set(title=f"HR\n{name}", xlabel=name, ylabel=name, xscale="log")
    axes.annotate(name, (1, 1))
    figure.suptitle(name)
    return figure


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_are_drawn_as_they_are_in_every_place(name, tmp_path):
    figure = figure_of(name)
    save_figure(figure, tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").size == (440, 330)
    own = [text for text in figure.findobj(Text) if text.get_text().startswith(printable(name)[:1])]
    assert len(own) >= 5
    for text in own:
        assert max(map(len, text.get_text().split("\n"))) <= 160


def test_a_formula_is_drawn_as_its_text(tmp_path):
    for name in ("$a$", "a"):
        save_figure(figure_of(name), tmp_path / f"{name}.png")
    plain = np.asarray(Image.open(tmp_path / "$a$.png"))
    assert (plain != np.asarray(Image.open(tmp_path / "a.png"))).any()
    figure = figure_of("$a$")
    save_figure(figure, tmp_path / "x.png")
    read = [text.get_text() for text in figure.findobj(Text) if text.get_parse_math()]
    assert not [text for text in read if "a$" in text]


def test_ticks_of_a_logarithmic_axis_stay_powers(tmp_path):
    figure = figure_of("name")
    save_figure(figure, tmp_path / "x.png")
    ticks = figure.axes[0].get_xticklabels()
    assert "$\\mathdefault{10^{2}}$" in [tick.get_text() for tick in ticks]
    assert all(tick.get_parse_math() for tick in ticks)


def test_figure_of_very_many_columns_is_drawn_smaller(tmp_path):
    figure = Figure(figsize=(900, 1))
    save_figure(figure, tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").size[0] <= 30_000


def match_like():
    """Images beside each other, a bar of colours, and a line from one to the other."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots(1, 2)
    shown = [axis.imshow(np.arange(35).reshape(5, 7)) for axis in axes]
    axes[0].set_title("two\nlines")
    bar = axes[1].inset_axes((0, -0.1, 1, 0.05))
    figure.colorbar(shown[1], cax=bar, orientation="horizontal")
    figure.suptitle("title")
    line = ConnectionPatch((1, 1), (4, 3), "data", "data", axesA=axes[0], axesB=axes[1])
    figure.add_artist(line)
    return figure


def test_the_rounding_of_the_layout_changes_no_byte(tmp_path, monkeypatch):
    """Matplotlib's solver rounds as objects lie in memory."""
    execute, rng = ConstrainedLayoutEngine.execute, np.random.default_rng(0)
    placed = set()

    def jittered(engine, figure):
        result = execute(engine, figure)
        for axes in figure.axes:
            bounds = np.array(axes.get_position(original=True).bounds)
            axes._set_position(bounds + rng.normal(0, 1e-12, 4), which="original")
            placed.add(axes.get_position(original=True).bounds)
        return result

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", jittered)
    made = set()
    for number in range(5):
        save_figure(match_like(), tmp_path / f"{number}.png")
        made.add((tmp_path / f"{number}.png").read_bytes())
    assert len(placed) >= 10
    assert len(made) == 1


def test_the_layout_is_that_of_matplotlib(tmp_path):
    save_figure(match_like(), tmp_path / "ours.png")
    match_like().savefig(tmp_path / "theirs.png", dpi=110)
    ours, theirs = (
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        for name in ("ours", "theirs")
    )
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 0.1
