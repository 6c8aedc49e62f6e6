from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from matplotlib.quiver import Quiver
from PIL import Image

from srntt_pipeline.config import MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps.match_figure import across, arrows, draw
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


def test_arrows_of_an_identical_reference_have_no_length() -> None:
    match = with_itself()
    here, there = np.moveaxis(arrows(match, sources(match), 0), 1, 0)
    np.testing.assert_allclose(here, there)
    assert len(here) == 140  # of every patch: there are few


def test_arrows_point_to_the_place_in_a_reference_of_another_size() -> None:
    """Each patch is found at Ref's upper left, in a reference of half the width."""
    found = matched(view(), [view(0, 0), view(width=32)], torch.full((10, 14), 140))
    assert arrows(found, sources(found), 0).shape == (0, 2, 2)
    drawn = arrows(found, sources(found), 1)
    assert len(drawn) == 140
    np.testing.assert_allclose(drawn[:, 1], [(12, 6)] * 140)  # its centre (6, 6), stretched
    np.testing.assert_allclose(drawn[0, 0], (6, 6))
    np.testing.assert_allclose(drawn[-1, 0], (58, 42))


def test_arrows_are_few_on_a_large_image() -> None:
    hr = np.zeros((408, 408, 3), np.uint8)
    match = matched(hr, [hr], torch.arange(10_000).view(100, 100))
    assert len(arrows(match, sources(match), 0)) == 14 * 14


def test_lightness_tells_how_far_right_a_patch_lies() -> None:
    match = matched(view(), [view(), view(60, 90)], torch.arange(280).view(2, 10, 14)[1] - 3)
    found = sources(match)
    for number in (0, 1):
        lightness = across(match, found, number)
        assert np.array_equal(np.isnan(lightness), found.ref != number)
        there = found.ref == number
        np.testing.assert_allclose(lightness[there], found.centres[there][:, 0] / 64)


def test_the_picture_holds_what_it_promises() -> None:
    tried = augmentations((1.0, 0.5), (0.0, 20.0))
    index = torch.arange(280).view(2, 10, 14)[1] - 3
    match = matched(view(), [view(), view(60, 90)], index, tried)
    figure = draw(match, "title")
    by_title = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    assert [title.split(",")[0].split(":")[0].split(";")[0] for title in by_title] == [
        "LR↑", "rebuilt from Ref patches", "HR", "cosine of the match", "Ref 1", "found in Ref 1",
        "Ref 2", "found in Ref 2", "reference", "scale of the reference", "turn of the reference",
    ]  # fmt: skip
    rebuilt = next(axis for title, axis in by_title.items() if title.startswith("rebuilt"))
    assert np.array_equal(rebuilt.images[0].get_array(), paste(match))
    quivers = [axis.findobj(Quiver) for title, axis in by_title.items() if "found in" in title]
    assert [len(each) for each in quivers] == [1, 1]


def test_patches_have_one_number_in_lr_and_in_their_reference() -> None:
    match = matched(view(), [view(), view(60, 90)], torch.arange(280).view(2, 10, 14)[1] - 3)
    figure = draw(match, "title")
    lr, *refs = (a for a in figure.axes if a.get_title().startswith(("LR", "Ref")))
    numbers = [[text.get_text() for text in axis.texts] for axis in (lr, *refs)]
    assert numbers[0] == [*"123456789"]
    assert sorted(numbers[1] + numbers[2]) == numbers[0]
    assert [len(axis.patches) for axis in (lr, *refs)] == [len(each) for each in numbers]


def test_legends_tell_the_share_of_each_scale_and_turn_in_greys() -> None:
    tried = augmentations((1.0, 0.5), (0.0, 20.0))
    match = matched(view(), [view()], torch.tensor([[0, 1], [2, 150]]), tried)
    match = replace(match, hr=view(height=16, width=16), lr_up=view(height=16, width=16))
    figure = draw(match, "title")
    told = {}
    for axis in figure.axes:
        if legend := axis.get_legend():
            told[axis.get_title()] = [text.get_text() for text in legend.get_texts()]
            tones = {patch.get_facecolor()[:3] for patch in legend.get_patches()}
            assert len(tones) == len(legend.get_patches())
            assert all(len(set(tone)) == 1 for tone in tones)  # grey
            shown = np.unique(axis.images[0].get_array())
            np.testing.assert_allclose(sorted(tone[0] for tone in tones), shown)
    assert told == {
        "scale of the reference": ["1: 100%"],
        "turn of the reference": ["0°: 75%", "20°: 25%"],
    }


def test_rare_versions_are_hatched_together() -> None:
    tried = [Augmentation(1.0, 10.0 * n) for n in range(8)]
    index = torch.arange(8).view(2, 4) * 140
    match = matched(view(height=16, width=24), [view()], index, tried)
    figure = draw(match, "title")
    (legend,) = (axis.get_legend() for axis in figure.axes if axis.get_legend())
    others = legend.get_patches()[-1]
    assert legend.get_texts()[-1].get_text() == "others: 25%"
    assert others.get_hatch()
    assert legend.axes.patch.get_hatch() == others.get_hatch()


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
