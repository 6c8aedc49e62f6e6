import json
import shutil
from collections.abc import Callable, ItemsView, Iterator
from pathlib import Path

import h5py
import pytest
from PIL import Image

from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.hdf5 import sealed_file
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.verify import verify_shards

AGAIN = "delete that file and run precompute-swaps again"


@pytest.fixture(params=["tiny_swaps", "tiny_maps"])
def swaps(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return shutil.copytree(request.getfixturevalue(request.param), tmp_path / "swaps")


@pytest.fixture
def dataset(tiny_dataset: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_dataset, tmp_path / "dataset")


def findings(swaps: Path, dataset: Path | None = None) -> list[str]:
    found: list[str] = []
    with pytest.raises(InputError) as caught:
        verify_shards(swaps, dataset=dataset, say=found.append)
    assert str(caught.value).startswith(f"{swaps}: {len(found)} findings; run precompute-swaps")
    assert all("\n" not in line for line in found)
    return found


def test_whole_shards(swaps: Path, dataset: Path) -> None:
    assert verify_shards(swaps) == "OK: 3 pairs in 2 shards"
    assert verify_shards(swaps, dataset=dataset).endswith(f"2 shards, of the images in {dataset}")


def test_a_flipped_byte_a_cut_and_a_missing_shard(swaps: Path) -> None:
    first, second = sorted(swaps.glob("*.h5"))
    content = bytearray(first.read_bytes())
    content[2000] ^= 4
    first.write_bytes(content)
    assert [line.split(" is ")[0] for line in findings(swaps)] == [str(first)]
    second.write_bytes(second.read_bytes()[:-9])
    assert [line.split(" is ")[0] for line in findings(swaps)] == [str(first), str(second)]
    second.unlink()
    assert f"{second} is missing; run precompute-swaps again" in findings(swaps)[1]


def test_a_shard_that_the_index_does_not_list(swaps: Path) -> None:
    stranger = swaps / "shard-00007.h5"
    shutil.copy(swaps / "shard-00000.h5", stranger)
    assert findings(swaps) == [f"{stranger}: not in the index"]


def change_shard(swaps: Path, change: Callable[[h5py.Group], None]) -> Path:
    """Change pair 0 as software with a bug would: sealed, and listed in the index."""
    path = swaps / "shard-00000.h5"
    old = path.with_name("old.h5")
    path.rename(old)
    with h5py.File(old) as before, sealed_file(path) as after:
        before.copy("pairs", after)
        after.attrs.update(before.attrs)
        change(after["pairs"]["0"])
    old.unlink()
    index = json.loads((swaps / "index.json").read_text())
    index["shards"][0]["sha256"] = file_sha256(path)
    (swaps / "index.json").write_text(json.dumps(index))
    return path


def test_indices_beyond_the_patches(swaps: Path) -> None:
    def change(pair: h5py.Group) -> None:
        pair["index"][2, 3] = 80 + 30

    path = change_shard(swaps, change)
    problem = f"{path}, 0: index leads beyond the patches of the references"
    assert findings(swaps) == [f"{problem}; {AGAIN}"]


def test_cosines_beyond_one(swaps: Path) -> None:
    def change(pair: h5py.Group) -> None:
        pair["cosine"][0, 0] = 1.5

    path = change_shard(swaps, change)
    assert findings(swaps) == [f"{path}, 0: cosines beyond 0 and 1; {AGAIN}"]


def test_maps_of_another_size(tiny_maps: Path, tmp_path: Path) -> None:
    swaps = shutil.copytree(tiny_maps, tmp_path / "swaps")

    def change(pair: h5py.Group) -> None:
        values = pair["maps/relu2_1"][:, :-1]
        del pair["maps/relu2_1"]
        pair["maps/relu2_1"] = values

    path = change_shard(swaps, change)
    problem = f"{path}, 0: relu2_1 is (128, 19, 24), not (128, 20, 24)"
    assert findings(swaps) == [f"{problem}; {AGAIN}"]


def test_images_that_are_not_those_of_the_swaps(swaps: Path, dataset: Path) -> None:
    inputs, refs = dataset / "train" / "input", dataset / "train" / "ref"
    Image.new("RGB", (48, 40)).save(refs / "1.png")
    for folder in (inputs, refs):
        (folder / "2.png").rename(folder / "other.png")
    verify_shards(swaps)
    first, second = sorted(swaps.glob("*.h5"))
    assert findings(swaps, dataset) == [
        f"{first}, 1: {refs / '1.png'} is not the image that it was made from",
        f"{second}, 2: the data set has no such pair",
        f"{swaps}: holds no swap of the pair other",
    ]


class Counting(dict[str, Path]):
    """A dictionary that counts how often all of it is gone through."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        Counting.passes += 1
        return super().__iter__()

    def items(self) -> ItemsView[str, Path]:
        Counting.passes += 1
        return super().items()


def test_all_names_are_gone_through_but_once_or_twice(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pairs and shards there are: else a large data set takes hours to look up."""
    params = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))
    passes = []
    opened = Shards.__init__
    for pairs_per_shard in (1, 3):
        swaps = tmp_path / str(pairs_per_shard)
        given = params.model_copy(update={"pairs_per_shard": pairs_per_shard})
        precompute_swaps(tiny_dataset, swaps, given, workers=1, device="cpu")

        def counted(shards: Shards, folder: Path) -> None:
            opened(shards, folder)
            shards._shard_of = Counting(shards._shard_of)

        Counting.passes = 0
        with monkeypatch.context() as patch:
            patch.setattr(Shards, "__init__", counted)
            verify_shards(swaps, dataset=tiny_dataset)
        passes.append(Counting.passes)
    assert passes[0] == passes[1] <= 2
