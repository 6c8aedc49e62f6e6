"""Files of MATLAB against SciPy's reading of them, and what is no such file."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from srntt_pipeline.errors import InputError
from srntt_pipeline.matlab import read_mat


def variables() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    cells = np.empty((2, 2), object)
    cells[0, 0], cells[1, 0] = rng.random((2, 3, 4)).astype(np.float32), "text"
    cells[0, 1], cells[1, 1] = np.int16([[-7, 300]]), np.zeros((0, 0))
    return {
        "numbers": rng.random((3, 5)),
        "bytes": rng.integers(0, 256, (4, 2), np.uint8),
        "long": np.int64([[-(2**40)]]),
        "big": np.arange(6, dtype=">f4").reshape(2, 3),
        "cells": cells,
        "struct": {"weights": cells, "name": "conv1_1", "size": np.float64([[3, 3]])},
        "complex": np.array([[1 + 2j]]),
    }


@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_wrote_is_read(tmp_path: Path, packed: bool) -> None:
    path, wrote = tmp_path / "a.mat", variables()
    scipy.io.savemat(path, wrote, do_compression=packed)
    found = read_mat(path)
    for name in ("numbers", "bytes", "long", "big"):
        np.testing.assert_array_equal(found[name], wrote[name])
        assert found[name].dtype == np.dtype(wrote[name].dtype).newbyteorder("=")
    for cells in (found["cells"], found["struct"]["weights"]):  # column by column
        np.testing.assert_array_equal(cells[0], wrote["cells"][0, 0])
        assert cells[1] == "text"
        assert cells[2].tolist() == [[-7, 300]]
        assert cells[3].shape == (0, 0)
    assert found["struct"]["name"] == "conv1_1"
    assert found["struct"]["size"].tolist() == [[3, 3]]
    assert found["complex"] is None


def test_an_array_of_structs_is_a_list(tmp_path: Path) -> None:
    structs = np.array([(b"a", 1.0), (b"b", 2.0)], [("name", object), ("value", object)])
    scipy.io.savemat(tmp_path / "a.mat", {"params": structs})
    found = read_mat(tmp_path / "a.mat")["params"]
    assert [one["name"] for one in found] == ["a", "b"]
    assert [one["value"].tolist() for one in found] == [[[1.0]], [[2.0]]]


def test_files_that_matlab_wrote_are_read_as_scipy_reads_them(shared: Path) -> None:
    folder = shared / "weights" / "published"
    path = folder / "srcnn" / "x4.mat"
    found, wanted = read_mat(path), scipy.io.loadmat(path)
    assert found.keys() == {name for name in wanted if not name.startswith("__")}
    assert all(np.array_equal(found[name], wanted[name]) for name in found)
    path = folder / "lapsrn" / "LapSRN_x4.mat"
    params = read_mat(path)["net"]["params"]
    theirs = scipy.io.loadmat(path)["net"][0, 0]["params"][0]
    assert [one["name"] for one in params] == [str(one["name"][0]) for one in theirs]
    for one, other in zip(params, theirs, strict=True):
        value = other["value"]
        np.testing.assert_array_equal(one["value"].reshape(value.shape), value)


def test_damage_is_a_line_and_never_a_crash(tmp_path: Path) -> None:
    path, rng, said = tmp_path / "a.mat", random.Random(0), []
    scipy.io.savemat(path, variables())
    whole = path.read_bytes()
    for number in range(600):
        spoilt = bytearray(whole)
        for _ in range(rng.choice([1, 2, 8])):
            spoilt[rng.randrange(100, len(spoilt))] = rng.randrange(256)
        path.write_bytes(spoilt[: rng.randrange(len(spoilt))] if number % 5 == 0 else spoilt)
        try:
            read_mat(path)
        except InputError as error:
            said.append(str(error))
    assert len(said) > 100
    assert all(line.startswith(f"{path}: ") and line.isprintable() for line in said)


def test_what_is_no_mat_file_is_named(tmp_path: Path) -> None:
    for content in (b"", b"weights", b"MATLAB 5.0 MAT-file".ljust(128)):
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.mat: not a \.mat file of level 5"):
            read_mat(tmp_path / "a.mat")
    with pytest.raises(InputError, match=r"gone\.mat: no such file"):
        read_mat(tmp_path / "gone.mat")
    with pytest.raises(InputError, match=r"not a regular file|directory"):
        read_mat(tmp_path)
