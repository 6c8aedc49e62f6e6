"""Names of several checkpoints of one network."""

import json

import pytest

from srntt_pipeline.methods.marks import mark_of, row_of, seed_name, seeds_of
from srntt_pipeline.methods.sources import read_methods
from tests.tiny_networks import save_srntt


@pytest.mark.parametrize(
    ("name", "row", "mark", "network"),
    [
        ("SRNTT-l2", "SRNTT-l2", "", None),
        ("SRNTT-l2 (SISR) #seed 0", "SRNTT-l2 (SISR)", " #seed 0", "SRNTT-l2 (SISR)"),
        ("EDSR #1a2b3c", "EDSR", " #1a2b3c", None),
        ("EDSR #lr 1e-4 #seed 7", "EDSR", " #lr 1e-4 #seed 7", "EDSR #lr 1e-4"),
        ("EDSR#1", "EDSR#1", "", None),
    ],
)
def test_a_name_has_a_row_and_a_mark(name, row, mark, network):
    assert (row_of(name), mark_of(name), seeds_of(name)) == (row, mark, network)


def test_a_seeds_name_is_read_again():
    assert seeds_of(seed_name("EDSR #x", 12)) == "EDSR #x"


def trained(path, seed, **changed):
    """Save a tiny network that says it was trained with this seed."""
    save_srntt(path, seed=seed)
    described = json.loads(path.with_suffix(".json").read_text())
    described["train"] |= {"seed": seed, **changed}
    path.with_suffix(".json").write_text(json.dumps(described))
    return path


def test_checkpoints_that_differ_by_their_seed_are_called_after_it(tmp_path):
    name = "srntt-l2.safetensors"
    paths = [trained(tmp_path / f"{seed}" / name, seed) for seed in (0, 5)]
    found = [method.name for method in read_methods(paths)]
    assert found == [
        "SRNTT-l2 (SISR) #seed 0", "SRNTT-l2 #seed 0",
        "SRNTT-l2 (SISR) #seed 5", "SRNTT-l2 #seed 5",
    ]  # fmt: skip
    other = trained(tmp_path / "other" / name, 7, steps=3)
    marked = [mark_of(method.name) for method in read_methods([*paths, other])]
    assert not any("seed" in mark for mark in marked)
    assert all(len(mark) == len(" #1a2b3c") for mark in marked)
