import contextlib
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.manifest_rows import (
    Missing,
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
SCORE = st.none() | st.floats(allow_nan=False, allow_infinity=False)
PATH = TEXT.filter(lambda text: not text.startswith("/") and ".." not in text.split("/"))
CELLS = {
    "album": PATH,
    "photo": PATH.filter(lambda text: "/" not in text),
    "event": st.just("") | TEXT,
    "level": st.sampled_from(["L1", "L2", "L9"]),
    "matches": NUMBER,
    "crop_matches": NUMBER,
    "name": st.from_regex("[0-9]{1,12}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    "size_px": st.sampled_from([16, 48, 160]),
    "sha256": st.sampled_from(["0" * 64, "9af" + "1" * 61]),
    "importance": SCORE,
    "k": st.integers(0, 9),
    "reason": TEXT,
    "problem": TEXT,
}
CELLS |= {
    "group": CELLS["name"],
    "train_pairs": NUMBER,
    "test_groups": NUMBER,
}


def cell(row_type, column):
    bare = column.removeprefix("hr_").removeprefix("ref_")
    if row_type is Rejected:
        return TEXT  # whatever was found
    if row_type is TestRow and column in ("matches", "level"):
        return {"matches": st.none() | NUMBER, "level": st.sampled_from(["HR", "L3"])}[column]
    return st.integers(0, 16_384) if bare in ("x_px", "y_px") else CELLS[bare]


def rows_of(row_type):
    names = [field.name for field in dataclasses.fields(row_type)]
    return st.builds(row_type, **{name: cell(row_type, name) for name in names})


def a_train_row(name="00000", **changes):
    row = TrainRow(
        name=name, album="lund", event="", level="L1", matches=200, crop_matches=9, size_px=160,
        hr_photo="a.jpg", hr_x_px=1, hr_y_px=2, hr_sha256="0" * 64, hr_importance=None,
        ref_photo="b.jpg", ref_x_px=3, ref_y_px=4, ref_sha256="1" * 64,
    )  # fmt: skip
    return dataclasses.replace(row, **changes)


@pytest.mark.parametrize("row_type", [TrainRow, TestRow, Rejected, Missing])
def test_rows_are_read_back_as_written_whatever_the_names(tmp_path, row_type):
    @settings(deadline=None, max_examples=40)
    @given(st.lists(rows_of(row_type), max_size=4))
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


def test_names_that_a_spreadsheet_would_run_are_texts_to_it_and_the_same_to_us(tmp_path):
    names = ["=1+1.jpg", "+a.jpg", "-rf.jpg", "@SUM(A1).jpg", "'=1.jpg", "'quoted'.jpg", "\t=1.jpg"]
    rows = [Rejected("-album", name, "unreadable") for name in sorted(names)]
    content = manifest_bytes(Rejected, rows)
    (tmp_path / "rejected.csv").write_bytes(content)
    assert read_manifest(Rejected, tmp_path / "rejected.csv") == sorted(rows)
    cells = [cell for line in content.decode().splitlines()[1:] for cell in line.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_manifest_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(b"\xef\xbb\xbf" + manifest_bytes(TrainRow, [a_train_row()]))
    assert read_manifest(TrainRow, path) == [a_train_row()]


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_any_change_of_a_manifest_is_read_or_gives_one_line(tmp_path_factory, noise, place):
    content = manifest_bytes(TrainRow, [a_train_row("0"), a_train_row("1")])
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content[:place] + noise + content[place:])
    with contextlib.suppress(InputError):
        read_manifest(TrainRow, path)


def test_manifest_is_sorted_so_that_git_diffs_read_well():
    rows = [a_train_row(name) for name in ("00002", "00000", "00001")]
    lines = manifest_bytes(TrainRow, rows).decode().splitlines()
    assert [line[:5] for line in lines] == ["name,", "00000", "00001", "00002"]


def test_header_names_units():
    header = manifest_bytes(TrainRow, []).decode()
    assert header == (
        "name,album,event,level,matches,crop_matches,size_px,hr_photo,hr_x_px,hr_y_px,hr_sha256,"
        "hr_importance,ref_photo,ref_x_px,ref_y_px,ref_sha256\n"
    )


def test_hr_image_of_a_group_has_no_count():
    row = TestRow(
        group="000", k=0, album="lund", event="Wedding", level="HR", matches=None, photo="a.jpg",
        sha256="f" * 64, importance=1.5,
    )  # fmt: skip
    content = manifest_bytes(TestRow, [row]).decode()
    assert content.splitlines()[1] == f"000,0,lund,Wedding,HR,,a.jpg,{'f' * 64},1.5"


def test_rows_that_differ_in_none_alone_are_sorted_none_first():
    rows = [a_train_row(hr_importance=score) for score in (0.5, None, -1.5)]
    assert [row.hr_importance for row in sorted(rows)] == [None, -1.5, 0.5]


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


def test_nul_is_refused(damaged):
    assert "NUL" in complaint(damaged(b",lund,", b",lu\0nd,"))


def test_unclosed_quote_over_a_huge_file_is_refused(damaged):
    complaint(damaged(b",lund,", b',"' + b"x" * 200_000))


@pytest.mark.parametrize(
    ("column", "old", "new"),
    [
        ("name", b"1,lund", b"../1,lund"),
        ("album", b",lund,", b",../lund,"),
        ("album", b",lund,", b",/lund,"),
        ("album", b",lund,", b",,"),
        ("name", b"1,lund", b"1" * 300 + b",lund"),
        ("album", b",lund,", b"," + b"x" * 5000 + b","),
        ("level", b",L1,", b",L0,"),
        ("matches", b",200,", b",-1,"),
        ("size_px", b",160,", b",161,"),
        ("hr_photo", b",a.jpg,", b",../a.jpg,"),
        ("hr_photo", b",a.jpg,", b",..,"),
        ("hr_x_px", b",1,2,", b",1.5,2,"),
        ("hr_x_px", b",1,2,", b",99999999999999999999,2,"),
        ("hr_photo", b",a.jpg,", b"," + b"a" * 300 + b","),
        ("hr_sha256", b"0" * 64, b"0" * 63),
        ("hr_importance", b",,b.jpg", b",nan,b.jpg"),
    ],
)
def test_cell_that_does_not_fit_its_column_is_refused_with_line_and_column(
    damaged, column, old, new
):
    message = complaint(damaged(old, new))
    assert "line 3" in message
    assert f"({column}: " in message
    assert "\n" not in message
