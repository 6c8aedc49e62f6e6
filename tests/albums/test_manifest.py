import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.manifest import (
    Rejected,
    TestRow,
    TrainRow,
    manifest_bytes,
    read_manifest,
)
from srntt_pipeline.errors import InputError

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=5
)
NUMBER = st.integers(0, 10**6)


def rows_of(row_type):
    kinds = {str: TEXT, int: NUMBER, int | None: st.none() | NUMBER}
    fields = {field.name: kinds[field.type] for field in dataclasses.fields(row_type)}
    return st.builds(row_type, **fields)


def a_train_row(name="00000", **changes):
    row = TrainRow(
        name, "lund", "L1", 200, 9, 160, "a.jpg", 1, 2, "0" * 64, "b.jpg", 3, 4, "1" * 64
    )
    return dataclasses.replace(row, **changes)


@pytest.mark.parametrize("row_type", [TrainRow, TestRow, Rejected])
def test_rows_are_read_back_as_written_whatever_the_names(tmp_path, row_type):
    @settings(deadline=None, max_examples=40)
    @given(st.lists(rows_of(row_type), max_size=4, unique_by=lambda r: dataclasses.astuple(r)[:2]))
    def check(rows):
        path = tmp_path / "manifest.csv"
        path.write_bytes(manifest_bytes(row_type, rows))
        assert read_manifest(row_type, path) == sorted(rows)

    check()


def test_line_end_in_a_name_is_read_back(tmp_path):
    """macOS keeps a folder's icon in a file named "Icon" and a carriage return."""
    row = Rejected("lund", "Icon\r", "not a photo's file type (no suffix)")
    (tmp_path / "rejected.csv").write_bytes(manifest_bytes(Rejected, [row]))
    assert read_manifest(Rejected, tmp_path / "rejected.csv") == [row]


def test_manifest_is_sorted_so_that_git_diffs_read_well():
    rows = [a_train_row(name) for name in ("00002", "00000", "00001")]
    lines = manifest_bytes(TrainRow, rows).decode().splitlines()
    assert [line[:5] for line in lines] == ["name,", "00000", "00001", "00002"]


def test_header_names_units():
    header = manifest_bytes(TrainRow, []).decode()
    assert header == (
        "name,album,level,matches,crop_matches,size_px,hr_photo,hr_x_px,hr_y_px,hr_sha256,"
        "ref_photo,ref_x_px,ref_y_px,ref_sha256\n"
    )


def test_hr_image_of_a_group_has_no_count():
    row = TestRow("000", 0, "lund", "HR", None, "a.jpg", "f" * 64)
    content = manifest_bytes(TestRow, [row]).decode()
    assert content.splitlines()[1] == f"000,0,lund,HR,,a.jpg,{'f' * 64}"


# What is no manifest


def complaint(path, row_type=TrainRow):
    with pytest.raises(InputError) as error:
        read_manifest(row_type, path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.fixture
def damaged(tmp_path):
    """Write a manifest of two rows with `old` replaced by `new` in its last line."""

    def write(old, new):
        *lines, last = manifest_bytes(TrainRow, [a_train_row("0"), a_train_row("1")]).splitlines()
        assert old in last
        path = tmp_path / "train.csv"
        path.write_bytes(b"\n".join([*lines, last.replace(old, new, 1)]) + b"\n")
        return path

    return write


def test_missing_file_is_named(tmp_path):
    assert "cannot read the manifest" in complaint(tmp_path / "train.csv")


def test_other_header_is_no_manifest(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(manifest_bytes(TestRow, []))
    assert "not a manifest" in complaint(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b"no manifest\n"])
def test_other_content_is_no_manifest(tmp_path, content):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    complaint(path)


def test_number_that_is_none_is_refused_with_its_line(damaged):
    message = complaint(damaged(b",200,", b",many,"))
    assert "'many'" in message
    assert "line 3" in message


def test_missing_number_is_refused_with_its_line(damaged):
    assert "line 3" in complaint(damaged(b",200,", b",,"))


def test_row_that_is_too_short_is_refused_with_its_line(damaged):
    """A file cut short in a transfer must not pass for a manifest."""
    assert "line 3" in complaint(damaged(b"," + b"1" * 64, b""))


def test_row_that_is_too_long_is_refused_with_its_line(damaged):
    assert "line 3" in complaint(damaged(b"1" * 64, b"1" * 64 + b",x"))


def test_unclosed_quote_over_a_huge_file_is_refused(damaged):
    complaint(damaged(b",lund,", b',"' + b"x" * 200_000))
