"""Lists of arrays in .npz files: as NumPy wrote them, and as strangers would."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import hostile
import numpy as np
import pytest
from tensorlayer import listed, save, save_pickle

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing.npz import read_arrays

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.random((3, 3, 2, 4), np.float32),
    np.asfortranarray(RNG.random((5, 3), np.float32)),
    RNG.random(7, np.float32),
    np.zeros((0, 3), np.float32),
    np.float32(RNG.random((4, 6)))[:, ::2],
    np.array(2.5, np.float32),
]


@pytest.mark.parametrize("protocol", [None, 0, 1, 2, 3, 4])
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, protocol: int | None) -> None:
    path = save(tmp_path / "a.npz", ARRAYS, protocol=protocol)
    found = read_arrays(path)
    assert len(found) == len(ARRAYS)
    for one, other in zip(found, ARRAYS, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)
        assert one.flags.writeable


class OfPython2:
    """An array as Python 2 wrote it: its bytes are text, which is read as Latin-1."""

    def __reduce__(self) -> tuple:
        make, given, (_, *state, content) = ARRAYS[0].__reduce__()
        return make, given, (1, *state, content.decode("latin1"))


def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", [OfPython2()], protocol=2)
    np.testing.assert_array_equal(read_arrays(path)[0], ARRAYS[0])


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", params=listed(ARRAYS))
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz")[0], ARRAYS[0])


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evils = hostile.payloads(tmp_path, canary)
    shell = hostile.Evil(os.system, f"touch {canary}")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        evils[f"in a list, {protocol}"] = pickle.dumps(listed([shell]), protocol)
    evils["a function that is changed"] = (
        b"cnumpy.core.multiarray\n_reconstruct\n(N}S'__defaults__'\nNstb."
    )
    evils["numpy's own loader"] = pickle.dumps(hostile.Evil(np.load, str(tmp_path / "b")), 2)
    for name, content in evils.items():
        path = save_pickle(tmp_path / "a.npz", content, 1)
        with pytest.raises(InputError) as caught:
            read_arrays(path)
        assert str(caught.value).startswith(f"{path}: "), name
        assert str(caught.value).isprintable(), name
        assert not canary.exists(), name
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(InputError):
            read_arrays(tmp_path / "b.npz")
        assert not canary.exists(), name


def test_memory_that_a_file_declares_is_not_taken(tmp_path: Path) -> None:
    much = (2**40).to_bytes(8, "little")
    pickles = {
        "bytes": b"\x80\x04\x8e" + much + b"abc.",
        "places": b"\x80\x04Nr\xff\xff\xff\x7f.",
        "an array": pickle.dumps(listed([np.zeros(3, np.float32)]), 2).replace(
            b"K\x03\x85", b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85"
        ),
    }
    for name, content in pickles.items():
        with pytest.raises(InputError):
            read_arrays(save_pickle(tmp_path / f"{name}.npz", content, 1))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("params.npy", bytes(300 << 20))
    with pytest.raises(InputError, match="larger than 256 MiB"):
        read_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.zeros(3), "array 1 is of type <f8, expected <f4"),
        (np.zeros(3, ">f4"), "array 1 is of type >f4"),
        (np.float32([1, np.nan]), "array 1 is not finite"),
        (np.float32([1, np.inf]), "array 1 is not finite"),
        ("text", "array 1 is no array, but str"),
        (None, "array 1 is no array, but nonetype"),
        ([1.0], "array 1 is no array, but list"),
    ],
    ids=str,
)
def test_the_array_that_is_none_is_named(tmp_path: Path, value: object, told: str) -> None:
    path = save(tmp_path / "a.npz", [ARRAYS[0], value])
    with pytest.raises(InputError) as caught:
        read_arrays(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def numbers(path: Path) -> None:
    np.savez(path, params=np.zeros(3, np.float32))


def two_rows(path: Path) -> None:
    found = np.empty((2, 2), object)
    found[:] = [[1, 2], [3, 4]]
    np.savez(path, params=found)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "damaged, or not a .npz file"),
        (flip, "damaged, or not a .npz file"),
        (lambda path: path.write_bytes(b"weights"), "damaged, or not a .npz file"),
        (lambda path: path.unlink(), "no such file"),
        (numbers, "expected a list"),
        (two_rows, "expected a list"),
        (lambda path: np.savez(path, other=np.zeros(3)), "holds no list `params`, but other.npy"),
    ],
    ids=["cut", "flipped", "text", "gone", "numbers", "two rows", "another name"],
)
def test_what_is_no_such_file_is_named(
    tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    path = save(tmp_path / "a.npz", ARRAYS)
    damage(path)
    with pytest.raises(InputError) as caught:
        read_arrays(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
