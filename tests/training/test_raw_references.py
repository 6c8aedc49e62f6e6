"""References as they are: cut, padded or whole, and turned with HR."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.recipes import RawReferences
from srntt_pipeline.training.data import HrImages, Patches, StepSampler, batches, drawn
from srntt_pipeline.training.raw_references import ReferenceImages, check_references, collate
from tests import naive_views


def pictures(folder: Path, sizes: list[tuple[int, int]], hr: tuple[int, int] = (32, 24)) -> Path:
    """Save pairs of random pictures: HR of one size, references of these, each (width, height)."""
    random = np.random.default_rng(0)
    for side, of_side in (("input", [hr] * len(sizes)), ("ref", sizes)):
        (folder / "train" / side).mkdir(parents=True, exist_ok=True)
        for number, (width, height) in enumerate(of_side):
            pixels = random.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "train" / side / f"{number}.png")
    return folder


def patches(folder: Path, augment: bool, colour: float = 0, **params: object) -> Patches:
    pairs = read_train_pairs(folder)
    images = HrImages(pairs, {pair.name: file_sha256(pair.hr) for pair in pairs})
    hashes = {pair.name: file_sha256(pair.ref) for pair in pairs}
    references = ReferenceImages(RawReferences(**params), hashes)
    return Patches(images, 16, 3, "images", augment, references=references, colour=colour)


def pixels(path: Path) -> np.ndarray:
    """The picture as [3, H, W] in [0, 1]."""
    return (np.asarray(Image.open(path)).astype(np.float32) / 255).transpose(2, 0, 1)


def box_of(patch: np.ndarray, whole: np.ndarray) -> tuple[int, int]:
    """Where `patch` lies in `whole`."""
    _, height, width = patch.shape
    (found,) = [
        (top, left)
        for top in range(whole.shape[1] - height + 1)
        for left in range(whole.shape[2] - width + 1)
        if np.array_equal(whole[:, top : top + height, left : left + width], patch)
    ]
    return found


def naive(reference: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    out = np.zeros((3, side, side), np.float32)
    for row in range(side):
        for column in range(side):
            if top + row < reference.shape[1] and left + column < reference.shape[2]:
                out[:, row, column] = reference[:, top + row, left + column]
    return out


def ways(array: np.ndarray) -> list[np.ndarray]:
    """The eight ways that a picture [3, H, W] can be turned and flipped."""
    return [naive_views.naive(array.transpose(1, 2, 0), way).transpose(2, 0, 1) for way in range(8)]


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"references": "cut"}, (32, 24)),
        ({"references": "cut"}, (31, 25)),  # the released pairs differ by a pixel
        ({"references": "pad", "reference_px": 20}, (32, 24)),  # cut on both sides
        ({"references": "pad", "reference_px": 28}, (32, 24)),  # cut and padded
        ({"references": "pad", "reference_px": 40}, (19, 7)),
        ({"references": "whole"}, (20, 12)),
    ],
    ids=str,
)
def test_a_reference_is_cut_or_padded_and_then_turned_as_hr_is(
    tmp_path: Path, params: dict[str, object], size: tuple[int, int]
) -> None:
    folder = pictures(tmp_path, [size] * 2)
    plain, turned = (patches(folder, augment, **params) for augment in (False, True))
    hr, ref = (pixels(folder / "train" / side / "1.png") for side in ("input", "ref"))
    drawn: Counter[int] = Counter()
    for step in range(60):
        before, after = plain[step, 0, 1], turned[step, 0, 1]
        top, left = box_of(before["hr"].numpy(), hr)
        if params["references"] == "whole":
            expected = ref
        elif params["references"] == "cut":
            expected = naive(ref, top, left, 16)
        else:
            expected = naive(ref, 0, 0, int(str(params["reference_px"])))
        np.testing.assert_array_equal(before["refs"].numpy(), expected)
        (way,) = [
            way
            for way, array in enumerate(ways(hr[:, top : top + 16, left : left + 16]))
            if np.array_equal(array, after["hr"].numpy())
        ]
        np.testing.assert_array_equal(after["refs"].numpy(), ways(expected)[way])
        drawn[way] += 1
    assert set(drawn) == set(range(8))


@pytest.mark.parametrize("references", ["whole", "cut", "pad"])
def test_a_reference_is_recoloured_as_hr_is(tmp_path: Path, references: str) -> None:
    folder = pictures(tmp_path, [(16, 16)], hr=(16, 16))
    for side in ("input", "ref"):  # one picture, twice
        Image.open(folder / "train" / "input" / "0.png").save(folder / "train" / side / "0.png")
    made = patches(folder, True, 0.5, references=references, reference_px=16)
    plain = patches(folder, True, references=references, reference_px=16)
    for step in range(8):
        item = made[step, 0, 0]
        np.testing.assert_array_equal(item["refs"], item["hr"])
        assert not np.array_equal(item["hr"], plain[step, 0, 0]["hr"])
        lr = Image.fromarray((item["hr"] * 255).round().byte().permute(1, 2, 0).numpy())
        lr = np.asarray(lr.resize((4, 4), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal((item["lr"] * 255).round().byte().permute(1, 2, 0), lr)


def test_whole_references_of_several_sizes_are_no_batch(tmp_path: Path) -> None:
    plain = patches(pictures(tmp_path, [(20, 12), (20, 12), (12, 20)]), False, references="whole")
    batch = collate([plain[0, 0, 0], plain[0, 1, 1]])
    assert batch["refs"].shape == (2, 3, 12, 20)
    with pytest.raises(InputError, match=r"references of 20×12 and 12×20 px .* cut or pad") as e:
        collate([plain[0, 0, 0], plain[0, 1, 2]])
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("size", [(28, 24), (32, 28), (64, 48)])
def test_what_cannot_be_cut_as_hr_is_is_named(tmp_path: Path, size: tuple[int, int]) -> None:
    pairs = read_train_pairs(pictures(tmp_path, [(32, 24), (31, 23), size]))
    told = rf"ref/2\.png is {size[0]}×{size[1]} px, its HR image 32×24.*pad or whole"
    with pytest.raises(InputError, match=told):
        check_references(pairs, RawReferences(references="cut"))
    check_references(pairs, RawReferences(references="pad"))
    check_references(pairs[:2], RawReferences(references="cut"))


@pytest.mark.parametrize("damaged", [False, True])
def test_what_a_loader_worker_refuses_is_one_line(tmp_path: Path, damaged: bool) -> None:
    folder = pictures(tmp_path, [(20, 12), (20, 12), (12, 20)])
    told = "^references of 20×12 and 12×20 px"
    if damaged:
        (folder / "train" / "ref" / "1.png").write_bytes(b"no picture")
        told = r"ref/1\.png: "
    made = patches(folder, False, references="whole")
    with pytest.raises(InputError, match=told) as caught:
        list(drawn(batches(made, StepSampler(3, 3, 0, 1, seed=0), workers=1)))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_reference_that_has_changed_is_named(tmp_path: Path) -> None:
    made = patches(pictures(tmp_path, [(32, 24)] * 2), False)
    Image.new("RGB", (32, 24)).save(tmp_path / "train" / "ref" / "1.png")
    assert made[0, 0, 0]["refs"].shape == (3, 16, 16)
    with pytest.raises(InputError, match=r"ref/1\.png has changed since training started"):
        made[0, 0, 1]
