"""The picture of a training's curves."""

import json

import pytest

from srntt_pipeline.evaluation import figures
from srntt_pipeline.evaluation.figures import draw_curves

LOSS = ["step,phase,loss,reconstruction,texture,reconstruction_share,texture_share"]
LOSS += [f"{n},SISR warm-up,{0.5 / n:.4f},{0.5 / n:.4f},,," for n in range(1, 61)]
LOSS += [f"{n},texture transfer,{1 + n / 100},{n},{2 * n},0.25,0.75" for n in range(61, 201)]
VALIDATION = ["step,phase,psnr_db", "50,SISR warm-up,24.1", "150,texture transfer,25.3"]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    (tmp_path / "loss.csv").write_text("\n".join(LOSS))
    (tmp_path / "validation.csv").write_text("\n".join(VALIDATION))
    (tmp_path / "metrics.json").write_text(json.dumps({"validation_bicubic_psnr_db": 23.456}))
    seen = []
    save = figures.save_figure
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: (seen.append(figure), save(figure, path))
    )

    def draw():
        assert draw_curves(tmp_path, tmp_path / "curves.png")
        return seen[-1].axes

    return draw


def by_title(axes):
    return {each.get_title(loc="left"): each for each in axes[1:]}


def labels(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}


def test_phases_are_named_and_begin_at_their_first_step(drawn):
    named, *panels = drawn()
    told = {text.get_text(): text.xy[0] for text in named.texts}
    assert told == {"SISR warm-up, from step 1": 0, "texture transfer, from step 61": 60}
    for panel in panels:  # also where validations come later
        (band,) = panel.patches
        assert (band.get_x(), band.get_x() + band.get_width()) == (60, 200)
        starts = [line.get_xdata()[0] for line in panel.lines if len(set(line.get_xdata())) == 1]
        assert {0, 60} <= set(starts)


def test_bicubic_is_a_labelled_line_in_the_validation_alone(drawn):
    panels = by_title(drawn())
    (validation,) = (axes for title, axes in panels.items() if title.startswith("Validation"))
    assert validation.get_ylabel() == "PSNR (dB)"
    line = labels(validation)["bicubic, 23.46 dB"]
    assert set(line.get_ydata()) == {23.456}
    assert line.get_linestyle() != labels(validation)["network"].get_linestyle()
    others = [axes for axes in panels.values() if axes is not validation]
    assert not [label for axes in others for label in labels(axes) if "bicubic" in label]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"validation_bicubic_psnr_db": "x"}'])
def test_without_bicubics_psnr_there_is_no_line(drawn, tmp_path, content):
    (tmp_path / "metrics.json").unlink()
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    validation = next(iter(by_title(drawn()).values()))
    assert [*labels(validation)] == ["network"]


def test_axes_are_named_with_their_units(drawn):
    axes = drawn()
    assert axes[-1].get_xlabel() == "training step"
    assert [each.get_ylabel() for each in axes[1:]] == [
        "PSNR (dB)", "loss (no unit)", "loss (no unit)", "loss (no unit)", "share (%)",
    ]  # fmt: skip


def test_the_mean_goes_over_no_two_phases(drawn):
    panel = by_title(drawn())["Training loss: the weighted sum"]
    means = [line for line in panel.lines if line.get_linewidth() == 1.5]
    assert [(line.get_xdata()[0], line.get_xdata()[-1]) for line in means] == [(1, 60), (61, 200)]
    assert means[1].get_ydata()[0] == pytest.approx(1.61)  # its own first value


def test_shares_of_all_losses_are_told_apart_without_colour(drawn):
    shares = labels(by_title(drawn())["Share of each loss in the gradient by SR"])
    assert [*shares] == ["reconstruction", "texture"]
    assert set(shares["texture"].get_ydata()) == {75}
    assert len({(line.get_linestyle(), line.get_marker()) for line in shares.values()}) == 2


def test_a_loss_that_is_the_sum_is_drawn_once(drawn, tmp_path):
    (tmp_path / "loss.csv").write_text("step,phase,loss,reconstruction\n1,a,2,2\n2,a,1,1\n")
    assert [*by_title(drawn())][1:] == ["Training loss: the weighted sum"]
