"""TensorFlow's checkpoints of version 1: as it writes them, and as strangers would."""

from collections.abc import Callable
from pathlib import Path

import leveldb
import numpy as np
import pytest
from leveldb import described, field, saved, table

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing.crc32c import crc32c
from srntt_pipeline.importing.tf_table import read_tf_table

RNG = np.random.default_rng(0)
TENSORS = {
    "net/Conv/biases": RNG.random(5, np.float32),
    "net/Conv/weights": RNG.random((3, 3, 2, 5), np.float32),
    "net/Conv_1/biases": RNG.random(300, np.float32),
    "net/rate": np.array(2.5, np.float32),
    "net/empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 9, 64, 1000])
def test_checksums_are_those_of_a_bit_by_bit_division(length: int) -> None:
    content = RNG.bytes(length)
    assert crc32c(content) == leveldb.crc32c(content)


def test_a_checksum_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@pytest.mark.parametrize("per_block", [1, 2, 10])
def test_tensors_are_what_was_written(tmp_path: Path, per_block: int) -> None:
    step = {"global_step": np.array(7, np.int64)}
    found = read_tf_table(leveldb.write(tmp_path / "weights", {**TENSORS, **step}, per_block))
    assert found.keys() == TENSORS.keys()
    for name, values in TENSORS.items():
        assert found[name].dtype == np.float32
        assert found[name].flags.writeable
        np.testing.assert_array_equal(found[name], values)


def test_each_flipped_byte_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = leveldb.write(tmp_path / "weights", {"a": TENSORS["net/Conv/biases"]})
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        told, found = "", None
        try:
            found = read_tf_table(path)["a"]
        except InputError as error:
            told = str(error)
        if found is None:
            assert told.startswith(f"{path}: ")
            assert told.isprintable()
        else:
            np.testing.assert_array_equal(found, TENSORS["net/Conv/biases"])
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged, or not a TensorFlow checkpoint"):
            read_tf_table(path)


def one_tensor(shape: tuple[int, ...], *entries: tuple[bytes, bytes], packed: int = 0) -> bytes:
    """A sound file that describes `a` of that shape."""
    meta = field(1, field(1, described("a", shape)))
    return table([[(b"", meta), *entries]], packed)


FOUR = np.arange(4, dtype=np.float32).tobytes()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (one_tensor((2, 3), saved("a", FOUR)), "a does not hold as many values as its shape says"),
        (one_tensor((2**40, 2**40), saved("a", FOUR)), "a does not hold as many values"),
        (one_tensor((4,), saved("a", b"\0\0\xc0\x7f" * 4)), "a is not finite"),
        (one_tensor((4,), saved("a", FOUR), saved("a", FOUR)), "a is in parts"),
        (one_tensor((4,), saved("a", FOUR, field(1, field(1, 2)))), "a is in parts"),
        (one_tensor((4,)), "a is missing"),
        (one_tensor((4,), saved("a", FOUR), packed=1), "its blocks are packed"),
        (one_tensor((4,), (b"a", b"\x12\xff\xff\xff\xff\x7f")), "cut short"),
        (one_tensor((4,), (b"a", b"\x13")), "a field of kind 3"),
        (one_tensor((4,), (b"a", field(1, 7))), "field 2 is missing"),
        (one_tensor((4,), (b"a", field(2, 7))), "field 2 is a number"),
        (b"weights", "it has no footer"),
        (b"", "it has no footer"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_tf_table(path)
    assert str(caught.value).startswith(
        f"{path}: damaged, or not a TensorFlow checkpoint of version 1 ({told}"
    )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "not a regular file"),
    ],
    ids=["gone", "folder"],
)
def test_what_is_no_file_is_told(tmp_path: Path, make: Callable[[Path], object], told: str) -> None:
    make(tmp_path / "weights")
    with pytest.raises(InputError, match=told):
        read_tf_table(tmp_path / "weights")


def test_files_of_version_2_are_told_apart(tmp_path: Path) -> None:
    for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        with pytest.raises(InputError, match="version 2"):
            read_tf_table(tmp_path / name)
