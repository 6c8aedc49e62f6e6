import re
from collections import Counter

import pytest
from PIL import Image

from srntt_pipeline.albums import contact_sheet, count_plot
from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.manifest_rows import TrainRow, read_manifest
from srntt_pipeline.config import BuildParams


@pytest.fixture
def albums(tmp_path, photograph):
    """Six albums that pan over a photograph: every overlap from nine tenths to none."""
    for number in range(6):
        folder = tmp_path / "albums" / f"{number}"
        folder.mkdir(parents=True)
        for i in range(8):
            x, y = 40 * i, 60 * number
            view = photograph[y : y + 200, x : x + 220]
            Image.fromarray(view).save(folder / f"{i}.png")
    return tmp_path / "albums"


@pytest.fixture
def build(albums, tmp_path, monkeypatch):
    monkeypatch.setattr(count_plot, "draw", lambda *_: None)
    monkeypatch.setattr(contact_sheet, "draw", lambda *_: None)

    def run(**params):
        chosen = {"long_side_px": 220, "crop_px": 64, "crops_per_pair": 1, "test_groups": 0}
        report = build_cufed5(albums, tmp_path / "out", BuildParams(**chosen | params), workers=1)
        rows = read_manifest(TrainRow, tmp_path / "out" / "manifests" / "train.csv")
        return report["warnings"], Counter(row.level for row in rows)

    return run


def test_even_levels_are_not_warned_of(build):
    warnings, levels = build(levels=2, bands=(100, 20), train_pairs=40)
    assert set(levels.values()) == {20}
    assert warnings == []


def test_band_that_would_fill_a_level_with_few_pairs_fills_it(build):
    warnings, levels = build(levels=2, bands=(350, 20), train_pairs=100)
    scarce = re.fullmatch(
        r"L1 has few pairs: (\d+) of (\d+) training pairs, an even share is 50; "
        r"a band from (\d+) on, not 350, would fill it",
        warnings[0],
    )
    assert scarce, warnings
    assert int(scarce[1]) == levels["L1"] < 25
    warnings, levels = build(levels=2, bands=(int(scarce[3]), 20), train_pairs=100)
    assert not [text for text in warnings if text.startswith("L1")]
    assert levels["L1"] >= 40


def test_level_that_no_band_fills_is_told_so(build):
    warnings, _ = build(levels=3, bands=(9000, 8000, 1), train_pairs=200)
    assert [text[:16] for text in warnings] == ["L1 has few pairs", "L2 has few pairs"]
    warnings, _ = build(levels=2, bands=(40, 1), train_pairs=10_000, crop_matches=40)
    assert [text[:16] for text in warnings] == ["L2 has few pairs"]
    assert "lower crop_matches" in warnings[0]
