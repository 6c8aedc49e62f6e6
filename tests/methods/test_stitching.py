import numpy as np
import pytest

from srntt_pipeline.methods.stitching import stitch, stitch_masa


@pytest.fixture(scope="module")
def images(photograph):
    return [photograph[:33, :41], photograph[50:90, 7:27], photograph[:64, :63]]


def test_ttsrs_tiles_are_black_squares_side_by_side(images):
    found = stitch(images)
    assert found.shape == (500, 1500, 3)
    assert found.dtype == np.uint8
    assert found.sum() == sum(int(image.sum()) for image in images)
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        assert np.array_equal(found[:height, 500 * number : 500 * number + width], image)


def test_masas_tiles_are_filled_by_edges_and_lie_one_below_the_other(images):
    """Pixel by pixel: that of the image nearest to it, which lies in the middle, up and left."""
    found = stitch_masa(images)
    assert found.shape == (1536, 512, 3)
    assert found.dtype == np.uint8
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        top, left = (512 - height) // 2, (512 - width) // 2
        rows = [min(max(row - top, 0), height - 1) for row in range(512)]
        columns = [min(max(column - left, 0), width - 1) for column in range(512)]
        expected = np.array([[image[row, column] for column in columns] for row in rows])
        assert np.array_equal(found[512 * number : 512 * (number + 1)], expected)


@pytest.mark.parametrize("size", [(7, 513), (513, 7), (516, 516)])
def test_larger_references_make_all_tiles_larger_on_the_grid_of_4_px(size):
    tall, other = np.full((*size, 3), 1, np.uint8), np.full((4, 9, 3), 2, np.uint8)
    assert stitch([tall, other]).shape == (516, 1032, 3)
    assert stitch_masa([tall, other]).shape == (1032, 516, 3)
    assert (stitch_masa([tall, other])[516:] == 2).all()


def test_cufed5_makes_the_images_that_the_papers_tell(shared):
    """TTSR: 500 × 2500 px; MASA: 512 × 2560."""
    from srntt_pipeline.images import read_rgb

    folder = shared / "data" / "cufed" / "test" / "CUFED5"
    refs = [read_rgb(folder / f"001_{k}.png") for k in range(1, 6)]
    assert stitch(refs).shape == (500, 2500, 3)
    assert stitch_masa(refs).shape == (2560, 512, 3)
