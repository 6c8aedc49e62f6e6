import numpy as np
import pytest
import torch

from srntt_pipeline.images import downscale, upscale
from srntt_pipeline.maps import CELLS, LAYERS, VALUES
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import augmentations
from srntt_pipeline.swaps.windowed import KeptMaps, WindowedSwap, swap_features

CPU = torch.device("cpu")
VERSIONS = augmentations((1.0, 0.7), (0.0, 20.0))
HEIGHT, WIDTH = 20, 33


@pytest.fixture(scope="module", params=["none", "relu3_1"])
def pair(photograph, request):
    """References of odd sizes, and the correspondence of 20×33 px with them."""
    lr = downscale(photograph[40 : 40 + 4 * HEIGHT, 130 : 130 + 4 * WIDTH])
    refs = [photograph[30:145, 150:277], photograph[10:60, 200:251]]
    encoder = load_encoder("random", 0, CPU)
    return refs, match_images(upscale(lr), refs, VERSIONS, encoder, refine=request.param)


@pytest.fixture(params=[3, 48])
def swap_of(request, pair):
    """A WindowedSwap with blocks of that many patches a side, and the images that it encodes."""
    refs, found = pair
    encoder, seen = load_encoder("random", 0, CPU), []
    swapped = WindowedSwap(found, refs, VERSIONS, encoder, room=0, block=request.param)
    encode, dense = swapped._encoder.encode_each, swapped._encoder.dense
    swapped._encoder.encode_each = lambda images: encode(
        seen.append(image.shape) or image for image in images
    )
    swapped._encoder.dense = lambda image, texture: (
        seen.append(image.shape) or dense(image, texture=texture)
    )
    return swapped, seen, request.param


@pytest.mark.parametrize(
    "window",
    [
        Window(0, HEIGHT, 0, WIDTH),
        Window(0, 1, 0, 1),
        Window(HEIGHT - 1, HEIGHT, WIDTH - 2, WIDTH),
        Window(7, 12, 0, 9),
    ],
)
def test_a_window_is_cut_from_the_whole_swap(pair, swap_of, window):
    refs, found = pair
    swapped, _, _ = swap_of
    whole = swap_features(found, refs, VERSIONS, load_encoder("random", 0, CPU))
    inner = Window(window.top, window.top + 1, window.left, window.left + 1)
    part = swapped.swap({"relu3_1": window, "relu2_1": window, "relu1_1": inner})
    everything = Window(0, HEIGHT, 0, WIDTH)
    for layer in LAYERS:
        expected = (inner if layer == "relu1_1" else window).of(
            whole.maps[layer], everything, CELLS[layer]
        )
        assert part.maps[layer].shape == expected.shape
        assert (part.maps[layer] - expected).abs().max() < 1e-5 * whole.maps[layer].abs().max()
    assert torch.allclose(part.weight, window.of(whole.weight, everything), atol=1e-6)


def test_only_blocks_that_something_was_matched_in_are_encoded(swap_of):
    swapped, seen, side = swap_of
    swapped.swap(dict.fromkeys(LAYERS, Window(8, 10, 20, 22)))
    assert 1 <= len(seen) <= 4 * 4  # a window of 2×2 is covered by 4×4 patches
    assert max(max(shape[:2]) for shape in seen) <= 4 * (side + 2 + 2 * 4)


def test_kept_maps_are_those_of_another_network_with_the_same_windows(pair, swap_of):
    refs, found = pair
    swapped, seen, side = swap_of
    windows = dict.fromkeys(LAYERS, Window(2, 12, 5, 25))
    kept = KeptMaps(10 * 20 * VALUES * 4 + 10 * 20 * 4)  # just these maps and their weights
    encoder = load_encoder("random", 0, CPU)
    first = WindowedSwap(found, refs, VERSIONS, encoder, 0, side, kept).swap(windows)
    maps = dict(first.maps)
    first.maps.clear()  # as tiles do, one layer after the other
    swapped._kept = kept
    again = swapped.swap(windows)
    assert not seen
    assert all(torch.equal(again.maps[layer], maps[layer]) for layer in LAYERS)
    assert torch.equal(again.weight, first.weight)
    for _ in range(2):  # there is no room for others
        seen.clear()
        swapped.swap(dict.fromkeys(LAYERS, Window(0, 1, 0, 1)))
        assert seen


def test_a_window_grows_no_farther_than_the_image():
    assert Window(1, 3, 5, 9).grown(2, 4, 40) == Window(0, 4, 3, 11)
    assert Window(1, 3, 5, 9).positions == 8
    values = np.arange(24).reshape(4, 6)
    cut = Window(1, 2, 1, 3).of(torch.from_numpy(values), Window(0, 2, 0, 3), 2)
    assert cut.tolist() == [[14, 15, 16, 17], [20, 21, 22, 23]]
