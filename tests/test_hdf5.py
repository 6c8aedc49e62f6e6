import hashlib
import os
import resource
from pathlib import Path

import h5py
import hostile
import numpy as np
import pytest

from srntt_pipeline.hdf5 import (
    add_dataset,
    child,
    intact_text,
    is_intact,
    read_array,
    sealed_file,
    sealed_hash,
)


def fill(file):
    for pair in range(3):
        group = file.create_group(f"{pair:05d}")
        group.attrs["name"] = f"{pair}.jpg"
        for name in ("index", "score"):
            values = np.arange(200 + pair, dtype=np.float32)
            add_dataset(group, name, values, compression="gzip", shuffle=True, fletcher32=True)


def write(path):
    with sealed_file(path) as file:
        fill(file)
    return path.read_bytes()


@pytest.mark.parametrize("method", ["create_dataset", "create_group"])
def test_bytes_do_not_depend_on_when_python_drops_objects(tmp_path, monkeypatch, method):
    expected = write(tmp_path / "a.h5")
    kept, create = [], getattr(h5py.Group, method)

    def create_and_keep(*arguments, **options):
        kept.insert(0, create(*arguments, **options))
        return kept[0]

    monkeypatch.setattr(h5py.Group, method, create_and_keep)
    assert write(tmp_path / "b.h5") == expected
    assert kept


def test_seal_names_the_hash_of_what_follows_it(tmp_path):
    content = write(tmp_path / "a.h5")
    assert sealed_hash(tmp_path / "a.h5") == hashlib.sha256(content[512:]).hexdigest()


@pytest.mark.parametrize("content", [b"", b"srntt_pipeline\nsha256", b"\x89HDF", bytes(600)])
def test_file_without_a_seal_has_no_hash(tmp_path, content):
    assert sealed_hash(tmp_path / "missing.h5") is None
    (tmp_path / "a.h5").write_bytes(content)
    assert sealed_hash(tmp_path / "a.h5") is None


def test_the_file_is_the_one_that_hdf5_writes_to_a_disk(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w", userblock_size=512) as file:
        fill(file)
    content = (tmp_path / "plain.h5").read_bytes()[512:]
    seal = f"srntt_pipeline\nsha256 {hashlib.sha256(content).hexdigest()}\n".encode()
    assert write(tmp_path / "sealed.h5") == seal.ljust(512, b"\0") + content


def test_a_disk_that_is_full_is_an_error_of_the_file(tmp_path):
    path = tmp_path / "a.h5"
    write(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert write(path) == before


def test_an_error_while_it_is_filled_leaves_the_old_file(tmp_path):
    before = write(tmp_path / "a.h5")
    with pytest.raises(KeyError), sealed_file(tmp_path / "a.h5") as file:
        del file.create_group("half")["none"]
    assert (tmp_path / "a.h5").read_bytes() == before


def no_hdf5(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))


def no_attribute(path):
    with h5py.File(path, "w", userblock_size=512):
        pass


def attribute_of_numbers(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file.attrs["made_from"] = [1, 2]


def half_a_file(path):
    write(path)
    path.write_bytes(path.read_bytes()[:1500])


@pytest.mark.parametrize("make", [no_hdf5, no_attribute, attribute_of_numbers, half_a_file])
def test_what_is_sealed_by_a_stranger_is_asked_without_harm(tmp_path, make):
    path = tmp_path / "a.h5"
    make(path)
    hostile.seal(path)
    assert is_intact(path)
    assert intact_text(path, "made_from") is None


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_intact(tmp_path, make):
    make(tmp_path / "a.h5")
    assert not is_intact(tmp_path / "a.h5")
    assert intact_text(tmp_path / "a.h5", "made_from") is None


@pytest.mark.parametrize("options", [{}, {"compression": 1}, {"shuffle": True, "fletcher32": True}])
def test_arrays_come_back(tmp_path, options):
    values = np.random.default_rng(0).integers(0, 9, (70, 800), np.uint32)
    with sealed_file(tmp_path / "a.h5") as file:
        add_dataset(file, "values", values, **options)
        add_dataset(file, "none", values[:0])
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(read_array(file, "values", np.uint32, (70, 800)), values)
        assert read_array(file, "none", np.uint32, (70, 800)).shape == (0, 800)
        with pytest.raises(ValueError, match=r"values is \(70, 800\), above \(70, 799\)"):
            read_array(file, "values", np.uint32, (70, 799))
        with pytest.raises(ValueError, match="values is not int32"):
            read_array(file, "values", np.int32, (70, 800))
        with pytest.raises(ValueError, match="none/values is not there"):
            child(file, "none/values")
