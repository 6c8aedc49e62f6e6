import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import Refine, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK
from srntt_pipeline.matching import windows
from srntt_pipeline.swaps import precompute, shard_job
from srntt_pipeline.swaps.dense import DenseMaps
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import augmentations
from srntt_pipeline.swaps.shards import Shards, StoredSwap
from srntt_pipeline.swaps.windowed import swap_features

PARAMS = SwapParams(
    encoder_weights="random", scales=(1.0,), rotations_deg=(0.0, 20.0), pairs_per_shard=1
)
Contents = Callable[[Path], dict[str, bytes]]


def save_pairs(shared: Path, folder: Path) -> Path:
    """Save four real CUFED pairs, cut to 64×64 px (one HR to 66×65, no multiples of 4)."""
    source = shared / "data" / "cufed" / "train"
    names = sorted(path.name for path in (source / "input").glob("*.png"))[:4]
    for side in ("input", "ref"):
        (folder / "train" / side).mkdir(parents=True)
        for number, name in enumerate(names):
            box = (0, 0, 66, 65) if (number, side) == (2, "input") else (0, 0, 64, 64)
            Image.open(source / side / name).crop(box).save(folder / "train" / side / name)
    return folder


@pytest.fixture
def dataset(shared: Path, tmp_path: Path) -> Path:
    return save_pairs(shared, tmp_path / "dataset")


def run(dataset: Path, out: Path, workers: int = 1, **changes: object) -> int:
    params = PARAMS.model_copy(update=changes)
    return precompute_swaps(dataset, out, params, workers=workers, device="cpu")


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.h5")}


def read_all(out: Path) -> list[StoredSwap]:
    shards = Shards(out)
    return [shards[name] for name in shards.names]


def hr_file(dataset: Path, number: int) -> Path:
    return sorted((dataset / "train" / "input").iterdir())[number]


@pytest.mark.parametrize("refine", ["none", "relu3_1", "relu1_1"])
def test_shards_hold_the_correspondence_of_each_pair(
    dataset: Path, tmp_path: Path, refine: Refine
) -> None:
    best = 1 if refine == "none" else 2
    how = {"refine": refine, "refine_best": best}
    assert run(dataset, tmp_path / "out", pairs_per_shard=3, **how) == 4
    shards = Shards(tmp_path / "out")
    assert sorted(times(tmp_path / "out")) == ["shard-00000.h5", "shard-00001.h5"]
    encoder = load_encoder("random", 0, torch.device("cpu"))
    for path in (dataset / "train" / "input").iterdir():
        hr = Image.open(path).crop((0, 0, 64, 64))
        lr_up = hr.resize((16, 16), Image.Resampling.BICUBIC).resize(
            (64, 64), Image.Resampling.BICUBIC
        )
        ref = np.asarray(Image.open(dataset / "train" / "ref" / path.name))
        versions = augmentations(PARAMS.scales, PARAMS.rotations_deg)
        expected = match_images(
            np.asarray(lr_up), [ref], versions, encoder, refine=refine, refine_best=best
        )
        found = shards[path.stem].correspondence
        assert found.shapes == expected.shapes == ((16, 16), (16, 16))
        assert torch.equal(found.index, expected.index)
        assert (found.phase is None) == (refine == "none")
        assert torch.equal(found.phases, expected.phases)
        torch.testing.assert_close(found.cosine, expected.cosine)


def test_workers_do_not_change_a_byte(dataset: Path, tmp_path: Path, contents: Contents) -> None:
    for workers in (1, 2):
        run(dataset, tmp_path / str(workers), workers, pairs_per_shard=2)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_maps_are_those_of_their_correspondence(dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path / "swaps")
    run(dataset, tmp_path / "maps", store="maps", maps_dtype="float32", pairs_per_shard=4)
    plain, stored = Shards(tmp_path / "swaps"), Shards(tmp_path / "maps")
    encoder = load_encoder("random", 0, torch.device("cpu"))
    for path in (dataset / "train" / "ref").iterdir():
        found = stored[path.stem].correspondence
        assert torch.equal(found.index, plain[path.stem].correspondence.index)
        assert torch.equal(found.cosine, plain[path.stem].correspondence.cosine)
        tried = augmentations(PARAMS.scales, PARAMS.rotations_deg)
        ref = np.asarray(Image.open(path))
        expected = swap_features(found, [ref], tried, encoder).maps
        for layer, maps in stored.maps(path.stem).items():
            assert (maps - expected[layer]).norm() < 1e-5 * expected[layer].norm()


