"""Optical flow in place of matching."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torchvision.models.optical_flow import raft_large, raft_small

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from srntt_pipeline.config import MatchParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, upscale
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import CELLS, LAYERS
from srntt_pipeline.methods.restorer import Restorer
from srntt_pipeline.models import build_model
from srntt_pipeline.network_files import NetworkFiles
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps import flow as module
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.flow import Flow, Raft, dis, load_flow, places_at, score_matches
from srntt_pipeline.swaps.info import shards_info
from srntt_pipeline.swaps.matcher import load_matcher
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import down_up_mean
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.show import show_match
from srntt_pipeline.swaps.verify import verify_shards
from tests.swaps import naive_refine

CPU = torch.device("cpu")
Contents = Callable[[Path], dict[str, bytes]]
DIS = SwapParams(encoder_weights="random", matching="flow-dis", pairs_per_shard=2, refine="none")
TO_PIXEL = DIS.model_copy(update={"refine": "relu3_1"})


def view(top: int, left: int, height: int = 96, width: int = 128) -> RGB:
    return np.ascontiguousarray(skimage.data.astronaut()[top : top + height, left : left + width])


def bicubic(image: RGB, height: int, width: int) -> RGB:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def low(hr: RGB) -> RGB:
    return bicubic(hr, hr.shape[0] // 4, hr.shape[1] // 4)


# From flow to patches


def constant(right: float, down: float, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.float32([right, down]), (4 * height, 4 * width, 2))


def naive_places(moved: np.ndarray, shape: tuple[int, int], step: int) -> np.ndarray:
    """Patch by patch: the centre of each, in pixels, moved and scaled; the nearest Ref patch.

    Of the patches that begin `step` px apart: where it begins, row and column in pixels.
    """
    height, width = moved.shape[0] // 4, moved.shape[1] // 4
    found = np.zeros((height - 2, width - 2, 2), np.int64)
    for row in range(height - 2):
        for column in range(width - 2):
            right, down = (
                moved[4 * row + 4 : 4 * row + 8, 4 * column + 4 : 4 * column + 8]
                .reshape(-1, 2)
                .astype(np.float64)
                .mean(axis=0)
            )
            y = (4 * row + 6 + down) * shape[0] / height
            x = (4 * column + 6 + right) * shape[1] / width
            found[row, column] = [
                min(range(0, 4 * side - 11, step), key=lambda place: abs(place + 6 - there))
                for side, there in ((shape[0], y), (shape[1], x))
            ]
    return found


def naive_patches(moved: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The same on relu3_1's grid, as numbers of patches."""
    y, x = np.moveaxis(naive_places(moved, shape, 4) // 4, -1, 0)
    return y * (shape[1] - 2) + x


def pixels_at(moved: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Where `places_at` says that matches to the pixel begin, [h-2, w-2, 2]."""
    index, phase = (each.numpy() for each in places_at(moved, shape, to_pixel=True))
    assert (index.dtype, phase.dtype) == (np.int64, np.uint8)
    y, x = np.divmod(index, shape[1] - 2)
    return 4 * np.stack([y, x], -1) + np.stack(np.divmod(phase.astype(int), 4), -1)


SHAPES = [(7, 9), (5, 12), (14, 4), (3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_patches_are_the_nearest_to_the_moved_centres(shape: tuple[int, int]) -> None:
    moved = np.random.default_rng(0).normal(0, 12, (28, 36, 2)).astype(np.float32)
    index, phase = places_at(moved, shape, to_pixel=False)
    assert np.array_equal(index, naive_patches(moved, shape))
    assert phase.dtype == torch.uint8
    assert not phase.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_the_nearest_to_the_moved_centres(shape: tuple[int, int]) -> None:
    moved = np.random.default_rng(0).normal(0, 12, (28, 36, 2)).astype(np.float32)
    assert np.array_equal(pixels_at(moved, shape), naive_places(moved, shape, 1))


def on_grid(*arguments: Any) -> list[list[int]]:
    return places_at(*arguments, to_pixel=False)[0].tolist()


def test_patches_by_hand() -> None:
    # A map of 4×5 positions has 2×3 patches.
    assert on_grid(constant(0, 0, 4, 5), (4, 5)) == [[0, 1, 2], [3, 4, 5]]
    assert on_grid(constant(4, 0, 4, 5), (4, 5)) == [[1, 2, 2], [4, 5, 5]]
    assert on_grid(constant(0, -5.9, 4, 5), (4, 5)) == [[0, 1, 2], [0, 1, 2]]
    assert on_grid(constant(1.9, 0, 4, 5), (4, 5)) == [[0, 1, 2], [3, 4, 5]]
    assert on_grid(constant(2.1, 0, 4, 5), (4, 5)) == [[1, 2, 2], [4, 5, 5]]
    # In a reference of twice the size the centres lie twice as far: 12, 20, 28 px, so patches 1.5,
    # 3.5, 5.5 of 8, of which ties go down; the rows likewise.
    assert on_grid(constant(0, 0, 4, 5), (8, 10)) == [[18, 20, 22], [34, 36, 38]]


def test_pixels_by_hand() -> None:
    # Flow of (1, 2) px, right and down: that far from where the LR patch begins.
    rows, columns = np.mgrid[:2, :3] * 4
    found = pixels_at(constant(1, 2, 4, 5), (4, 5))
    # The last patch of a row begins at 8 px, that of a column at 4 px: none begins beyond.
    assert found[..., 0].tolist() == [[2, 2, 2], [4, 4, 4]]
    assert found[..., 1].tolist() == [[1, 5, 8], [1, 5, 8]]
    index, phase = places_at(constant(1, 2, 4, 5), (4, 5), to_pixel=True)
    assert index.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert phase.tolist() == [[9, 9, 8], [1, 1, 0]]
    # In a larger reference of the same scale, nothing is at the border.
    lr = constant(1, 2, 4, 5)
    assert (pixels_at(lr, (4, 5))[:1, :2] == np.stack([rows + 2, columns + 1], -1)[:1, :2]).all()
    assert pixels_at(constant(-3.4, 0.4, 4, 5), (4, 5))[1, 2].tolist() == [4, 5]


def test_scores_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    lr, ref = torch.rand(5, 6, 7, generator=generator), torch.rand(5, 4, 8, generator=generator)
    index = torch.randint(0, 2 * 6, (4, 5), generator=generator)
    found = score_matches(lr, ref, index)
    assert found.shapes == ((4, 8),)
    for row in range(4):
        for column in range(5):
            top, left = divmod(int(index[row, column]), 6)
            p = lr[:, row : row + 3, column : column + 3].double().flatten()
            q = ref[:, top : top + 3, left : left + 3].double().flatten()
            score = float(p @ q / q.norm())
            assert float(found.score[row, column]) == pytest.approx(score, rel=1e-5)
            cosine = score / float(p.norm())
            assert float(found.cosine[row, column]) == pytest.approx(cosine, rel=1e-5)


@pytest.mark.parametrize("sizes", [[(96, 128)], [(96, 128), (60, 92)]], ids=str)
def test_matches_to_the_pixel_are_scored_by_dense_maps(
    shared: Path, sizes: list[tuple[int, int]]
) -> None:
    encoder = load_encoder(str(shared / "weights" / "vgg19_relu3_1.pth"), 0, CPU)
    hr, refs = view(100, 150, 40, 52), [view(98, 151, *size) for size in sizes]
    lr_up = bicubic(low(hr), 40, 52)
    rng = np.random.default_rng(0)
    flows = [rng.normal(0, 12, (40, 52, 2)).astype(np.float32) for _ in refs]
    given = iter(flows)
    flow = Flow(lambda lr_up, ref: next(given))
    found = flow.follow(lr_up, refs, encoder, upscale, to_pixel=True)

    lr = naive_refine.dense_maps(encoder, lr_up)["relu3_1"][:, ::4, ::4]
    maps = [naive_refine.dense_maps(encoder, down_up_mean(ref))["relu3_1"] for ref in refs]
    shapes = [(height // 4, width // 4) for height, width in sizes]
    assert found.shapes == tuple(shapes)
    places = [naive_places(*each, 1) for each in zip(flows, shapes, strict=True)]
    assert found.phase is not None
    assert found.phase.dtype == torch.uint8
    for i, j in np.ndindex(8, 11):
        patch = lr[:, i : i + 3, j : j + 3]
        scores = [
            naive_refine.score(patch, one, *there[i, j], 4, 3)
            for one, there in zip(maps, places, strict=True)
        ]
        best = int(np.argmax(scores))
        assert naive_refine.places(found)[i, j].tolist() == [best, *places[best][i, j]]
        assert float(found.score[i, j]) == pytest.approx(scores[best], rel=2e-5)
        cosine = scores[best] / np.linalg.norm(patch)
        assert float(found.cosine[i, j]) == pytest.approx(cosine, rel=2e-5)


# DIS


@pytest.mark.parametrize("shift", [(0, 0), (5, -10), (-3, 3)])
def test_a_shifted_photograph_gives_the_shifted_pixels(shift: tuple[int, int]) -> None:
    down, right = shift
    hr, ref = view(100, 150), view(100 - down, 150 - right)
    found = load_matcher(TO_PIXEL, load_encoder("random", 0, CPU)).match(low(hr), [ref])
    rows, columns = np.mgrid[: 24 - 2, : 32 - 2] * 4
    there = np.stack([rows + down, columns + right], -1)
    inside = ((there >= 0) & (there <= (4 * 21, 4 * 29))).all(-1)
    away = np.abs(naive_refine.places(found)[..., 1:] - there).max(-1)
    # Of images blurred by four flow is right to a pixel or so.
    assert (away[inside] <= 1).mean() > 0.9
    assert (away[inside] == 0).mean() > 0.5


@pytest.mark.parametrize("shift", [(0, 0), (8, -12), (-4, 4)])
def test_a_shifted_photograph_gives_the_shifted_patches(shift: tuple[int, int]) -> None:
    down, right = shift
    hr, ref = view(100, 150), view(100 - down, 150 - right)  # what is at (y, x) is there at + shift
    matcher = load_matcher(DIS, load_encoder("random", 0, CPU))
    found = matcher.match(low(hr), [ref])
    rows, columns = np.mgrid[: 24 - 2, : 32 - 2]
    there = rows + down // 4, columns + right // 4
    inside = (there[0] >= 0) & (there[0] < 22) & (there[1] >= 0) & (there[1] < 30)
    same = found.index.numpy() == there[0] * 30 + there[1]
    assert same[inside].mean() > 0.97
    assert np.median(found.cosine.numpy()[inside]) > 0.999


def test_a_reference_of_another_size_is_scaled() -> None:
    hr = view(100, 150)
    ref = bicubic(view(100, 150), 96 * 2, 128 * 3 // 2)  # the same, 24 by 32 positions now 48 by 48
    found = load_matcher(DIS, load_encoder("random", 0, CPU)).match(low(hr), [ref])
    assert found.shapes == ((48, 48),)
    top, left = np.divmod(found.index.numpy(), 46)
    rows, columns = np.mgrid[:22, :30]
    assert (np.abs(top + 1.5 - 2 * (rows + 1.5)) <= 1).mean() > 0.97
    assert (np.abs(left + 1.5 - 1.5 * (columns + 1.5)) <= 1).mean() > 0.97


def test_of_several_references_the_one_of_the_highest_score_is_taken() -> None:
    hr, other = view(100, 150), view(300, 50)
    mixed = [np.vstack([hr[:48], other[48:]]), np.vstack([other[:48], hr[48:]])]
    matcher = load_matcher(DIS, load_encoder("random", 0, CPU))
    singles = [matcher.match(low(hr), [ref]) for ref in mixed]
    found = matcher.match(low(hr), mixed)
    assert found.shapes == ((24, 32), (24, 32))
    second = singles[1].score > singles[0].score
    assert 0.3 < float(second.float().mean()) < 0.7
    expected = torch.where(second, singles[1].index + 22 * 30, singles[0].index)
    assert torch.equal(found.index, expected)
    assert torch.equal(found.score, torch.maximum(singles[0].score, singles[1].score))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_change_dis_and_are_left_as_they_were(threads: int) -> None:
    first, second = view(100, 150), view(93, 161)
    expected = dis(first, second)
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        assert np.array_equal(dis(first, second), expected)
        assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("size", [(12, 12), (12, 100), (400, 12), (31, 93)])
def test_dis_takes_any_size(size: tuple[int, int]) -> None:
    moved = dis(view(50, 60, *size), view(54, 60, *size))
    assert moved.shape == (*size, 2)
    assert moved.dtype == np.float32
    assert np.isfinite(moved).all()


# RAFT


@pytest.fixture(scope="module")
def raft_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """raft_small of seeded random weights: no flow that means anything, but a network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft.pth"
    torch.save(raft_small().state_dict(), path)
    return str(path)


def raft_params(weights: str) -> SwapParams:
    return DIS.model_copy(update={"matching": "flow-raft", "flow_weights": weights})


def test_raft_is_torchvisions(raft_file: str) -> None:
    flow = load_flow(raft_params(raft_file), CPU)
    a, b = view(100, 150, 136, 144), view(96, 154, 136, 144)
    model = raft_small().eval()
    model.load_state_dict(torch.load(raft_file, weights_only=True))
    tensors = [torch.from_numpy(i).permute(2, 0, 1)[None] / 127.5 - 1 for i in (a, b)]
    with torch.no_grad():
        expected = model(*tensors)[-1][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(flow.estimate(a, b), expected, rtol=1e-3, atol=1e-3)


class Ramp(torch.nn.Module):
    """Says that everything has moved by a tenth of the padded image, and remembers its size."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
        self.size = height, width = a.shape[2:]
        assert (height % 8, width % 8) == (0, 0)
        assert min(height, width) >= 128
        moved = torch.tensor([width / 10, height / 10]).view(1, 2, 1, 1)
        return [moved.expand(1, 2, height, width)]


@pytest.mark.parametrize("size", [(40, 200), (128, 136), (130, 150)])
def test_images_of_any_size_are_padded_for_raft(size: tuple[int, int]) -> None:
    model = Ramp()
    moved = Raft(model, CPU)(view(0, 0, *size), view(0, 0, *size))
    assert moved.shape == (*size, 2)
    assert model.size == tuple(max(128, -(-side // 8) * 8) for side in size)


def test_large_images_are_shrunk_for_raft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RAFT_MAX_PX", 128 * 144)
    model = Ramp()
    moved = Raft(model, CPU)(view(0, 0, 256, 288), view(0, 0, 256, 288))
    assert model.size == (128, 144)
    np.testing.assert_allclose(moved, constant(28.8, 25.6, 64, 72), rtol=1e-5)


def test_a_raft_that_gives_no_numbers_is_named() -> None:
    class Broken(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
            return [torch.full((1, 2, *a.shape[2:]), torch.nan)]

    with pytest.raises(InputError, match="--flow-weights"):
        Raft(Broken(), CPU)(view(0, 0), view(0, 0))


def test_raft_is_known_by_its_parameters(raft_file: str, tmp_path: Path) -> None:
    first = load_flow(raft_params(raft_file), CPU).networks
    copy = shutil.copy(raft_file, tmp_path / "copy.pth")
    assert load_flow(raft_params(str(copy)), CPU).networks == first
    state = torch.load(raft_file, weights_only=True)
    name = next(key for key in state if key.endswith("weight"))
    state[name] = state[name] + 1e-3
    torch.save(state, copy)
    assert load_flow(raft_params(str(copy)), CPU).networks != first
    torch.save(raft_large().state_dict(), copy)
    assert load_flow(raft_params(str(copy)), CPU).networks != first


def missing(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("no weights\n")


def other(path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3)}, path)


def a_list(path: Path) -> None:
    torch.save([1, 2], path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "no such file"),
        (text, "not a file of PyTorch weights"),
        (other, "not the parameters of torchvision's"),
        (a_list, "not a file of PyTorch weights"),
    ],
)
def test_what_is_no_raft_is_refused(
    tmp_path: Path, tiny_dataset: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "raft.pth"
    make(path)
    with pytest.raises(InputError, match=rf"^--flow-weights .*raft\.pth: {words}") as caught:
        precompute_swaps(
            tiny_dataset, tmp_path / "out", raft_params(str(path)), workers=1, device="cpu"
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_weights_that_cannot_be_downloaded_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError("no way out")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(InputError, match="no way out") as caught:
        load_flow(raft_params("raft_large"), CPU)
    assert "--flow-weights FILE, or --matching flow-dis" in str(caught.value)


# In shards and after


def swaps(dataset: Path, out: Path, params: SwapParams = DIS, workers: int = 1) -> Path:
    precompute_swaps(dataset, out, params, workers=workers, device="cpu")
    return out


@pytest.mark.parametrize("params", [DIS, TO_PIXEL], ids=["on the grid", "to the pixel"])
def test_swaps_from_flow_are_gathered_directly(
    tiny_dataset: Path, tmp_path: Path, params: SwapParams
) -> None:
    shards = Shards(swaps(tiny_dataset, tmp_path / "out", params))
    encoder = load_encoder("random", 0, CPU)
    pairs = SwappedPairs(read_train_pairs(tiny_dataset), shards, encoder)
    for number, pair in enumerate(pairs.pairs):
        hr, ref = (np.asarray(Image.open(path)) for path in (pair.hr, pair.ref))
        lr_up, blurred = (bicubic(low(image), 40, 48) for image in (hr, ref))
        step = 4 if params is DIS else 1
        places = naive_places(dis(lr_up, blurred), (10, 12), step)
        stored = shards[pair.name].correspondence
        assert (stored.phase is None) == (params is DIS)
        assert np.array_equal(naive_refine.places(stored)[..., 1:], places)
        maps = naive_refine.dense_maps(encoder, ref)
        for layer in LAYERS:
            versions = [maps[layer]]
            there = np.concatenate([np.zeros_like(places[..., :1]), places], -1)
            expected = naive_refine.swapped(there, versions, CELLS[layer])
            found = pairs[number]["maps"][layer].numpy()
            assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)
            np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5 * expected.max())


def test_augmentations_mean_nothing_to_flow(
    tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    out = swaps(tiny_dataset, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    swaps(tiny_dataset, out, DIS.model_copy(update={"scales": (0.7,), "shifts_px": (0, 1)}))
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")} == before
    assert Shards(out)["1"].correspondence.shapes == ((10, 12),)


def test_shards_of_another_matching_are_remade(
    tiny_dataset: Path, tmp_path: Path, raft_file: str, contents: Contents
) -> None:
    out = tmp_path / "out"
    for number, params in enumerate(
        (
            DIS,
            TO_PIXEL,
            DIS.model_copy(update={"matching": "patches"}),
            raft_params(raft_file),
            DIS,
        )
    ):
        swaps(tiny_dataset, out, params)
        fresh = swaps(tiny_dataset, tmp_path / str(number), params)
        assert contents(out) == contents(fresh)


def test_workers_do_not_change_a_byte(
    tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    one, two = (swaps(tiny_dataset, tmp_path / str(n), workers=n) for n in (1, 2))
    assert contents(one) == contents(two)


def test_shards_say_how_and_are_verified_and_drawn(
    tiny_dataset: Path, tmp_path: Path, raft_file: str
) -> None:
    out = swaps(tiny_dataset, tmp_path / "out", raft_params(raft_file))
    networks = load_flow(raft_params(raft_file), CPU).networks
    assert Shards(out).networks == networks
    assert f"flow        raft.pth (sha256 {networks['flow_weights'][:12]})" in shards_info(out)
    assert "matching flow-raft" in shards_info(out)
    assert verify_shards(out, dataset=tiny_dataset).startswith("OK: 3 pairs")
    picture = tmp_path / "match.png"
    show_match("1", picture, MatchParams(), swaps=out, dataset=tiny_dataset, device="cpu")
    assert Image.open(picture).width > 500


def test_show_match_takes_flow(tiny_dataset: Path, tmp_path: Path) -> None:
    hr, ref = (tiny_dataset / "train" / side / "1.png" for side in ("input", "ref"))
    params = MatchParams(encoder_weights="random", matching="flow-dis")
    show_match(str(hr), tmp_path / "match.png", params, refs=[ref], device="cpu")
    assert Image.open(tmp_path / "match.png").width > 500


def test_restorer_matches_as_the_swaps_of_its_training(
    tiny_dataset: Path, tmp_path: Path, raft_file: str
) -> None:
    for name in ("flow-dis", "flow-raft"):
        here = shutil.copy(raft_file, tmp_path / "gone.pth")
        params = raft_params(str(here)).model_copy(update={"matching": name})
        shards = Shards(swaps(tiny_dataset, tmp_path / params.matching, params))
        sizes = {"channels": 2, "blocks": (1, 1, 1, 1)}
        path = tmp_path / f"{params.matching}.safetensors"
        info = CheckpointInfo(
            model="srntt-l2", sizes=sizes, step=0, train=SrnttRecipe(), dataset="", metrics={},
            encoder=shards.encoder, swaps=shards.params, networks=shards.networks,
        )  # fmt: skip
        save_checkpoint(path, build_model("srntt-l2", sizes), info)
        Path(here).unlink()
        files = NetworkFiles(flow_weights=raft_file)
        restorer = Restorer(load_checkpoint(path), CPU, files)
        hr, ref = (
            np.asarray(Image.open(tiny_dataset / "train" / side / "1.png"))
            for side in ("input", "ref")
        )
        found = restorer.match(low(hr), [ref])
        assert torch.equal(found.index, shards["1"].correspondence.index)
        assert restorer.super_resolve(low(hr), [ref]).shape == hr.shape
    with pytest.raises(InputError, match=r"^--flow-weights .*gone\.pth: no such file"):
        Restorer(load_checkpoint(path), CPU)
    described = json.loads(path.with_suffix(".json").read_text())
    described["networks"]["flow_weights"] = "0" * 64
    path.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"made with flow-weights sha256 0000.*--flow-weights"):
        Restorer(load_checkpoint(path), CPU, files)


def test_a_flow_needs_a_reference() -> None:
    with pytest.raises(ValueError, match="no reference"):
        Flow(dis).follow(view(0, 0), [], load_encoder("random", 0, CPU), lambda image: image)
