import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK, write_bytes
from srntt_pipeline.outputs import check_output_file, open_output


def write(folder, *names, content=b"ours", kind="tables", **options):
    with open_output(folder, kind, **options) as output:
        output.claim([folder / name for name in names])
        for name in names:
            write_bytes(folder / name, content)
    return output


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_folder_is_marked_with_what_was_written(tmp_path):
    write(tmp_path / "a" / "b", "table.csv", "x/y.md")
    mark = json.loads((tmp_path / "a/b" / MARK / "mark.json").read_text())
    assert mark["kind"] == "tables"
    assert mark["files"] == ["table.csv", "x/y.md"]
    assert names(tmp_path / "a/b") == [
        f"{MARK}/lock", f"{MARK}/mark.json", "table.csv", "x/y.md",
    ]  # fmt: skip


def test_what_was_claimed_and_never_written_is_forgotten(tmp_path):
    with open_output(tmp_path, "tables") as output:
        output.claim([tmp_path / "a", tmp_path / "b"])
        write_bytes(tmp_path / "a", b"")
    assert output.ours() == [tmp_path / "a"]
    (tmp_path / "b").write_text("somebody's")
    with pytest.raises(InputError, match="b was not written by srntt-pipeline"):
        write(tmp_path, "b")


@pytest.mark.parametrize("name", ["thesis.tex", ".hidden", "train/input/00000.png", "table.csv"])
def test_a_folder_with_anything_in_it_is_refused(tmp_path, name, contents):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("somebody's")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"is not empty, and srntt-pipeline did not write"):
        write(tmp_path, "table.csv")
    assert contents(tmp_path) == before
    assert not (tmp_path / MARK).exists()


def test_what_systems_put_into_folders_does_not_matter(tmp_path):
    for name in (".gitignore", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).touch()
    (tmp_path / "lost+found").mkdir()
    write(tmp_path, "table.csv")
    assert (tmp_path / ".gitignore").exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("out", "dangling"):
        with pytest.raises(InputError, match=f"{name} is a file; name a folder"):
            write(tmp_path / name, "a")


def test_a_link_to_a_folder_is_that_folder(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    write(tmp_path / "out", "a")
    assert (tmp_path / "disk" / "a").read_bytes() == b"ours"


def test_another_kind_of_output_is_refused(tmp_path):
    write(tmp_path, "a", kind="dataset")
    with pytest.raises(InputError, match="holds a data set, and tables would be written there"):
        write(tmp_path, "b")


def test_inputs_inside_are_refused(tmp_path, contents):
    (tmp_path / "out" / "train").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out" / "train")
    for read in (tmp_path / "out" / "train", tmp_path / "link", tmp_path / "out"):
        with pytest.raises(InputError, match=r"is read by this command and lies inside"):
            write(tmp_path / "out", "a", reads=[read])
    assert contents(tmp_path) == {}


def test_a_foreign_file_in_our_folder_is_neither_replaced_nor_removed(tmp_path):
    write(tmp_path, "a", "sub/b")
    (tmp_path / "sub" / "c").write_text("somebody's")
    with pytest.raises(InputError, match=r"sub/c was not written by srntt-pipeline"):
        write(tmp_path, "a", "sub/c", content=b"new")
    assert (tmp_path / "a").read_bytes() == b"ours"  # refused before anything was written
    with open_output(tmp_path, "tables") as output:
        output.remove([tmp_path / "sub/b", tmp_path / "sub/c"])
        assert output.foreign("sub") == [tmp_path / "sub" / "c"]
    assert names(tmp_path / "sub") == ["c"]


def test_removing_leaves_no_empty_folders(tmp_path):
    write(tmp_path, "a", "x/y/b")
    with open_output(tmp_path, "tables") as output:
        output.remove_others([tmp_path / "a"], ["x"])
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "a").exists()


def test_a_link_in_place_of_our_folder_is_not_followed(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    write(out, "sub/a")
    write_bytes(other / "a", b"somebody's")
    (out / "sub" / "a").unlink()
    (out / "sub").rmdir()
    (out / "sub").symlink_to(other)
    with pytest.raises(InputError, match=r"sub is a link"):
        write(out, "sub/a")
    with open_output(out, "tables") as output, pytest.raises(InputError, match="sub is a link"):
        output.remove([out / "sub" / "a"])
    assert (other / "a").read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": "x", "files": []}', '{"format": "srntt_pipeline output"}',
     *(json.dumps({"format": "srntt_pipeline output", "kind": "tables", "files": [name]})
       for name in ("/etc/passwd", "../x", 5, ""))],
)  # fmt: skip
def test_a_mark_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "out" / MARK).mkdir(parents=True)
    (tmp_path / "out" / MARK / "mark.json").write_text(content)
    with pytest.raises(InputError, match=r"mark\.json.*name another folder than"):
        write(tmp_path / "out", "a")


def test_a_run_that_only_made_folders_can_be_started_again(tmp_path):
    """On a full disk a folder can be made, and no file in it."""

    def fail(left):
        with open_output(tmp_path, "tables") as output:
            output.claim([tmp_path / "claimed" / "a"])
            (tmp_path / left).mkdir()
            raise ZeroDivisionError

    for left in ("claimed", "other"):
        with pytest.raises(ZeroDivisionError):
            fail(left)
        assert (tmp_path / "other").exists() == (left == "other")
    write(tmp_path, "claimed/a")


def test_a_mark_that_is_a_link_is_refused(tmp_path, contents):
    write_bytes(tmp_path / "mine" / "partial" / "letter.txt", b"somebody's")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MARK).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="is a link"):
        write(tmp_path / "out", "a")
    assert (tmp_path / "mine" / "partial" / "letter.txt").exists()


