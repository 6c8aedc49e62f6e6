"""Refined matches against their definition in float64."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srntt_pipeline.images import RGB, downscale, upscale
from srntt_pipeline.matching import windows
from srntt_pipeline.matching.correspondence import Correspondence, match_maps
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps import image_matching, refine
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import (
    Augmentation,
    augment,
    augmentations,
    down_up_mean,
    every_version,
    valid_patches,
    valid_places,
)
from tests.swaps import naive_refine
from tests.swaps.naive_refine import places

CPU = torch.device("cpu")
ONE = [Augmentation(1.0, 0.0)]
# Scores are as near to float64's as Winograd's convolutions are; matches that near may differ.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def encoder(shared: Path) -> Encoder:
    return load_encoder(str(shared / "weights" / "vgg19_relu3_1.pth"), 0, CPU)


@pytest.fixture(scope="module")
def hr(photograph: np.ndarray) -> RGB:
    return np.ascontiguousarray(photograph[40:88, 60:116])


def moved(photograph: np.ndarray, down: int, right: int) -> RGB:
    """Return what `hr` shows and more, moved by some pixels."""
    return np.ascontiguousarray(photograph[32 + down : 96 + down, 52 + right : 120 + right])


def grid_match(
    lr_up: RGB, refs: list[RGB], versions: list[Augmentation], encoder: Encoder
) -> Correspondence:
    """Return the match on the grid of what matches to the pixel are looked for in."""
    maps, valid = [], []
    for ref, version in every_version(refs, versions):
        maps.append(encoder.encode(down_up_mean(augment(ref, version)), ["relu3_1"])["relu3_1"])
        mask = valid_patches(ref.shape, version)
        valid.append(None if mask is None else torch.from_numpy(mask.copy()))
    return match_maps(encoder.encode(lr_up, ["relu3_1"])["relu3_1"], maps, valid)


def check(
    found: Correspondence,
    hr: RGB,
    refs: list[RGB],
    versions: list[Augmentation],
    encoder: Encoder,
    candidates: np.ndarray,
) -> None:
    """Compare with the definition: scores everywhere, and places but for ties of rounding."""
    lr = naive_refine.dense_maps(encoder, upscale(downscale(hr)))["relu3_1"][:, ::4, ::4]
    images, valid = [], []
    for ref, version in every_version(refs, versions):
        images.append(down_up_mean(augment(ref, version)))
        height, width = images[-1].shape[:2]
        mask = valid_places(ref.shape, version)
        valid.append(np.ones((height - 11, width - 11), bool) if mask is None else mask)
    maps = [naive_refine.dense_maps(encoder, image)["relu3_1"] for image in images]
    scores, expected = naive_refine.refined(lr, maps, valid, candidates)

    np.testing.assert_allclose(found.score, scores, rtol=TOLERANCE)
    np.testing.assert_allclose(
        found.cosine, np.clip(scores / naive_norms(lr), 0, 1), rtol=TOLERANCE, atol=TOLERANCE
    )
    other = (places(found) != expected).any(-1)
    assert other.mean() < 0.02
    for i, j in np.argwhere(other):
        version, y, x = places(found)[i, j]
        assert valid[version][y, x]
        value = naive_refine.score(lr[:, i : i + 3, j : j + 3], maps[version], y, x, 4, 3)
        assert value == pytest.approx(scores[i, j], rel=TOLERANCE)


def naive_norms(maps: np.ndarray) -> np.ndarray:
    _, height, width = maps.shape
    return np.array([
        [np.linalg.norm(maps[:, i : i + 3, j : j + 3]) for j in range(width - 2)]
        for i in range(height - 2)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("versions", "references"),
    [
        (ONE, 1),
        (ONE, 2),
        (augmentations((1.0, 0.7), (0.0, 20.0)), 1),
        (augmentations((1.4,), (-20.0,), (0, 2)), 1),
    ],
    ids=["plain", "two references", "scales and rotations", "rotated and shifted"],
)
def test_it_is_its_definition(
    encoder: Encoder, photograph: np.ndarray, hr: RGB, versions: list[Augmentation], references: int
) -> None:
    refs = [moved(photograph, 1, 2), moved(photograph, 9, 3)][:references]
    lr_up = upscale(downscale(hr))
    coarse = [grid_match(lr_up, [ref], versions, encoder) for ref in refs]
    candidates = np.stack([places(one) for one in coarse])
    candidates[..., 0] += len(versions) * np.arange(len(refs)).reshape(-1, 1, 1)
    found = match_images(lr_up, refs, versions, encoder, refine="relu3_1")
    assert found.phase is not None
    assert found.phase.dtype == torch.uint8
    check(found, hr, refs, versions, encoder, candidates)


def test_a_moved_image_is_found_to_the_pixel(
    encoder: Encoder, photograph: np.ndarray, hr: RGB
) -> None:
    found = match_images(upscale(downscale(hr)), [moved(photograph, 1, 2)], ONE, encoder,
                         refine="relu3_1")  # fmt: skip
    rows, columns = found.index.shape
    here = np.stack(np.meshgrid(range(rows), range(columns), indexing="ij"), -1) * 4
    away = places(found)[..., 1:] - here
    # HR lies 8 px inside of its reference, which begins 1 px lower and 2 px farther right.
    inside = (slice(2, -2), slice(2, -2))
    exact = (away[inside] == (7, 6)).all(-1)
    assert exact.mean() > 0.6
    assert (abs(away[inside] - (7, 6)).max(-1) <= 1).mean() > 0.85


@pytest.mark.parametrize("best", [2, 3])
def test_several_candidates_are_refined_each(
    encoder: Encoder, photograph: np.ndarray, hr: RGB, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    real = refine.Refinement

    def spy(lr: Any, found: Any, **options: Any) -> Any:
        seen.append(found)
        return real(lr, found, **options)

    monkeypatch.setattr(image_matching, "Refinement", spy)
    refs, lr_up = [moved(photograph, 1, 2), moved(photograph, 5, 3)], upscale(downscale(hr))
    found = match_images(lr_up, refs, ONE, encoder, refine="relu3_1", refine_best=best)
    candidates = []
    for number, one in enumerate(seen):  # each reference has its own
        _, row, column = PatchNumbers(one.shapes).places(one.index)
        candidates.append(torch.stack([torch.full_like(row, number), 4 * row, 4 * column], -1))
    check(found, hr, refs, ONE, encoder, torch.cat(candidates).numpy())


def test_relu1_1_moves_the_match_by_a_pixel_at_most(
    encoder: Encoder, photograph: np.ndarray, hr: RGB
) -> None:
    refs, versions = [moved(photograph, 1, 2)], augmentations((1.0,), (0.0, 20.0))
    lr_up = upscale(downscale(hr))
    before = match_images(lr_up, refs, versions, encoder, refine="relu3_1")
    found = match_images(lr_up, refs, versions, encoder, refine="relu1_1")

    lr = naive_refine.dense_maps(encoder, lr_up)
    images = [down_up_mean(augment(*one)) for one in every_version(refs, versions)]
    maps = [naive_refine.dense_maps(encoder, image) for image in images]
    masks = [valid_places(refs[0].shape, version) for version in versions]
    moved_any = 0
    for i, j in np.ndindex(*found.index.shape):
        version, y, x = places(before)[i, j]
        height, width = images[version].shape[:2]
        patch = lr["relu1_1"][:, 4 * i : 4 * i + 12, 4 * j : 4 * j + 12]
        scores = {}
        for b in range(max(y - 1, 0), min(y + 2, height - 11)):
            for a in range(max(x - 1, 0), min(x + 2, width - 11)):
                if masks[version] is None or masks[version][b, a]:
                    scores[b, a] = naive_refine.score(patch, maps[version]["relu1_1"], b, a, 1, 12)
        place = places(found)[i, j]
        assert place[0] == version
        assert scores[tuple(place[1:])] == pytest.approx(max(scores.values()), rel=TOLERANCE)
        moved_any += tuple(place[1:]) != (y, x)
        of_relu3_1 = naive_refine.score(
            lr["relu3_1"][:, 4 * i : 4 * i + 12 : 4, 4 * j : 4 * j + 12 : 4],
            maps[version]["relu3_1"], place[1], place[2], 4, 3,
        )  # fmt: skip
        assert float(found.score[i, j]) == pytest.approx(of_relu3_1, rel=TOLERANCE)
    assert moved_any


@pytest.mark.parametrize("way", ["relu3_1", "relu1_1"])
def test_windows_and_memory_change_nothing(
    encoder: Encoder, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch, way: Any
) -> None:
    hr, ref = photograph[:72, :84], photograph[2:90, 3:79]
    lr_up, versions = upscale(downscale(hr)), augmentations((1.0,), (0.0, 20.0))
    whole = match_images(lr_up, [ref], versions, encoder, refine=way)
    monkeypatch.setattr(windows, "SIDE", 9)
    several = match_images(lr_up, [ref], versions, encoder, refine=way)
    assert whole.agreement(several) > 0.98
    torch.testing.assert_close(whole.score, several.score, rtol=1e-4, atol=0)
    monkeypatch.setattr(image_matching, "share", lambda room: 1 << 16)
    alone = match_images(lr_up, [ref], versions, encoder, refine=way)
    assert several.agreement(alone) == 1
    assert torch.equal(several.score, alone.score)


def test_no_patch_that_sees_an_empty_corner_is_matched(
    encoder: Encoder, photograph: np.ndarray, hr: RGB
) -> None:
    ref, version = moved(photograph, 0, 0), Augmentation(1.4, 30.0)
    found = match_images(upscale(downscale(hr)), [ref], [version], encoder, refine="relu1_1")
    mask = valid_places(ref.shape, version)
    assert mask is not None
    assert not mask.all()
    assert all(mask[y, x] for _, y, x in places(found).reshape(-1, 3))


def test_where_all_patches_see_corners_all_may_be_matched(
    encoder: Encoder, hr: RGB, photograph: np.ndarray
) -> None:
    ref = photograph[:16, :16]
    found = match_images(upscale(downscale(hr)), [ref], [Augmentation(1.0, 45.0)], encoder,
                         refine="relu3_1")  # fmt: skip
    assert found.score.isfinite().all()


def test_the_smallest_reference(encoder: Encoder, hr: RGB, photograph: np.ndarray) -> None:
    found = match_images(
        upscale(downscale(hr)), [photograph[:12, :12]], ONE, encoder, refine="relu1_1"
    )
    assert not found.phases.any()
    assert not found.index.any()


def test_lr_is_its_own_reference(encoder: Encoder, hr: RGB) -> None:
    lr = downscale(hr)
    coarse = grid_match(upscale(lr), [lr], ONE, encoder)
    found = match_images(upscale(lr), [lr], ONE, encoder, refine="relu3_1")
    check(found, hr, [lr], ONE, encoder, places(coarse)[None])


def test_correspondences_of_two_references_join(
    encoder: Encoder, hr: RGB, photograph: np.ndarray
) -> None:
    refs, lr_up = [moved(photograph, 1, 2), moved(photograph, 5, 3)], upscale(downscale(hr))
    one, other = (match_images(lr_up, [ref], ONE, encoder, refine="relu3_1") for ref in refs)
    both = one + other
    better = other.score > one.score
    assert torch.equal(both.phases, torch.where(better, other.phases, one.phases))
    assert (places(both)[..., 0] == better.numpy()).all()
