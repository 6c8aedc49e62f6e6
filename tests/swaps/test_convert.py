from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.matcher import Matcher
from srntt_pipeline.swaps.shards import Shards

Contents = Callable[[Path], dict[str, bytes]]


def convert(swaps: Path, out: Path, dataset: Path, store: str, **options: object) -> int:
    return convert_shards(swaps, out, dataset, store=store, workers=1, device="cpu", **options)  # type: ignore[arg-type]


@pytest.fixture
def no_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("matched again")

    monkeypatch.setattr(Matcher, "match", refuse)


def test_maps_from_correspondences_are_what_precompute_would_store(
    tiny_swaps: Path, tiny_maps: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents,
    no_matching: None,
) -> None:  # fmt: skip
    assert convert(tiny_swaps, tmp_path / "out", tiny_dataset, "maps") == 3
    assert contents(tmp_path / "out") == contents(tiny_maps)


def test_correspondences_from_maps_need_no_encoder(
    tiny_swaps: Path, tiny_maps: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents,
    no_matching: None, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Encoder, "encode", None)
    convert(tiny_maps, tmp_path / "out", tiny_dataset, "correspondence")
    assert contents(tmp_path / "out") == contents(tiny_swaps)


def test_from_one_type_of_maps_to_another(
    tiny_maps: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    options = {"maps_dtype": "float32", "maps_codec": "gzip"}
    convert(tiny_maps, tmp_path / "out", tiny_dataset, "maps", **options)
    full, half = Shards(tmp_path / "out"), Shards(tiny_maps)
    for layer, maps in full.maps("1").items():
        assert (maps.half().float() == half.maps("1")[layer]).all()  # gathered anew, not from half
        assert (maps != half.maps("1")[layer]).any()


def test_other_images_are_named(tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    for side in ("input", "ref"):
        (dataset / "train" / side).mkdir(parents=True)
        Image.new("RGB", (48, 40)).save(dataset / "train" / side / "1.png")
    with pytest.raises(InputError, match=r"1\.png is not the image that .* was made from"):
        convert(tiny_swaps, tmp_path / "out", dataset, "maps")


def test_another_encoder_is_named(
    tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path, shared: Path
) -> None:
    weights = str(shared / "weights" / "vgg19_relu3_1.pth")
    with pytest.raises(InputError, match=r"was made with VGG19, random, seed 0 .* not with VGG19"):
        convert(tiny_swaps, tmp_path / "out", tiny_dataset, "maps", encoder_weights=weights)


def test_the_folder_itself_is_refused(tiny_swaps: Path, tiny_dataset: Path) -> None:
    with pytest.raises(InputError, match="name another folder"):
        convert(tiny_swaps, tiny_swaps / ".." / tiny_swaps.name, tiny_dataset, "maps")