def test_a_run_that_writes_nothing_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        with pytest.raises(ZeroDivisionError), open_output(folder, "tables"):
            raise ZeroDivisionError
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_what_a_killed_run_left_half_written_is_cleared_and_nothing_else(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from srntt_pipeline.files import whole_file\n"
        "from srntt_pipeline.outputs import open_output\n"
        "with open_output(Path(sys.argv[1]), 'tables') as output:\n"
        "    output.claim([Path('a/b')])\n"
        "    with whole_file(output.folder / 'a/b') as partial:\n"
        "        partial.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    job = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(job).returncode == -signal.SIGKILL
    assert len(names(tmp_path / MARK / "partial")) == 1
    alike = [".film.mp4.partial", ".x-1234abcd.partial.png", "a/.0123456789abcdef.partial.png"]
    for name in alike:
        write_bytes(tmp_path / name, b"somebody's")
    write(tmp_path, "c")
    assert not (tmp_path / MARK / "partial").exists()
    assert set(alike) <= set(names(tmp_path))


# One writer at a time

WRITE = """
import sys; from pathlib import Path
from srntt_pipeline.errors import InputError
from srntt_pipeline.outputs import open_output
from srntt_pipeline.array_job import ArrayPart
part = ArrayPart.parse(sys.argv[2]) if sys.argv[2:] else None
try:
    with open_output(Path(sys.argv[1]), 'tables', part=part):
        print('in', flush=True)
        sys.stdin.readline()
except InputError as error:
    print(error, flush=True)
"""


@pytest.fixture
def start():
    running = []

    def start(folder, *shard):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(folder), *shard],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_second_writer_is_told_who_writes(tmp_path, start):
    first, said = start(tmp_path)
    assert said == "in"
    with pytest.raises(InputError, match=rf"is being written by .*process {first.pid} on .*since"):
        write(tmp_path, "a")
    assert first.poll() is None
    assert names(tmp_path) == [f"{MARK}/lock", f"{MARK}/mark.json", f"{MARK}/writer.json"]
    first.communicate("\n")
    write(tmp_path, "a")


def test_a_killed_writer_keeps_nobody_out(tmp_path, start):
    first, _ = start(tmp_path)
    first.kill()
    first.wait()
    write(tmp_path, "a")
    assert not (tmp_path / MARK / "writer.json").exists()


def test_shards_write_at_once_but_none_twice_and_nothing_else_meanwhile(tmp_path, start):
    for shard in ("1/3", "2/3"):
        assert start(tmp_path, shard)[1] == "in"
    assert "is being written" in start(tmp_path, "2/3")[1]
    with pytest.raises(InputError, match="is being written"):
        write(tmp_path, "a")
    write(tmp_path, "a", part=ArrayPart(3, 3))


def test_shards_that_start_at_once_are_not_in_each_others_way(tmp_path):
    begin = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path), f"{k}/8"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for k in range(1, 9)
    ]  # fmt: skip
    assert [process.communicate()[0] for process in begin] == ["in\n"] * 8


def test_what_one_shard_claims_another_does_not_forget(tmp_path):
    files = [tmp_path / name for name in ("a", "b")]
    with open_output(tmp_path, "tables", part=ArrayPart(1, 2)) as first:
        with open_output(tmp_path, "tables", part=ArrayPart(2, 2)) as second:
            first.claim(files)
            write_bytes(files[0], b"ours")
            second.claim(files)
        write_bytes(files[1], b"ours")
    write(tmp_path, "a", "b")
    assert names(tmp_path / MARK) == ["lock", "mark.json"]


def test_no_shard_starts_while_the_whole_is_written(tmp_path, start):
    start(tmp_path)
    with pytest.raises(InputError, match="is being written"):
        write(tmp_path, "a", part=ArrayPart(1, 2))


# Files named by the user


def test_an_output_file_replaces_only_what_is_ours(tmp_path):
    photo, ours, link = tmp_path / "photo.png", tmp_path / "ours.png", tmp_path / "link.png"
    photo.write_text("photo")
    ours.write_text("ours")
    link.symlink_to(photo)

    def check(path, reads=()):
        check_output_file(path, ".png", reads, lambda p: p.read_text() == "ours")

    check(ours)
    check(tmp_path / "new.png")
    for path, reads, match in (
        (photo, [], "did not write it"),
        (link, [], "did not write it"),
        (ours, [ours], "is read by this command"),
        (link, [photo], "is read by this command"),
        (tmp_path / "a.jpg", [], r"ends in \.png"),
        (tmp_path, [], r"ends in \.png"),
    ):
        with pytest.raises(InputError, match=match):
            check(path, reads)


# A property: what is not ours stays

NAMES = st.lists(
    st.sampled_from(["a", "b", "sub/a", "sub/b", "sub/sub/a", ".x-12345678.partial.png", "c"]),
    unique=True, max_size=5,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=NAMES, first=NAMES, between=NAMES, second=NAMES)
def test_foreign_files_are_there_afterwards(
    tmp_path_factory, contents, before, first, between, second
):
    out = tmp_path_factory.mktemp("out")
    foreign = {}

    def put(some):
        for name in some:
            if not os.path.lexists(out / name):
                write_bytes(out / name, b"somebody's")
                foreign[name] = b"somebody's"

    def run(some):
        try:
            with open_output(out, "tables") as output:
                output.claim([out / name for name in some])
                output.remove(path for path in output.ours() if path.name not in some)
                for name in some:
                    write_bytes(out / name, b"ours")
        except InputError:
            pass
        assert foreign.items() <= contents(out).items()

    put(before)
    run(first)
    put(between)
    run(second)
