import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from srntt_pipeline.config import MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.matching import search, torch_search, windows
from srntt_pipeline.matching.correspondence import (
    Correspondence,
    Search,
    join,
    match_maps,
    patch_norms,
)
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.matcher import load_matcher
from srntt_pipeline.swaps.swap import weight_map

sides = st.integers(3, 9)
shapes = st.tuples(sides, sides)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)


def relu_map(seed: int, shape: tuple[int, int], channels: int = 5) -> Tensor:
    values = np.random.default_rng(seed).normal(0.3, 1, (channels, *shape)).clip(0)
    return torch.from_numpy(values.astype(np.float32))


def whole_numbers(seed: int, shape: tuple[int, int]) -> Tensor:
    """A map of few values, so that patches repeat and every sum is exact."""
    values = np.random.default_rng(seed).integers(0, 2, (1, *shape))
    return torch.from_numpy(values.astype(np.float32))


def patches(maps: Tensor) -> np.ndarray:
    """All 3×3 patches, row by row, float64 [patches, C·9]."""
    values = maps.numpy().astype(np.float64)
    _, height, width = values.shape
    return np.array(
        [
            values[:, row : row + 3, column : column + 3].ravel()
            for row in range(height - 2)
            for column in range(width - 2)
        ]
    )


def naive_scores(lr: Tensor, refs: list[Tensor]) -> np.ndarray:
    """Eq. 1: s(i, j) = <P_i, P_j / ||P_j||> over the patches of all `refs`."""
    candidates = np.concatenate([patches(ref) for ref in refs])
    norms = np.sqrt((candidates**2).sum(1, keepdims=True))
    return patches(lr) @ (candidates / np.maximum(norms, 1e-30)).T


def assert_is_naive(found: Correspondence, lr: Tensor, refs: list[Tensor]) -> None:
    scores = naive_scores(lr, refs)
    best = scores.max(1)
    index, score = found.index.numpy().ravel(), found.score.numpy().ravel()
    assert found.index.shape == (lr.shape[1] - 2, lr.shape[2] - 2)
    assert found.shapes == tuple(tuple(ref.shape[1:]) for ref in refs)
    np.testing.assert_allclose(score, best, rtol=1e-5, atol=1e-5)
    runner_up = np.sort(scores, 1)[:, -2] if scores.shape[1] > 1 else best - 1
    clear = best - runner_up > 1e-5 * best + 1e-6
    assert np.array_equal(index[clear], scores.argmax(1)[clear])
    chosen = np.take_along_axis(scores, index[:, None], 1)[:, 0]
    np.testing.assert_allclose(chosen, best, rtol=1e-5, atol=1e-5)
    cosine = best / np.maximum(np.linalg.norm(patches(lr), axis=1), 1e-30)
    np.testing.assert_allclose(found.cosine.numpy().ravel(), cosine, rtol=1e-4, atol=1e-5)
    assert found.cosine.min() >= 0
    assert found.cosine.max() <= 1


