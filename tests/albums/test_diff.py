import dataclasses

import pytest

from srntt_pipeline.albums.diff import diff_manifests
from srntt_pipeline.albums.manifest import make_manifest, read_manifests, write_manifests
from srntt_pipeline.outputs import open_output


@pytest.fixture
def other(original, tmp_path):
    """Write a manifest that has other rows or another origin than the original; return where."""

    def write(train=None, test=None, rejected=None, **origin):
        old = read_manifests(original)
        data = make_manifest(
            old.train if train is None else train,
            old.test if test is None else test,
            old.rejected if rejected is None else rejected,
            old.origin.model_copy(update=origin),
        )
        with open_output(tmp_path / "other", "dataset") as output:
            write_manifests(output, data)
        return tmp_path / "other"

    return write


def test_a_manifest_is_identical_to_itself(original, other):
    assert diff_manifests(original, other()) == "identical: 12 training pairs, 2 test groups"


def test_running_names_are_no_difference(original, other):
    rows = read_manifests(original).train
    names = [row.name for row in rows]
    renamed = [
        dataclasses.replace(row, name=name) for row, name in zip(rows, reversed(names), strict=True)
    ]
    first, *rest = diff_manifests(original, other(train=renamed)).splitlines()
    assert first.startswith("the same rows under other names: 12 training pairs")
    assert rest == []


def test_rows_only_in_one_are_told_with_levels_and_albums(original, other):
    rows = read_manifests(original).train
    gone = rows[0]
    text = diff_manifests(original, other(train=rows[1:]))
    assert text.splitlines()[0].startswith("different rows: 12 training pairs, 2 test groups in A")
    assert f"only in A: 1 training pair ({gone.level} 1; {gone.album} 1)" in text
    assert f"{gone.hr_photo} ({gone.hr_x_px}, {gone.hr_y_px}) with {gone.ref_photo}" in text
    assert "only in B" not in text
    assert "only in B: 1 training pair" in diff_manifests(other(train=rows[1:]), original)


def test_changed_rows_are_told_with_what_changed(original, other):
    train, test = read_manifests(original).train, read_manifests(original).test
    changed = [dataclasses.replace(train[0], matches=7777, event="Zoo"), *train[1:]]
    text = diff_manifests(original, other(train=changed))
    assert "changed: 1 training pair" in text
    assert f"event {train[0].event or 'none'} → Zoo, matches {train[0].matches} → 7777" in text
    changed = [*test[:-1], dataclasses.replace(test[-1], importance=None)]
    assert f"importance {test[-1].importance} → none" in diff_manifests(
        original, other(test=changed)
    )


def test_another_reference_is_a_row_less_and_a_row_more(original, other):
    test = read_manifests(original).test
    text = diff_manifests(
        original, other(test=[*test[:-1], dataclasses.replace(test[-1], photo="new.jpg")])
    )
    assert "only in A: 1 test image" in text
    assert "only in B: 1 test image" in text
    assert "with new.jpg" in text


def test_parameters_versions_and_counts_that_differ_are_told(original, other):
    origin = read_manifests(original).origin
    text = diff_manifests(
        original,
        other(
            params=origin.params.model_copy(update={"seed": 3}),
            versions=origin.versions | {"opencv": "9.9"},
            counts=origin.counts.model_copy(update={"photos": 14}),
        ),
    )
    first, *rest = text.splitlines()
    assert first.startswith("the same rows: 12 training pairs")
    assert rest == [
        "counts.photos: 15 → 14",
        "params.seed: 0 → 3",
        f"versions.opencv: {origin.versions['opencv']} → 9.9",
    ]
