"""The contact sheet: what is written and framed on it."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from srntt_pipeline.albums import contact_sheet, count_plot
from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.manifest import read_manifests
from srntt_pipeline.config import BuildParams

PARAMS = BuildParams(
    name="three", long_side_px=220, crop_px=64, crops_per_pair=1, levels=2, bands=(9000, 20),
    train_pairs=6, test_groups=1,
)  # fmt: skip


@pytest.fixture
def drawn(tmp_path, photograph, monkeypatch):
    """Build a data set of three panned albums; return its manifest and the sheet's figure."""

    def build(params):
        for number in range(3):
            folder = tmp_path / "albums" / f"album_{number}"
            folder.mkdir(parents=True)
            for i in range(4):
                view = photograph[60 * number : 60 * number + 200, 40 * i : 40 * i + 220]
                Image.fromarray(view).save(folder / f"{i}.png")
        seen = []
        save = contact_sheet.save_figure
        monkeypatch.setattr(count_plot, "draw", lambda *_: None)

        def save_figure(figure, path):
            seen.append(figure)
            save(figure, path)

        monkeypatch.setattr(contact_sheet, "save_figure", save_figure)
        build_cufed5(tmp_path / "albums", tmp_path / "out", params, workers=1)
        return read_manifests(tmp_path / "out"), seen[-1]

    return build


def texts_of(figure):
    return [text.get_text() for text in figure.texts]


def test_levels_albums_and_what_is_missing_are_written(drawn):
    data, figure = drawn(PARAMS)
    texts = texts_of(figure)
    assert texts[0] == "Contact sheet of three"
    assert "TEST   none" in texts  # a group needs both levels
    training = sorted({row.album for row in data.train})
    assert f"TRAINING   6 pairs of {len(training)} albums: {', '.join(training)}" in texts
    assert texts[texts.index("L1: none") + 1] == "≥ 9000 matches"
    assert texts[texts.index("L2") + 1] == "6 pairs\n≥ 20 matches"
    pairs = [text for text in texts if " in the crops" in text]
    told = {
        f"{r.name}  {r.album}\n{r.matches} matches, {r.crop_matches} in the crops"
        for r in data.train
    }
    assert len(pairs) == 3
    assert set(pairs) <= told


def test_boxes_frame_the_crops_in_their_photos(drawn, tmp_path):
    """What lies in a box of the photo that is shown is the crop."""
    data, figure = drawn(PARAMS)
    framed = [axes for axes in figure.axes if axes.patches]
    assert len(framed) == 6  # three pairs
    expected = {(r.hr_photo, r.hr_x_px, r.hr_y_px) for r in data.train}
    expected |= {(r.ref_photo, r.ref_x_px, r.ref_y_px) for r in data.train}
    for axes in framed:
        (box,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
        assert (axes.get_title(), *box.get_xy()) in expected
        assert box.get_width() == box.get_height() == 64
        photo = axes.images[0].get_array()
        assert photo.shape[:2] == (200, 220)
        x, y = map(int, box.get_xy())
        crop = photo[y : y + 64, x : x + 64]
        files = [*(tmp_path / "out" / "train").rglob("*.png")]
        assert any(np.array_equal(crop, np.asarray(Image.open(file))) for file in files)


def test_test_groups_stand_above_training_pairs(drawn):
    params = PARAMS.model_copy(update={"bands": (150, 20)})
    data, figure = drawn(params)
    texts = texts_of(figure)
    album = data.test[0].album
    test = texts.index(f"TEST   1 group of the album: {album}")
    training = next(i for i, text in enumerate(texts) if text.startswith("TRAINING"))
    heights = [figure.texts[i].get_position()[1] for i in (test, training)]
    assert heights[0] > heights[1]
    assert texts[test + 1 : test + 3] == ["group 000", album]
    titles = [axes.get_title() for axes in figure.axes]
    for row in data.test:
        told = f"{row.level}: {row.matches} matches" if row.k else "HR"
        assert f"{told}\n{row.photo}" in titles


def test_everything_lies_on_the_sheet(drawn):
    _, figure = drawn(PARAMS)
    for axes in figure.axes:
        left, bottom, right, top = axes.get_position().extents
        assert -1e-9 <= left < right <= 1 + 1e-9
        assert -1e-9 <= bottom < top <= 1 + 1e-9
