import csv
import errno
import hashlib
import io
import json
import math
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import (
    csv_bytes,
    file_sha256,
    fingerprint,
    finite,
    folders_with,
    json_bytes,
    read_csv,
    read_json,
    sha256,
    whole_file,
    write_bytes,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_whole_file_appears_only_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with whole_file(path) as partial:
        partial.write_bytes(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["table.csv"]


def test_whole_file_keeps_the_suffix_by_which_libraries_choose_the_format(tmp_path):
    with whole_file(tmp_path / "image.png") as partial:
        assert partial.suffix == ".png"
        assert partial.name.startswith(".")
        partial.touch()


def break_off(path, error, as_folder=False):
    """Fail with `error` when `path` is half written."""
    with whole_file(path) as partial:
        if as_folder:
            partial.mkdir()
        (partial / "00.jpg" if as_folder else partial).write_bytes(b"half of the n")
        raise error


def test_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        break_off(path, ZeroDivisionError)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["table.csv"]


def test_interrupted_block_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        break_off(tmp_path / "table.csv", KeyboardInterrupt)
    assert names(tmp_path) == []


def test_whole_folder_appears_only_at_the_end_of_the_block(tmp_path):
    with whole_file(tmp_path / "album") as partial:
        partial.mkdir()
        (partial / "00.jpg").write_bytes(b"photo")
        assert not (tmp_path / "album").exists()
    assert names(tmp_path) == ["00.jpg", "album"]


def test_failed_block_leaves_no_half_folder(tmp_path):
    with pytest.raises(ZeroDivisionError):
        break_off(tmp_path / "album", ZeroDivisionError, as_folder=True)
    assert names(tmp_path) == []


def test_a_name_as_long_as_a_file_system_takes_is_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"


def test_an_error_of_the_disk_names_the_file(tmp_path):
    path = tmp_path / "table.csv"
    for error in (OSError(errno.ENOSPC, "No space left on device"), OSError("in other words")):
        with pytest.raises(OSError, match=r"table\.csv") as caught:
            break_off(path, error)
        assert caught.value.filename == str(path)
        assert caught.value.strerror
    other = FileNotFoundError(errno.ENOENT, "No such file", "photo.jpg")
    with pytest.raises(FileNotFoundError, match=r"photo\.jpg"):
        break_off(path, other)


def test_two_jobs_can_write_one_file_at_a_time(tmp_path):
    """Threads of one process, or processes of one number on two machines."""
    path = tmp_path / "a.txt"
    with whole_file(path) as first, whole_file(path) as second:
        assert first != second
        first.write_text("same")
        second.write_text("same")
    assert path.read_text() == "same"
    assert names(tmp_path) == ["a.txt"]


def test_write_bytes_replaces_the_old_content(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_json_has_sorted_keys_readable_letters_and_a_last_newline(tmp_path):
    write_json(tmp_path / "a.json", {"b": "Löwe ×4", "a": [1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.index('"a"') < text.index('"b"')
    assert "Löwe ×4" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": [1], "b": "Löwe ×4"}


def test_read_json_gives_what_was_written(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1, None, "ä"]})
    assert read_json(tmp_path / "a.json", "") == {"a": [1, None, "ä"]}


@pytest.mark.parametrize("content", [None, b"", b'{"a": 1', b"\xff\xfe\x00"])
def test_missing_or_damaged_json_is_named_with_the_fix(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_json(path, "run build again")
    assert str(path) in str(error.value)
    assert str(error.value).endswith("run build again")
    assert "\n" not in str(error.value)


def test_csv_has_a_header_unix_line_ends_and_empty_cells_for_none():
    content = csv_bytes(["a", "b"], [{"a": 1, "b": None}, {"b": "x,y", "a": "é"}])
    assert content == 'a,b\n1,\né,"x,y"\n'.encode()


# Texts as file names have them, often such as spreadsheets take for formulas.
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
CELLS |= st.builds("".join, st.tuples(st.text("'=+-@\t\r\n", max_size=4), CELLS))


@settings(deadline=None, max_examples=100)
@given(st.lists(CELLS, max_size=8))
def test_csv_keeps_every_text_and_holds_no_formula(tmp_path_factory, cells):
    content = csv_bytes(["n", "cell"], [{"n": i, "cell": cell} for i, cell in enumerate(cells)])
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    path.write_bytes(content)
    (_, header), *rows = read_csv(path)
    assert header == ["n", "cell"]
    assert [cell for _, (_, cell) in rows] == cells
    # As others read it: the text, or the text behind a mark that makes it one to a spreadsheet.
    shown = [row["cell"] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]
    assert all(got in (cell, f"'{cell}") for got, cell in zip(shown, cells, strict=True))
    run = [got for got in shown if got.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert all(re.fullmatch(r"[+-]([0-9.]+(e[+-]?[0-9]+)?|inf|nan)", got, re.I) for got in run)


def test_numbers_in_a_csv_stay_numbers(tmp_path):
    texts = ["-0.5", "-1.5e-07", "+3", "-inf", "'quoted'", "=1+1", "-1+1", "-e", "'-5", "''=1"]
    rows = [{"n": -0.5, "text": text} for text in texts]
    content = csv_bytes(["n", "text"], rows)
    shown = [*texts[:5], "'=1+1", "'-1+1", "'-e", "'-5", "'" + "''=1"]
    assert content.decode().splitlines()[1:] == [f"-0.5,{text}" for text in shown]
    (tmp_path / "x.csv").write_bytes(content)
    assert [cells[1] for _, cells in read_csv(tmp_path / "x.csv")][1:] == texts


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a\xff,b\n", "utf-8"), (b"a,\0\n", "NUL, byte 2"), (b'a,"b\n', "unexpected end of data")],
)
def test_what_is_no_csv_is_told_so(tmp_path, content, problem):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises((ValueError, csv.Error), match=problem):
        list(read_csv(tmp_path / "x.csv"))


def test_files_of_other_programs_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert list(read_csv(tmp_path / "x.csv")) == [(1, ["a", "b"]), (2, ["1", "2"])]
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "x.json", "fix") == [1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[" * 200_000, "nested too deeply"),
        (b"[" + b"[]," * 5_000_000 + b"1]", "more than 4,000,000 values"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[1e999]", "1e999 is no number"),
        (b"[" + b"9" * 5000 + b"]", "4300 digits"),
        (b'["a\\u0000"]', "holds a NUL"),
        (b'["a\0"]', "holds a NUL"),
        (b'["\\ud800"]', "surrogates not allowed"),
        ("[1]".encode("utf-16"), "holds a NUL"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_json_that_no_one_of_ours_wrote_gives_one_line(tmp_path, content, problem):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_json(tmp_path / "x.json", "fix")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_json_keeps_what_only_looks_like_it(tmp_path):
    texts = ["\\u0000", "\\\\u0000", "\U0001f600", "NaN"]
    write_json(tmp_path / "x.json", texts)
    assert read_json(tmp_path / "x.json", "fix") == texts
    (tmp_path / "x.json").write_bytes(json.dumps(texts, ensure_ascii=True).encode())
    assert read_json(tmp_path / "x.json", "fix") == texts


def test_too_large_a_file_and_what_is_no_file_are_not_read(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(10 * 2**30)  # sparse
    os.mkfifo(tmp_path / "fifo")
    for name, problem in (("x.json", "larger than 128 MiB"), ("fifo", "not a file")):
        with pytest.raises(InputError, match=problem):
            read_json(tmp_path / name, "fix")


@settings(deadline=None, max_examples=200)
@given(
    st.binary()
    | st.text(st.sampled_from('[]{}",:0e9.-NaInfity\\u dD8'), max_size=40).map(str.encode)
)
def test_any_bytes_are_json_or_give_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        found = read_json(path, "fix")
    except InputError:
        return
    assert json.loads(content.decode("utf-8-sig")) == found
    assert b"NaN" not in json_bytes(found)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"a": {"b": [1.5, math.inf]}}, "no inf, which stands at a.b[1]"),
        ([(math.nan,)], r"no nan, which stands at [0][0]"),
        (-math.inf, "no -inf, which stands at the top"),
    ],
)
def test_json_refuses_what_it_has_no_number_for_with_its_place(tmp_path, content, told):
    """null in its place was written without a word, and read as what is not known."""
    with pytest.raises(ValueError, match=re.escape(told)):
        write_json(tmp_path / "x.json", content)
    assert names(tmp_path) == []


def test_who_writes_such_numbers_says_so():
    content = {"a": math.inf, "b": [1.5, (math.nan, "inf")], "c": {"d": -math.inf}, "e": 3}
    whole = {"a": None, "b": [1.5, [None, "inf"]], "c": {"d": None}, "e": 3}
    assert finite(content) == whole
    assert json.loads(json_bytes(finite(content)), parse_constant=pytest.fail) == whole


def test_hashes_are_sha256(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert sha256(content) == digest
    assert file_sha256(tmp_path / "file") == digest


def test_fingerprint_depends_on_content_not_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1, "b": [2]}) != fingerprint({"a": 1, "b": [3]})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_a_folder_stands_for_those_in_it_that_have_the_files(tmp_path):
    for name in ("b", "a", "none"):
        (tmp_path / name).mkdir()
    (tmp_path / "x.csv").touch()
    assert folders_with(tmp_path, "*.json") == [tmp_path]
    for name in ("b", "a"):
        (tmp_path / name / "x.json").touch()
    assert folders_with(tmp_path, "*.json") == [tmp_path / "a", tmp_path / "b"]
    assert folders_with(tmp_path, "*.csv") == [tmp_path]
    assert folders_with(tmp_path / "a" / "x.json", "*.json") == [tmp_path / "a" / "x.json"]
    assert folders_with(tmp_path / "missing", "*.json") == [tmp_path / "missing"]
