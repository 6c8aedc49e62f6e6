from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from matplotlib.colors import rgb_to_hsv
from PIL import Image

from srntt_pipeline.config import MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps.match_figure import colour_code, draw, source_map
from srntt_pipeline.swaps.match_sources import Match, paste, sources
from srntt_pipeline.swaps.references import Augmentation, augment, augmentations
from srntt_pipeline.swaps.show import show_match
from tests.swaps import naive_refine

PLAIN = [Augmentation(1.0, 0.0)]
RANDOM = MatchParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))


def view(top: int = 100, left: int = 150, height: int = 48, width: int = 64) -> np.ndarray:
    return np.ascontiguousarray(skimage.data.astronaut()[top : top + height, left : left + width])


def matched(
    hr: np.ndarray,
    refs: list[np.ndarray],
    index: torch.Tensor,
    tried: list[Augmentation] = PLAIN,
    phase: torch.Tensor | None = None,
) -> Match:
    shapes = tuple(
        tuple(side // 4 for side in augment(ref, version).shape[:2])
        for ref in refs
        for version in tried
    )
    score = torch.linspace(0.2, 1, index.numel()).view(index.shape)
    return Match(hr, hr, refs, tried, Correspondence(index, score, score, shapes, phase))


def with_itself() -> Match:
    """Every LR patch found at its own place: 10×14 of them."""
    return matched(view(), [view()], torch.arange(140).view(10, 14))


def test_an_identical_reference_rebuilds_the_image() -> None:
    assert np.array_equal(paste(with_itself()), view())


@pytest.mark.parametrize("refined", [False, True], ids=["on the grid", "to the pixel"])
def test_overlapping_patches_are_averaged(refined: bool) -> None:
    rng = np.random.default_rng(0)
    refs = [view(), view(60, 90)[:, :40]]
    tried = [Augmentation(1.0, 0.0), Augmentation(0.7, 20.0)]
    versions = [augment(ref, version) for ref in refs for version in tried]
    shapes = [(len(image) // 4, image.shape[1] // 4) for image in versions]
    found = naive_refine.any_places(rng, shapes, (5, 7))
    phase = found.phase if refined else None
    match = matched(np.zeros((28, 36, 3), np.uint8), refs, found.index, tried, phase)
    assert match.found.shapes == tuple(shapes)
    places = naive_refine.places(match.found)
    assert bool((places[..., 1:] % 4).any()) == refined
    sums, counts = np.zeros((28, 36, 3)), np.zeros((28, 36, 1))
    for row in range(5):
        for column in range(7):
            number, top, left = places[row, column]
            here = np.s_[4 * row : 4 * row + 12, 4 * column : 4 * column + 12]
            sums[here] += versions[number][top : top + 12, left : left + 12]
            counts[here] += 1
    assert np.abs(paste(match) - sums / counts).max() <= 0.51


def test_corners_of_a_match_to_the_pixel_begin_at_the_pixel() -> None:
    refs = [view(), view(60, 90)[:, :40]]
    shapes = [(len(ref) // 4, ref.shape[1] // 4) for ref in refs]
    found = naive_refine.any_places(np.random.default_rng(0), shapes, (5, 7))
    match = matched(np.zeros((28, 36, 3), np.uint8), refs, found.index, phase=found.phase)
    traced = sources(match)
    for place in np.ndindex(5, 7):
        number, y, x = naive_refine.places(found)[place]
        assert traced.ref[place] == number
        expected = [(x, y), (x + 12, y), (x + 12, y + 12), (x, y + 12)]
        np.testing.assert_allclose(traced.corners[place], expected)
        np.testing.assert_allclose(traced.centres[place], (x + 6, y + 6))


def test_sources_of_an_identical_reference_are_the_identity() -> None:
    found = sources(with_itself())
    rows, columns = np.mgrid[:10, :14]
    assert not found.ref.any()
    assert not found.version.any()
    np.testing.assert_allclose(found.centres, np.stack([4 * columns + 6, 4 * rows + 6], -1))


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("step", [4, 1], ids=["on the grid", "to the pixel"])
def test_sources_lead_back_to_the_reference_as_given(number: int, step: int) -> None:
    """A dot in a reference lies, in each version, in the patches whose source it is in."""
    tried = augmentations((1.0, 1.5), (0.0, 20.0))
    ref = np.zeros((72, 88, 3), np.uint8)
    y, x = 30, 50
    ref[y - 3 : y + 3, x - 3 : x + 3] = 255
    version = augment(ref, tried[number])
    # Of the patches that begin `step` px apart, that in whose middle most of the dot lies.
    sums = {
        (top, left): int(version[top + 3 : top + 9, left + 3 : left + 9].sum(dtype=int))
        for top in range(0, version.shape[0] - 11, step)
        for left in range(0, version.shape[1] - 11, step)
    }
    top, left = max(sums, key=lambda place: sums[place])
    before = [tuple(s // 4 for s in augment(ref, v).shape[:2]) for v in tried[:number]]
    width = version.shape[1] // 4 - 2
    index = torch.tensor([[PatchNumbers(before).count + top // 4 * width + left // 4]])
    phase = torch.tensor([[4 * (top % 4) + left % 4]], dtype=torch.uint8)
    blank = np.zeros((12, 12, 3), np.uint8)
    found = sources(matched(blank, [ref], index, tried, phase if step == 1 else None))
    assert found.version.item() == number
    np.testing.assert_allclose(found.centres[0, 0], (x, y), atol=4 if step == 4 else 1.5)
    side = np.linalg.norm(found.corners[0, 0, 1] - found.corners[0, 0, 0])
    assert side == pytest.approx(12 / tried[number].scale, rel=0.03)


def test_colours_tell_references_and_places_apart() -> None:
    y, x = np.mgrid[:5, :7] / np.array([4, 6]).reshape(2, 1, 1)
    both = [colour_code(np.full((5, 7), ref), x, y, 2) for ref in (0, 1)]
    hues = [rgb_to_hsv(colours)[..., 0] for colours in both]
    assert hues[0].max() < 0.5 <= hues[1].min()
    for colours in both:
        assert len(np.unique(colours.reshape(-1, 3).round(3), axis=0)) == 35
        assert 0 <= colours.min() <= colours.max() <= 1


def test_source_map_of_an_identical_reference_is_its_colour_code() -> None:
    rows, columns = np.mgrid[:10, :14]
    expected = colour_code(rows * 0, (4 * columns + 6) / 64, (4 * rows + 6) / 48, 1)
    np.testing.assert_allclose(source_map(with_itself()), expected)


def test_the_picture_holds_what_it_promises() -> None:
    match = matched(view(), [view(), view(60, 90)], torch.arange(280).view(2, 10, 14)[1] - 3)
    figure = draw(match, "title")
    titles = [axis.get_title().split("\n")[0] for axis in figure.axes]
    assert [title.split(",")[0].split(":")[0] for title in titles] == [
        "LR↑", "Ref 1", "Ref 2", "cosine of the match", "rebuilt from Ref patches",
        "where each LR patch was found", "its colour code", "its colour code",
        "version of the reference", "HR",
    ]  # fmt: skip
    assert titles[1] == "Ref 1: 2% of the patches"
    assert titles[2] == "Ref 2: 98% of the patches"
    by_title = dict(zip(titles, figure.axes, strict=True))
    rebuilt = next(axis for title, axis in by_title.items() if title.startswith("rebuilt"))
    assert np.array_equal(rebuilt.images[0].get_array(), paste(match))
    frames = [len(axis.patches) for axis in figure.axes[:3]]
    assert frames[0] == 9
    assert frames[1] + frames[2] == 9
    assert len(figure.artists) == 9


def test_an_image_that_is_its_own_reference(tmp_path: Path) -> None:
    Image.fromarray(view()).save(tmp_path / "hr.png")
    out = tmp_path / "match.png"
    show_match(str(tmp_path / "hr.png"), out, RANDOM, refs=[tmp_path / "hr.png"], device="cpu")
    image = np.asarray(Image.open(out).convert("RGB"))
    assert min(image.shape[:2]) > 400
    assert image.std() > 20


def test_references_of_any_size(tmp_path: Path) -> None:
    hr = "$x^_$ \x1b\n\\frac"  # drawn as it is, not as a formula
    for name, image in ((hr, view(height=50)), ("a", view(10, 10, 30, 90)), ("b", view()[:13])):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    params = RANDOM.model_copy(update={"scales": (1.0, 0.5), "rotations_deg": (0.0, 20.0)})
    refs = [tmp_path / "a.png", tmp_path / "b.png"]
    show_match(str(tmp_path / f"{hr}.png"), tmp_path / "o.png", params, refs=refs, device="cpu")
    assert (tmp_path / "o.png").stat().st_size > 10_000


def test_a_stored_pair(tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    show_match("1", tmp_path / "o.png", RANDOM, swaps=tiny_swaps, dataset=tiny_dataset)
    assert (tmp_path / "o.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "takes an HR image with --ref, or a pair's name with --swaps and --dataset"),
        ({"swaps": True}, "takes an HR image"),
        ({"refs": True, "dataset": True}, "takes an HR image"),
        ({"refs": True, "swaps": True, "dataset": True}, "takes an HR image"),
        ({"swaps": True, "dataset": True, "sample": "9"}, "holds no swap of the pair 9"),
        ({"refs": True, "sample": "none.png"}, "none.png: unreadable"),
        ({"refs": True, "out": "o.jpg"}, "give a file name that ends in .png"),
    ],
    ids=str,
)
def test_what_makes_no_picture_is_refused(
    tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path, options: dict, message: str
) -> None:
    ref = tiny_dataset / "train" / "ref" / "1.png"
    given = {
        "refs": [ref] if "refs" in options else [],
        "swaps": tiny_swaps if "swaps" in options else None,
        "dataset": tiny_dataset if "dataset" in options else None,
    }
    out = tmp_path / options.get("out", "o.png")
    with pytest.raises(InputError) as caught:
        show_match(options.get("sample", "1"), out, RANDOM, device="cpu", **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_an_image_changed_since_is_named(
    tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    for side in ("input", "ref"):
        (tmp_path / "train" / side).mkdir(parents=True)
        Image.fromarray(view()).save(tmp_path / "train" / side / "1.png")
    with pytest.raises(InputError, match=r"1\.png is not the image that .* was made from"):
        show_match("1", tmp_path / "o.png", RANDOM, swaps=tiny_swaps, dataset=tmp_path)
