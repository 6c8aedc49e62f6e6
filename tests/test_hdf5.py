import hashlib

import h5py
import numpy as np
import pytest

from srntt_pipeline.hdf5 import add_dataset, sealed_file, sealed_hash


def write(path):
    with sealed_file(path) as file:
        for pair in range(3):
            group = file.create_group(f"{pair:05d}")
            group.attrs["name"] = f"{pair}.jpg"
            for name in ("index", "score"):
                values = np.arange(200 + pair, dtype=np.float32)
                add_dataset(group, name, values, compression="gzip", shuffle=True, fletcher32=True)
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
