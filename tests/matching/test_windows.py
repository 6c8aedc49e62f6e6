import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srntt_pipeline.matching import windows
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.swaps.encoder import load_encoder

lengths = st.integers(3, 700)


@given(lengths, lengths)
def test_every_patch_lies_in_one_window(height: int, width: int) -> None:
    covered = np.zeros((height - 2, width - 2), int)
    for part in windows.windows(height, width, overlap=2):
        assert 3 <= part.bottom - part.top <= windows.SIDE
        assert 3 <= part.right - part.left <= windows.SIDE
        covered[part.top : part.bottom - 2, part.left : part.right - 2] += 1
    assert (covered == 1).all()


@given(lengths, lengths)
def test_without_overlap_every_position_lies_in_one_window(height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    for part in windows.windows(height, width):
        covered[part.top : part.bottom, part.left : part.right] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize(
    "window",
    [Window(0, 5, 0, 9), Window(7, 12, 4, 10), Window(20, 25, 11, 15), Window(0, 25, 3, 6)],
)
def test_a_window_has_the_map_that_it_has_in_the_image(
    photograph: np.ndarray, window: Window
) -> None:
    image = photograph[100:200, 100:160]
    encoder = load_encoder("random", 0, torch.device("cpu"))
    for layer, maps in encoder.encode(image).items():
        cells = maps.shape[1] // 25
        rows = slice(cells * window.top, cells * window.bottom)
        columns = slice(cells * window.left, cells * window.right)
        found = window.inner(encoder.encode(window.cut(image))[layer], image)
        expected = maps[:, rows, columns]
        assert (found - expected).norm() < 1e-5 * expected.norm()


def test_no_more_is_cut_than_the_window_sees(photograph: np.ndarray) -> None:
    image = photograph[100:200, 100:160]
    assert Window(7, 12, 4, 10).cut(image).shape == (11 * 4, 12 * 4, 3)
    assert Window(0, 25, 0, 15).cut(image).shape == image.shape


def test_patches_of_a_window_and_the_positions_they_cover():
    window = Window(2, 9, 0, 5)
    assert window.patches == Window(2, 7, 0, 3)
    assert window.patches.covered == window
    mask = np.arange(15).reshape(5, 3) % 2 == 0
    assert Window(3, 5, 1, 2).of(mask, window.patches).tolist() == [[True], [False]]