def test_shards_with_maps_are_bounded_by_bytes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = 64 * 64 * 112 * 2  # 112 values a pixel of HR; one image is cut by some rows
    sizes = {}
    for pairs in (0.5, 1.99, 2.01, 3.01, 9):
        monkeypatch.setattr(shard_job, "SHARD_BYTES", pair * pairs)
        run(dataset, tmp_path / str(pairs), store="maps", pairs_per_shard=3)
        sizes[pairs] = len(times(tmp_path / str(pairs)))
        for path in (tmp_path / str(pairs)).glob("shard-*.h5"):
            assert path.stat().st_size < pair * max(pairs, 1) + 100_000
    assert sizes == {0.5: 4, 1.99: 4, 2.01: 3, 3.01: 2, 9: 2}
    monkeypatch.setattr(shard_job, "SHARD_BYTES", 1)
    run(dataset, tmp_path / "swaps", pairs_per_shard=4)
    assert len(times(tmp_path / "swaps")) == 1  # correspondences are no matter


@pytest.mark.parametrize("refine", ["none", "relu3_1"])
def test_a_reference_that_pairs_share_is_encoded_once(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contents: Contents,
    refine: Refine,
) -> None:
    first, *others = sorted((dataset / "train" / "ref").iterdir())
    for path in others[1:]:
        path.write_bytes(first.read_bytes())
    passes: list[np.ndarray] = []
    encode, dense = Encoder._encode_batch, DenseMaps.__init__
    monkeypatch.setattr(
        Encoder, "_encode_batch", lambda *given: passes.extend(given[1]) or encode(*given)
    )
    monkeypatch.setattr(
        DenseMaps, "__init__", lambda *given, **how: passes.append(given[2]) or dense(*given, **how)
    )
    run(dataset, tmp_path / "out", pairs_per_shard=4, refine=refine)
    assert len(passes) == 4 + 2 * 2  # each LR, and two versions of two references
    monkeypatch.setattr(shard_job, "share", lambda max_memory: 0)
    run(dataset, tmp_path / "again", pairs_per_shard=4, refine=refine)
    # On the grid, each version of each pair; to the pixel, those again that something matched in.
    more = len(passes) - (4 + 2 * 2) - (4 + 2 * 4)
    assert (0 < more <= 2 * 4) if refine == "relu3_1" else more == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


# In shards


def shard(dataset: Path, out: Path, text: str, **changes: object) -> int:
    params = PARAMS.model_copy(update=changes)
    return precompute_swaps(
        dataset, out, params, workers=1, device="cpu", part=ArrayPart.parse(text)
    )


def merge(dataset: Path, out: Path, **changes: object) -> int:
    params = PARAMS.model_copy(update=changes)
    return precompute_swaps(dataset, out, params, workers=1, device="cpu", merge=True)


@pytest.mark.parametrize("store", ["correspondence", "maps"])
def test_shards_in_any_order_then_merge_make_the_same_bytes(
    dataset: Path, tmp_path: Path, contents: Contents, store: str
) -> None:
    out = tmp_path / "out"
    made = [shard(dataset, out, f"{k}/3", store=store) for k in (3, 1, 2)]
    assert made == [1, 2, 1]
    shards = sorted(path.name for path in out.glob("*.*"))
    assert shards == [MARK, *(f"shard-0000{number}.h5" for number in range(4))]
    assert merge(dataset, out, store=store) == 4
    run(dataset, tmp_path / "whole", store=store)
    assert contents(out) == contents(tmp_path / "whole")


