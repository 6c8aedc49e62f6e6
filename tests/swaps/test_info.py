import re
from pathlib import Path

import numpy as np
import pytest

from srntt_pipeline.errors import InputError
from srntt_pipeline.swaps.info import shards_info
from srntt_pipeline.swaps.shards import Shards


def test_info_says_what_made_the_shards_and_what_they_weigh(tiny_swaps: Path) -> None:
    text = shards_info(tiny_swaps)
    assert f"{tiny_swaps}: 3 pairs in 2 shards by srntt_pipeline 0." in text
    assert "VGG19, random, seed 0 (sha256" in text
    assert "scales [1.0, 0.7], rotations_deg [0.0]" in text
    size = sum(path.stat().st_size for path in tiny_swaps.glob("*.*") if path.is_file())
    in_full = 3 * 48 * 40 * 112 * 4  # 64 + 32 + 16 values a pixel
    assert f"{size / 3e3:.1f} kB a pair" in text
    assert f"would take {in_full / 1e6:.1f} MB, {in_full / size:.0f} times it" in text


def test_info_counts_the_versions_in_use(tiny_swaps: Path) -> None:
    shards = Shards(tiny_swaps)
    used = [0, 0]
    for name in shards.names:
        found = shards[name].correspondence
        assert found.shapes == ((10, 12), (7, 8))
        for index in found.index.flatten().tolist():
            used[index >= 8 * 10] += 1
    shares = re.findall(r"^ +([\d.]+)%  scale ([\d.]+)", shards_info(tiny_swaps), re.MULTILINE)
    assert [scale for _, scale in shares] == ["1", "0.7"]
    expected = 100 * np.array(used) / sum(used)
    assert [float(share) for share, _ in shares] == pytest.approx(expected.tolist(), abs=0.051)


def test_info_of_maps(tiny_maps: Path) -> None:
    assert "store       maps float16 none" in shards_info(tiny_maps)
    assert "2 times it" in shards_info(tiny_maps)


def test_info_names_a_folder_that_holds_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json is missing"):
        shards_info(tmp_path)