@few
@given(seeds, shapes, st.lists(shapes, min_size=1, max_size=3))
def test_naive_loop(seed: int, lr_shape: tuple[int, int], ref_shapes: list) -> None:
    lr = relu_map(seed, lr_shape)
    refs = [relu_map(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    assert_is_naive(match_maps(lr, refs), lr, refs)


@pytest.fixture(scope="module")
def real_maps(shared: Path) -> tuple[Tensor, list[Tensor]]:
    """φ(LR↑), and φ(Ref↓↑) of the right reference and of another one, of a real CUFED pair."""
    encoder = load_encoder(str(shared / "weights" / "vgg19_relu3_1.pth"), 0, torch.device("cpu"))
    inputs = sorted((shared / "data" / "cufed" / "train" / "input").glob("*.png"))
    refs = sorted((shared / "data" / "cufed" / "train" / "ref").glob("*.png"))

    def relu3_1(path: Path, height: int, width: int) -> Tensor:
        image = Image.open(path).crop((0, 0, width, height))
        small = image.resize((width // 4, height // 4), Image.Resampling.BICUBIC)
        image = small.resize((width, height), Image.Resampling.BICUBIC)
        return encoder.encode(np.asarray(image))["relu3_1"]

    return relu3_1(inputs[3], 80, 96), [relu3_1(refs[3], 96, 88), relu3_1(refs[0], 64, 80)]


def test_naive_loop_on_real_features(real_maps: tuple[Tensor, list[Tensor]]) -> None:
    lr, refs = real_maps
    assert_is_naive(match_maps(lr, refs), lr, refs)


def assert_equal(found: Correspondence, expected: Correspondence) -> None:
    assert torch.equal(found.index, expected.index)
    torch.testing.assert_close(found.score, expected.score, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.cosine, expected.cosine, rtol=1e-6, atol=0)
    assert found.shapes == expected.shapes


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("columns", [1, 7, 1000])
def test_tiles_change_nothing(
    real_maps: tuple[Tensor, list[Tensor]],
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    columns: int,
) -> None:
    expected = match_maps(*real_maps)
    lr, refs = real_maps
    tiles = search.Tiles(
        min(columns, lr.shape[2] - 2), min(rows, min(r.shape[1] for r in refs) - 2)
    )
    monkeypatch.setattr(search, "choose_tiles", lambda *sizes: tiles)
    assert_equal(match_maps(*real_maps), expected)


@pytest.mark.parametrize("band", [1, 2, 3, 100])
def test_bands_change_nothing(
    real_maps: tuple[Tensor, list[Tensor]], monkeypatch: pytest.MonkeyPatch, band: int
) -> None:
    expected = match_maps(*real_maps)
    monkeypatch.setattr(search, "_BAND_ROWS", band)
    assert_equal(match_maps(*real_maps), expected)


@pytest.mark.parametrize("threads", [2, 3, 7, 1000])
def test_threads_change_nothing(real_maps: tuple[Tensor, list[Tensor]], threads: int) -> None:
    lr, (ref, _) = real_maps
    factors = (1 / patch_norms(ref)).numpy()
    arguments = lr.numpy(), ref.numpy(), factors, np.zeros_like(factors)
    for best in (1, 3):
        how = {"room": 1 << 30, "best": best}
        expected_score, expected = search.best_in(*arguments, **how, threads=1)
        score, index = search.best_in(*arguments, **how, threads=threads)
        assert score.shape == index.shape == (best, lr.shape[1] - 2, lr.shape[2] - 2)
        assert np.array_equal(index, expected)
        np.testing.assert_allclose(score, expected_score, rtol=1e-6)


@given(
    st.integers(3, 5000),
    st.tuples(st.integers(3, 5000), st.integers(3, 5000)),
    st.integers(1, 1 << 40),
)
def test_tiles_fit_their_room(width: int, ref_shape: tuple[int, int], room: int) -> None:
    if search.Tiles(1, 1).bytes(ref_shape[1]) > room:
        with pytest.raises(ValueError, match="max_memory"):
            search.choose_tiles(width, ref_shape, room)
        return
    tiles = search.choose_tiles(width, ref_shape, room)
    assert 1 <= tiles.columns <= width - 2
    assert 1 <= tiles.ref_rows <= ref_shape[0] - 2
    assert tiles.bytes(ref_shape[1]) <= room


@few
@given(seeds, shapes, st.lists(shapes, min_size=1, max_size=2), st.integers(2600, 40_000))
def test_little_memory_changes_nothing(
    seed: int, lr_shape: tuple[int, int], ref_shapes: list, max_memory: int
) -> None:
    lr = relu_map(seed, lr_shape)
    refs = [relu_map(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    assert_is_naive(match_maps(lr, refs, max_memory=max_memory), lr, refs)


def test_too_little_memory() -> None:
    with pytest.raises(ValueError, match="max_memory"):
        match_maps(relu_map(0, (5, 5)), [relu_map(1, (5, 5))], max_memory=1000)
    with pytest.raises(ValueError, match="max_memory"):
        match_maps(
            relu_map(0, (5, 5)), [relu_map(1, (5, 5))], max_memory=1000, precision="bfloat16"
        )


_PEAK = """
import torch
from srntt_pipeline.matching.correspondence import match_maps

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

torch.set_num_threads(1)
maps = lambda: torch.rand(8, 83, 125)
match_maps(maps(), [maps()], max_memory=2_000_000)  # whatever is loaded once
before = peak()
match_maps(maps(), (maps() for _ in range(48)), max_memory=20_000_000)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
def test_memory_stays_below_the_bound() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(run.stdout) <= 20_000_000


@few
@given(seeds, shapes, st.lists(shapes, min_size=1, max_size=3))
def test_only_valid_patches_are_matched(
    seed: int, lr_shape: tuple[int, int], ref_shapes: list
) -> None:
    lr = relu_map(seed, lr_shape)
    refs = [relu_map(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    rng = np.random.default_rng(seed)
    masks = [rng.random((h - 2, w - 2)) < 0.4 for h, w in ref_shapes]
    masks[-1][-1, -1] = True
    scores = naive_scores(lr, refs)
    scores[:, ~np.concatenate([mask.ravel() for mask in masks])] = -np.inf
    for precision in ("float32", "bfloat16"):
        valid = [torch.from_numpy(mask) for mask in masks]
        found = match_maps(lr, refs, valid, precision=precision)
        chosen = np.take_along_axis(scores, found.index.numpy().reshape(-1, 1), 1)[:, 0]
        tolerance = 1e-5 if precision == "float32" else 0.03
        np.testing.assert_allclose(chosen, scores.max(1), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.score.numpy().ravel(), chosen, rtol=tolerance, atol=0.03)


def test_no_valid_patch() -> None:
    lr, ref = relu_map(0, (5, 6)), relu_map(1, (6, 5))
    none = torch.zeros(4, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="no patch"):
        match_maps(lr, [ref], [none])
    found = match_maps(lr, [ref, ref], [none, None])
    assert torch.equal(found.index, match_maps(lr, [ref]).index + 12)
    with pytest.raises(ValueError, match="zip"):
        match_maps(lr, [ref, ref], [none])


def plain(lr: Tensor, ref: Tensor, room: int = 1 << 30) -> tuple[Tensor, Tensor]:
    factors = 1 / patch_norms(ref)
    return torch_search.best_in(lr, ref, factors, torch.zeros_like(factors), room, "float32")


@pytest.mark.parametrize("room", [1 << 20, 8 << 20, 1 << 30])
def test_plain_pytorch_agrees(real_maps: tuple[Tensor, list[Tensor]], room: int) -> None:
    lr, refs = real_maps
    for ref in refs:
        score, index = plain(lr, ref, room)
        found = match_maps(lr, [ref])
        assert torch.equal(index[0], found.index)
        torch.testing.assert_close(score[0], found.score, rtol=1e-6, atol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_mostly_agrees(
    real_maps: tuple[Tensor, list[Tensor]], precision: torch_search.Precision
) -> None:
    lr, refs = real_maps
    exact = match_maps(lr, refs)
    half = match_maps(lr, refs, precision=precision)
    assert exact.agreement(exact) == 1
    assert 0.5 < half.agreement(exact) <= 1
    torch.testing.assert_close(half.score, exact.score, rtol=0.02, atol=0)


def test_tf32_needs_cuda() -> None:
    with pytest.raises(ValueError, match="CUDA"):
        match_maps(relu_map(0, (5, 5)), [relu_map(1, (5, 5))], precision="tf32")
    encoder = load_encoder("random", 0, torch.device("cpu"))
    with pytest.raises(InputError, match=r"^swaps\.precision: tf32 needs CUDA, the device is cpu;"):
        load_matcher(MatchParams(encoder_weights="random", precision="tf32"), encoder)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kernel", ["0", "1"])
def test_cuda_agrees(
    real_maps: tuple[Tensor, list[Tensor]], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRNTT_TRITON", kernel)
    lr, refs = real_maps
    found = match_maps(lr.cuda(), [ref.cuda() for ref in refs])
    assert_is_naive(
        Correspondence(found.index.cpu(), found.score.cpu(), found.cosine.cpu(), found.shapes),
        lr,
        refs,
    )


@few
@given(seeds, shapes, st.lists(shapes, min_size=1, max_size=2), st.integers(1, 4))
def test_ties_go_to_the_lowest_index(
    seed: int, lr_shape: tuple[int, int], ref_shapes: list, rows: int
) -> None:
    lr = whole_numbers(seed, lr_shape)
    refs = [whole_numbers(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    # The float32 that any order of the sums gives, of whole numbers: ties are exact here.
    candidates = np.concatenate([patches(ref) for ref in refs])
    squares = (candidates**2).sum(1).astype(np.float32)
    inverse = np.float32(1) / np.sqrt(np.maximum(squares, np.float32(1e-12)))
    scores = (patches(lr) @ candidates.T).astype(np.float32) * inverse
    with pytest.MonkeyPatch.context() as patch:
        tiles = search.Tiles(min(rows, lr_shape[1] - 2), 1)
        patch.setattr(search, "choose_tiles", lambda *sizes: tiles)
        found = match_maps(lr, refs)
    assert np.array_equal(found.index.numpy().ravel(), scores.argmax(1))


def sorted_scores(
    lr: Tensor, refs: list[Tensor], valid: list[np.ndarray], best: int
) -> tuple[np.ndarray, np.ndarray]:
    """All scores of whole numbers, sorted: the `best` scores and indices, [best, LR patches].

    As float32 that any order of the sums gives, so ties are exact; they go to the lowest index.
    -inf, and an index that means nothing, where fewer are valid.
    """
    candidates = np.concatenate([patches(ref) for ref in refs])
    squares = (candidates**2).sum(1).astype(np.float32)
    inverse = np.float32(1) / np.sqrt(np.maximum(squares, np.float32(1e-12)))
    scores = (patches(lr) @ candidates.T).astype(np.float32) * inverse
    scores[:, ~np.concatenate([mask.ravel() for mask in valid])] = -np.inf
    scores = np.pad(scores, ((0, 0), (0, best)), constant_values=-np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :best]
    return np.take_along_axis(scores, order, 1).T, order.T


def random_masks(seed: int, ref_shapes: list[tuple[int, int]], share: float) -> list[np.ndarray]:
    """Which patches may be matched: at least one."""
    rng = np.random.default_rng(seed)
    masks = [rng.random((height - 2, width - 2)) < share for height, width in ref_shapes]
    masks[0][0, -1] = True
    return masks


def assert_best(
    score: np.ndarray, index: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    best = len(score)
    assert np.array_equal(score.reshape(best, -1), expected[0])
    real = np.isfinite(expected[0])
    assert np.array_equal(index.reshape(best, -1)[real], expected[1][real])


@few
@given(
    seeds, shapes, shapes, st.integers(1, 6), st.integers(1, 4), st.integers(1, 9),
    st.sampled_from([0.1, 0.7, 1.0]),
)  # fmt: skip
def test_the_best_are_the_first_of_all_sorted(
    seed: int,
    lr_shape: tuple[int, int],
    ref_shape: tuple[int, int],
    best: int,
    rows: int,
    columns: int,
    share: float,
) -> None:
    lr, ref = whole_numbers(seed, lr_shape), whole_numbers(seed + 1, ref_shape)
    (mask,) = random_masks(seed, [ref_shape], share)
    factors = 1 / patch_norms(ref)
    penalties = torch.zeros_like(factors).masked_fill_(torch.from_numpy(~mask), -torch.inf)
    expected = sorted_scores(lr, [ref], [mask], best)

    room = 4 * 4 * lr_shape[1] * ref_shape[1] * (rows + 2) ** 2  # tiles of that many rows
    assert torch_search.tile_rows(lr_shape[1], ref_shape[1], room) == rows
    found = torch_search.best_in(lr, ref, factors, penalties, room, "float32", best)
    assert_best(found[0].numpy(), found[1].numpy(), expected)

    tiles = search.Tiles(min(columns, lr_shape[1] - 2), min(rows, ref_shape[0] - 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "choose_tiles", lambda *sizes: tiles)
        for given_penalties in (penalties.numpy(), None):
            if given_penalties is None:
                expected = sorted_scores(lr, [ref], [np.ones_like(mask)], best)
            score, index = search.best_in(
                lr.numpy(), ref.numpy(), factors.numpy(), given_penalties,
                room=1 << 30, threads=2, best=best,
            )  # fmt: skip
            assert_best(score, index, expected)


@few
@given(
    seeds, shapes, st.lists(shapes, min_size=1, max_size=3), st.integers(1, 5),
    st.sampled_from([0.1, 0.7, 1.0]), st.sampled_from(["float32", "bfloat16"]), st.randoms(),
)  # fmt: skip
def test_candidates_are_the_first_of_all_sorted_whatever_the_windows(
    seed: int,
    lr_shape: tuple[int, int],
    ref_shapes: list,
    best: int,
    share: float,
    precision: torch_search.Precision,
    random: Any,
) -> None:
    lr = whole_numbers(seed, lr_shape)
    refs = [whole_numbers(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    masks = random_masks(seed, ref_shapes, share)
    whole, by_windows = (Search(lr, precision=precision, best=best) for _ in range(2))
    for ref, mask in zip(refs, masks, strict=True):
        whole.add(ref, torch.from_numpy(mask))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SIDE", 4)
        for ref, mask in zip(refs, masks, strict=True):
            by_windows.begin((ref.shape[1], ref.shape[2]))
            parts = list(windows.windows(*ref.shape[1:], overlap=2))
            random.shuffle(parts)
            for part in parts:
                inner = ref[:, part.top : part.bottom, part.left : part.right]
                valid = mask[part.top : part.bottom - 2, part.left : part.right - 2]
                by_windows.add_window(inner, part, torch.from_numpy(valid.copy()))
    expected = sorted_scores(lr, refs, masks, best)
    if precision == "float32":
        for one in (whole, by_windows):
            found = one.candidates()
            assert found.shapes == tuple(ref_shapes)
            assert_best(found.score.numpy(), found.index.numpy(), expected)
    else:
        # Ties of whole numbers are no ties here: the scale of each window rounds of its own.
        score = whole.candidates().score.numpy().reshape(best, -1)
        np.testing.assert_allclose(score, expected[0], rtol=0.03, atol=0.03)
        assert (score[:-1] >= score[1:]).all()


def test_too_few_that_may_be_matched_are_no_candidates() -> None:
    lr, ref = relu_map(0, (5, 6)), relu_map(1, (6, 5))
    valid = torch.zeros(4, 3, dtype=torch.bool)
    valid[1, 2] = valid[3, 0] = True
    search = Search(lr, best=4)
    search.add(ref, valid)
    found = search.candidates()
    assert (found.score[:2] > -torch.inf).all()
    assert (found.score[2:] == -torch.inf).all()
    assert set(found.index[:2].flatten().tolist()) == {5, 9}
    assert torch.equal(search.result().index, found.index[0])


def test_a_repeated_reference_is_never_matched() -> None:
    lr, ref = relu_map(0, (9, 8)), relu_map(1, (7, 9))
    assert torch.equal(match_maps(lr, [ref, ref]).index, match_maps(lr, [ref]).index)


@few
@given(seeds, shapes, st.lists(shapes, min_size=1, max_size=2), st.randoms())
def test_windows_of_a_reference_in_any_order_are_the_whole_reference(
    seed: int, lr_shape: tuple[int, int], ref_shapes: list, random: Any
) -> None:
    lr = whole_numbers(seed, lr_shape)  # of many ties, so the order of windows must not matter
    refs = [whole_numbers(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    expected = match_maps(lr, refs)
    search = Search(lr)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SIDE", 4)
        for ref in refs:
            search.begin((ref.shape[1], ref.shape[2]))
            parts = list(windows.windows(*ref.shape[1:], overlap=2))
            random.shuffle(parts)
            for part in parts:
                inner = ref[:, part.top : part.bottom, part.left : part.right]
                search.add_window(inner, part)
    assert_equal(search.result(), expected)


@few
@given(seeds, shapes, shapes)
def test_parts_of_lr_join_to_the_whole(
    seed: int, lr_shape: tuple[int, int], ref_shape: tuple[int, int]
) -> None:
    lr, ref = relu_map(seed, lr_shape), relu_map(seed + 1, ref_shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SIDE", 4)
        parts = list(windows.windows(*lr_shape, overlap=2))
    found = [match_maps(lr[:, p.top : p.bottom, p.left : p.right], [ref]) for p in parts]
    assert_is_naive(join(found, parts), lr, [ref])


@few
@given(seeds, shapes, st.lists(shapes, min_size=2, max_size=4))
def test_several_references_at_once_are_the_sum_of_each(
    seed: int, lr_shape: tuple[int, int], ref_shapes: list
) -> None:
    lr = relu_map(seed, lr_shape)
    refs = [relu_map(seed + k + 1, shape) for k, shape in enumerate(ref_shapes)]
    total = match_maps(lr, refs[:1])
    for ref in refs[1:]:
        total = total + match_maps(lr, [ref])
    at_once = match_maps(lr, iter(refs))
    assert torch.equal(at_once.index, total.index)
    assert torch.equal(at_once.score, total.score)
    assert torch.equal(at_once.cosine, total.cosine)
    assert at_once.shapes == total.shapes


@pytest.mark.parametrize("zeros", [("lr",), ("ref",), ("lr", "ref")])
def test_maps_of_zeros(zeros: tuple[str, ...]) -> None:
    lr, ref = relu_map(0, (6, 5)), relu_map(1, (5, 7))
    lr, ref = lr * ("lr" not in zeros), ref * ("ref" not in zeros)
    found = match_maps(lr, [ref])
    assert not found.index.any()
    assert not found.score.any()
    assert not found.cosine.any()


@pytest.mark.parametrize("shape", [(2, 9), (9, 2), (1, 1)])
def test_maps_that_hold_no_patch(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="patch"):
        match_maps(relu_map(0, shape), [relu_map(1, (5, 5))])
    with pytest.raises(ValueError, match="patch"):
        match_maps(relu_map(0, (5, 5)), [relu_map(1, shape)])


def test_no_reference() -> None:
    with pytest.raises(ValueError, match="no reference"):
        match_maps(relu_map(0, (5, 5)), [])


@few
@given(seeds, shapes)
def test_patch_norms(seed: int, shape: tuple[int, int]) -> None:
    maps = relu_map(seed, shape)
    expected = np.linalg.norm(patches(maps), axis=1).clip(1e-6)
    np.testing.assert_allclose(patch_norms(maps).numpy().ravel(), expected, rtol=1e-5)


@few
@given(seeds, shapes)
def test_weight_map_is_the_mean_over_covering_patches(seed: int, shape: tuple[int, int]) -> None:
    rows, columns = shape
    weight = np.random.default_rng(seed).random((rows, columns), np.float32)
    sums, counts = np.zeros((2, rows + 2, columns + 2))
    for row in range(rows):
        for column in range(columns):
            sums[row : row + 3, column : column + 3] += weight[row, column]
            counts[row : row + 3, column : column + 3] += 1
    tensor = torch.from_numpy(weight)
    found = weight_map(Correspondence(tensor.long(), tensor, tensor, ()))
    assert found.shape == (1, rows + 2, columns + 2)
    np.testing.assert_allclose(found[0].numpy(), sums / counts, rtol=1e-5)
