"""The picture grid of a test image."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from srntt_pipeline.degradation import PAPER_MAKING
from srntt_pipeline.evaluation import grid, report
from srntt_pipeline.evaluation.paths import image_path
from srntt_pipeline.images import downscale, write_png
from srntt_pipeline.layout import Group


@pytest.fixture
def drawn(tmp_path, photograph, monkeypatch):
    """Draw a grid of these rows; return the figure that was saved."""
    saved = {}
    save = grid.save_figure
    monkeypatch.setattr(
        grid,
        "save_figure",
        lambda figure, path, dpi: (saved.update({path.name: figure}), save(figure, path, dpi)),
    )

    def draw(*rows, shape=(96, 128)):
        hr = np.ascontiguousarray(photograph[: shape[0], : shape[1]])
        write_png(tmp_path / "001_0.png", hr)
        write_png(tmp_path / "001_1.png", hr[::-1])
        write_png(tmp_path / image_path("LR", "none", "001"), downscale(hr))
        group = Group("001", tmp_path / "001_0.png", {"L1": tmp_path / "001_1.png"})
        table = []
        for number, (method, reference, psnr, ssim) in enumerate(rows):
            path = image_path(method, reference, "001")
            write_png(tmp_path / path, np.full(hr.shape, 10 * number, np.uint8))
            table.append(
                {"method": method, "reference": reference, "psnr_db": psnr, "ssim": ssim,
                 "picture": path.as_posix(), "protocol": "luma"}
            )  # fmt: skip
        grid.draw_grid(tmp_path, group, table, PAPER_MAKING)
        assert [*saved] == ["001.png", "001.pdf"]
        return saved["001.png"]

    return draw


ROWS = [
    ("Bicubic", "none", 24.0, 0.81), ("SRNTT", "L1", 26.004, 0.8), ("SRNTT", "LR", 26.0, 0.79),
]  # fmt: skip


def test_numbers_stand_below_their_picture_and_the_best_are_bold(drawn):
    figure = drawn(*ROWS)
    texts = {text.get_text(): text for text in figure.texts}
    weights = {name: text.get_fontweight() for name, text in texts.items() if name[:1].isdigit()}
    assert weights.pop("001: HR, with the box of the details") == "normal"
    # By what is written: of equal numbers both are the best.
    assert weights == {
        "24.00 dB": "normal", "0.8100": "bold", "26.00 dB": "bold", "0.8000": "normal",
        "0.7900": "normal",
    }  # fmt: skip
    bold = [text for text in figure.texts if text.get_fontweight() == "bold"]
    assert sum(text.get_text() == "26.00 dB" for text in bold) == 2
    assert any("protocol luma" in name for name in texts)
    for axes in figure.axes:  # nothing is written upon a picture
        box = axes.get_position()
        assert not [t for t in figure.texts if box.contains(*t.get_position())]


def test_hr_is_whole_once_and_details_are_what_is_in_its_box(drawn, tmp_path):
    figure = drawn(*ROWS)
    hr = np.asarray(Image.open(tmp_path / "001_0.png"))
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert sum(image.shape == hr.shape and np.array_equal(image, hr) for image in shown) == 1
    (box,) = (patch for axes in figure.axes for patch in axes.patches)
    assert isinstance(box, Rectangle)
    assert (box.get_width(), box.get_height()) == (24, 24)
    left, top = (round(place + 0.5) for place in box.get_xy())
    assert np.array_equal(shown[1], hr[top : top + 24, left : left + 24])
    lr = downscale(hr)
    assert np.array_equal(shown[2], lr[top // 4 : top // 4 + 6, left // 4 : left // 4 + 6])
    for number, crop in enumerate(shown[3:6]):
        assert crop.shape == (24, 24, 3)
        assert (crop == 10 * number).all()
    assert np.array_equal(shown[6], hr[::-1])  # the reference
    assert len(shown) == 7


def test_details_stand_in_two_rows_of_one_size(drawn):
    rows = [("M", f"{n}", 20.0 + n, 0.5) for n in range(7)]
    figure = drawn(*ROWS[:1], *rows)
    crops = [axes.get_position() for axes in figure.axes[1:11]]
    assert len({round(crop.y0, 6) for crop in crops}) == 2
    assert len({(round(crop.width, 6), round(crop.height, 6)) for crop in crops}) == 1
    assert max(crop.x1 for crop in crops) <= 1


def test_the_pdf_has_text_and_whole_pixels_and_no_time(drawn, tmp_path):
    drawn(*ROWS)
    content = (tmp_path / "grids" / "001.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType
    assert b"/Type3" not in content
    assert b"CreationDate" not in content
    assert b"/Width 128" in content  # HR
    assert b"/Width 24" in content  # a detail
    drawn(*ROWS)
    assert (tmp_path / "grids" / "001.pdf").read_bytes() == content


@pytest.mark.parametrize("shape", [(16, 500), (400, 16)], ids=str)
def test_strange_shapes_are_drawn(drawn, shape):
    figure = drawn(*ROWS, shape=shape)
    assert max(figure.get_size_inches()) < 40
    for axes in figure.axes:
        assert axes.get_position().width > 0
        assert axes.get_position().height > 0


class Named:
    def __init__(self, name):
        self.name = name


def methods_shown(**counts):
    rows = [{"method": name, "n": n} for name, count in counts.items() for n in range(count)]
    shown = report._compared([Named(name) for name in counts], rows)
    return {row["method"] for row in shown}, len(shown)


def test_the_method_with_most_references_is_shown_and_others_if_there_is_room():
    assert methods_shown(bicubic=1) == ({"bicubic"}, 1)
    shown = methods_shown(bicubic=1, landmark=2, edsr=1, srntt=7)
    assert shown == ({"bicubic", "srntt", "landmark"}, 10)
    assert methods_shown(bicubic=1, a=7, b=7, edsr=1) == ({"bicubic", "a", "edsr"}, 9)
    assert methods_shown(bicubic=1, a=13, edsr=1) == ({"bicubic", "a"}, 14)