def test_our_shards_of_an_earlier_run_go_and_others_stay(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(dataset, out, pairs_per_shard=1)
    (out / "shard-00009.h5").write_bytes(b"somebody's")
    run(dataset, out, pairs_per_shard=4)
    names = sorted(path.name for path in out.glob("*.h5"))
    assert names == ["shard-00000.h5", "shard-00009.h5"]
    assert (out / "shard-00009.h5").read_bytes() == b"somebody's"


def test_a_shard_touches_nothing_of_others(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard(dataset, out, "1/2")
    before = times(out)
    half_written = out / MARK / "partial" / "0123456789abcdef.h5"
    half_written.touch()
    assert shard(dataset, out, "7/9") == 0  # more shards than there is work
    shard(dataset, out, "2/2")
    assert half_written.exists()
    assert before.items() <= times(out).items()


def test_merge_names_the_shard_that_is_missing(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard(dataset, out, "1/2")
    with pytest.raises(InputError) as caught:
        merge(dataset, out)
    assert "2 of 4 shards are missing" in str(caught.value)
    assert "shard-00001.h5 the first: run its part again (or --shard 2/4," in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (out / "index.json").exists()
    shard(dataset, out, "2/4")
    shard(dataset, out, "4/4")
    merge(dataset, out)


@pytest.mark.parametrize("how", ["cut", "flipped", "other parameters", "other image"])
def test_merge_refuses_what_is_not_whole_or_other(dataset: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    shard(dataset, out, "1/1")
    path = out / "shard-00002.h5"
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[:-1])
    elif how == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "other image":
        Image.new("RGB", (64, 64)).save(hr_file(dataset, 2))
    with pytest.raises(InputError, match=r"(1|4) of 4 shards are missing, damaged or of other"):
        merge(dataset, out, **({"scales": (0.7,)} if how == "other parameters" else {}))


def test_rerun_keeps_shards(dataset: Path, tmp_path: Path, contents: Contents) -> None:
    out = tmp_path / "out"
    run(dataset, out)
    before, made = contents(out), times(out)
    run(dataset, out)
    assert times(out) == made
    assert contents(out) == before


def test_damaged_shard_alone_is_redone(dataset: Path, tmp_path: Path, contents: Contents) -> None:
    out = tmp_path / "out"
    run(dataset, out)
    before, made = contents(out), times(out)
    half, missing = out / "shard-00001.h5", out / "shard-00003.h5"
    half.write_bytes(half.read_bytes()[:5000])
    missing.unlink()
    time.sleep(1.1)  # HDF5 would keep times by the second
    run(dataset, out)
    assert contents(out) == before
    kept = {name for name, when in times(out).items() if when == made[name]}
    assert kept == {"shard-00000.h5", "shard-00002.h5"}


@pytest.mark.parametrize("side", ["input", "ref"])
def test_changed_image_is_noticed(dataset: Path, tmp_path: Path, side: str) -> None:
    out = tmp_path / "out"
    run(dataset, out)
    made, made_from = times(out), Shards(out).made_from
    path = dataset / "train" / side / hr_file(dataset, 2).name
    image = np.array(Image.open(path))
    image[:20] = 255 - image[:20]
    Image.fromarray(image).save(path)
    run(dataset, out)
    changed = {name for name, when in times(out).items() if when != made[name]}
    assert changed == {"shard-00002.h5"}
    assert Shards(out).made_from != made_from


@pytest.fixture(scope="module")
def before(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run wrote."""
    folder = tmp_path_factory.mktemp("before")
    run(save_pairs(shared, folder / "dataset"), folder / "out", pairs_per_shard=4)
    return folder / "out"


@pytest.mark.parametrize(
    "change",
    [
        {"scales": (1.4,)},
        {"rotations_deg": (0.0,)},
        {"encoder_seed": 1},
        {"pairs_per_shard": 3},
        {"pairs_per_shard": 9},
        {"store": "maps"},
        {"store": "maps", "maps_dtype": "float32"},
        {"store": "maps", "maps_codec": "gzip"},
        {"refine": "none"},
        {"refine": "relu1_1"},
        {"refine_best": 3},
        {"encoder_precision": "bfloat16"},
    ],
    ids=str,
)
def test_changed_parameter_gives_what_a_fresh_run_gives(
    dataset: Path, before: Path, tmp_path: Path, contents: Contents, change: dict[str, object]
) -> None:
    shutil.copytree(before, tmp_path / "out")
    run(dataset, tmp_path / "out", **{"pairs_per_shard": 4, **change})
    run(dataset, tmp_path / "fresh", **{"pairs_per_shard": 4, **change})
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_pair_fewer_removes_its_shard(dataset: Path, tmp_path: Path, contents: Contents) -> None:
    run(dataset, tmp_path / "out")
    hr_file(dataset, 3).unlink()
    assert run(dataset, tmp_path / "out") == 3
    run(dataset, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


KILLED = """
import os, signal, sys
from pathlib import Path
from srntt_pipeline import hdf5
from srntt_pipeline.config import Refine, SwapParams
from srntt_pipeline.matching import windows
from srntt_pipeline.swaps import precompute

seal, left = hdf5._seal, [2]

def killed(digest):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return seal(digest)

hdf5._seal = killed
params = SwapParams.model_validate_json(sys.argv[3])
precompute.precompute_swaps(
    Path(sys.argv[1]), Path(sys.argv[2]), params, workers=1, device="cpu"
)
"""


def test_killed_and_started_again(dataset: Path, tmp_path: Path, contents: Contents) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    command = [sys.executable, "-c", KILLED, dataset, out, PARAMS.model_dump_json()]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    made = times(out)
    assert len(made) == 2
    assert list(out.glob(f"{MARK}/partial/*"))  # it was killed while it wrote a shard
    with pytest.raises(InputError, match=r"index\.json is missing; run precompute-swaps again"):
        Shards(out)

    run(dataset, out)
    run(dataset, fresh)
    assert contents(out) == contents(fresh)
    assert made.items() <= times(out).items()


def test_stopped_with_other_parameters_leaves_no_mixture(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(dataset, out)

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(precompute, "write_index", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, out, rotations_deg=(20.0, 0.0))  # indices mean other versions now
    with pytest.raises(InputError, match="precompute-swaps"):
        read_all(out)


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_image_is_named(dataset: Path, tmp_path: Path, workers: int) -> None:
    hr_file(dataset, 1).write_bytes(b"no image")
    with pytest.raises(InputError, match="not an image") as caught:
        run(dataset, tmp_path / "out", workers)
    assert hr_file(dataset, 1).name in str(caught.value)


@pytest.mark.parametrize("side", ["input", "ref"])
def test_image_too_small_to_match_is_named(dataset: Path, tmp_path: Path, side: str) -> None:
    path = dataset / "train" / side / hr_file(dataset, 0).name
    Image.new("RGB", (64, 11)).save(path)
    with pytest.raises(InputError, match="too small") as caught:
        run(dataset, tmp_path / "out")
    assert path.name in str(caught.value)


def test_two_images_of_one_name_are_refused(dataset: Path, tmp_path: Path) -> None:
    hr = hr_file(dataset, 0)
    for side in ("input", "ref"):
        path = dataset / "train" / side / hr.name
        Image.open(path).save(path.with_suffix(".bmp"))
    with pytest.raises(InputError, match=hr.stem):
        run(dataset, tmp_path / "out", pairs_per_shard=4)


def test_index_says_what_made_the_shards(dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path / "out", encoder_seed=7)
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    identity = load_encoder("random", 7, torch.device("cpu")).identity
    assert index["encoder"] == {"source": "random, seed 7", "sha256": identity.sha256}
    assert index["pairs"] == 4
    assert SwapParams.model_validate(index["params"]).encoder_seed == 7


@pytest.mark.parametrize("name", ["precision", "encoder_precision"])
@pytest.mark.parametrize("refine", ["none", "relu3_1"])
@pytest.mark.parametrize("matching", ["patches", "flow-dis"])
def test_other_precisions_say_how_many_matches_are_those_of_float32(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, refine: Refine,
    matching: str,
) -> None:  # fmt: skip
    if (name, matching) == ("precision", "flow-dis"):
        pytest.skip("flow multiplies no patches")
    how = {"refine": refine, "matching": matching, "pairs_per_shard": 4}
    run(dataset, tmp_path / "exact", **how)
    assert Shards(tmp_path / "exact").float32_agreement == 1
    assert "float32" not in caplog.text
    with caplog.at_level("INFO"):
        run(dataset, tmp_path / "half", **how, **{name: "bfloat16"})
    exact, half = read_all(tmp_path / "exact"), read_all(tmp_path / "half")
    same = [
        float(np.mean(
            (one.correspondence.index == other.correspondence.index).numpy()
            & (one.correspondence.phases == other.correspondence.phases).numpy()
        ))
        for one, other in zip(exact, half, strict=True)
    ]  # fmt: skip
    if matching == "patches":
        assert 0.3 < np.mean(same) < 1
    else:
        assert np.mean(same) == 1  # flow leads there whatever the encoder sees
        cosines = [[swap.correspondence.cosine for swap in each] for each in (exact, half)]
        assert not torch.equal(torch.stack(cosines[0]), torch.stack(cosines[1]))
    assert Shards(tmp_path / "half").float32_agreement == pytest.approx(np.mean(same), abs=1e-5)
    said = {"precision": "Products in bfloat16, encoder in float32: ",
            "encoder_precision": "Products in float32, encoder in bfloat16: "}[name]  # fmt: skip
    assert f"{said}{100 * np.mean(same):.2f} % of the matches" in caplog.text


def test_the_memory_bound_changes_no_byte(
    dataset: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "SIDE", 8)
    for name, gib in (("little", 1.5), ("much", 8)):
        precompute_swaps(
            dataset, tmp_path / name, PARAMS, workers=1, device="cpu", max_memory=int(gib * 2**30)
        )
    assert contents(tmp_path / "little") == contents(tmp_path / "much")
