"""Folders and files that commands write: one writer at a time, and never a file that is not ours.

A folder is ours when it carries our mark, the hidden folder `.srntt_pipeline` in it. A command
writes only into a folder that is empty or carries that mark, and it claims every file before it
writes it. A file that was there before and was never claimed is somebody else's: it is not replaced
and not removed. `mark.json` there is the inventory of what was claimed, `lock` keeps other writers
out, `writer.json` says who writes, and `partial/` holds what is not whole yet.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK, PARTIAL, read_json, write_json
from srntt_pipeline.locks import LOCK, WRITER, lock, part_files

FORMAT = "srntt_pipeline output"
KINDS = {
    "albums": "demo albums",
    "dataset": "a data set",
    "swaps": "swaps",
    "model": "a training run",
    "imported": "imported weights",
    "evaluation": "an evaluation",
    "tables": "tables",
    "study": "a user study",
    "study_report": "the report of a user study",
}
# What file systems, desktops, git and DVC put into folders by themselves; we never touch it.
_NOBODYS = frozenset(
    {".gitignore", ".gitkeep", ".ds_store", "thumbs.db", "desktop.ini", "lost+found"}
)
_MARK_JSON, _CLAIMING = "mark.json", "claiming"
_PATIENCE_S = 60  # for others to write the inventory


class Output:
    """A folder that this process may write to, and the inventory of our files in it."""

    def __init__(self, folder: Path, kind: str, *, shared: bool = False) -> None:
        """`shared`: others write here meanwhile, and claim the same files."""
        self.folder, self.kind, self._shared = folder, kind, shared
        self._files = set(_inventory(folder, kind) or ())
        if not shared:
            self._files = self._there()

    def claim(self, files: Iterable[Path]) -> None:
        """Say that `files` will be written; relative to the folder, or below it.

        A file that is never written after all does no harm. Raises InputError, before anything is
        written, when one of them is there and is not ours, or when a folder on the way is a link.
        """
        names = [self._name(file) for file in files]
        there = [n for n in names if n not in self._files and os.path.lexists(self.folder / n)]
        if there and self._shared:  # others claim first and write then, so this is not too early
            self._files.update(_inventory(self.folder, self.kind) or ())
        for name in there:
            if name not in self._files:
                raise InputError(
                    f"{self.folder / name} was not written by srntt-pipeline, which would write a "
                    f"file of that name; move it out of {self.folder}"
                )
        self._check_places(names)
        if not self._files.issuperset(names):
            self._add(names)

    def ours(self, below: str = "") -> list[Path]:
        """Return our files in the folder, or in `below` it, by name; they may be gone."""
        names = sorted(name for name in self._files if not below or name.startswith(f"{below}/"))
        return [self.folder / name for name in names]

    def foreign(self, below: Path) -> list[Path]:
        """Return what lies directly in the folder `below` and is not ours, by name."""
        place = self.folder / below
        found = sorted(place.iterdir()) if place.is_dir() else []
        return [path for path in found if self._name(path) not in self._files
                and path.name.lower() not in _NOBODYS and not path.is_dir()]  # fmt: skip

    def remove(self, files: Iterable[Path]) -> None:
        """Remove those of `files` that are ours, and folders that this leaves empty.

        Raises OSError for what cannot be removed, InputError when a folder on the way is a link.
        """
        names = [name for name in map(self._name, files) if name in self._files]
        self._check_places(names)
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        self._remove_empty(names)

    def _remove_empty(self, names: Iterable[str]) -> None:
        for parent in sorted({p for name in names for p in _parents(name)}, reverse=True):
            with suppress(OSError):
                (self.folder / parent).rmdir()

    def remove_others(self, keep: Iterable[Path], below: Sequence[str]) -> None:
        """Remove our files in the folders `below` that are not among `keep`."""
        kept = set(map(self._name, keep))
        self.remove([f for place in below for f in self.ours(place) if self._name(f) not in kept])

    def clear_partials(self) -> None:
        """Remove what killed processes left half-written. Not while others may be writing."""
        shutil.rmtree(self.folder / MARK / PARTIAL, ignore_errors=True)

    def _name(self, file: Path) -> str:
        return (file.relative_to(self.folder) if file.is_relative_to(self.folder) else file
                ).as_posix()  # fmt: skip

    def _check_places(self, names: Iterable[str]) -> None:
        """Raise InputError when a folder that is written to is a link: it leads out of ours."""
        for parent in sorted({parent for name in names for parent in _parents(name)}):
            path = self.folder / parent
            if path.is_symlink():
                raise InputError(
                    f"{path} is a link, and srntt-pipeline writes into no folder but its own; "
                    "remove the link"
                )
            if path.exists() and not path.is_dir():
                raise InputError(f"{path} is a file where a folder is needed; move it away")

    def _add(self, names: Iterable[str]) -> None:
        self._files.update(names)
        if not self._shared:
            self._write()
            return
        # What others have claimed since stays claimed.
        with FileLock(self.folder / MARK / _CLAIMING, timeout=_PATIENCE_S):
            self._files.update(_inventory(self.folder, self.kind) or ())
            self._write()

    def _there(self) -> set[str]:
        return {name for name in self._files if os.path.lexists(self.folder / name)}

    def _write(self) -> None:
        content = {"format": FORMAT, "kind": self.kind, "files": sorted(self._files)}
        write_json(self.folder / MARK / _MARK_JSON, content)

    def close(self) -> None:
        """Drop from the inventory what was never written, once nobody else will write it."""
        there = self._there()
        if there != self._files and not self._shared:
            self._files = there
            self._write()


def _parents(name: str) -> list[str]:
    return [parent.as_posix() for parent in PurePosixPath(name).parents][:-1]


@contextmanager
def open_output(
    folder: Path, kind: str, *, reads: Iterable[Path] = (), part: ArrayPart | None = None
) -> Iterator[Output]:
    """Give the folder to write to; nobody else writes to it meanwhile.

    `kind`: one of KINDS; `reads`: what the command reads, which must not lie in the folder. Each
    `part` of an array job may write at once with the others, and must claim the same files. Raises
    InputError when the folder holds what is not ours, or ours of another kind, or is being written.
    """
    check_place(folder, kind, reads)
    is_new = not folder.exists()
    with ExitStack() as stack:
        (folder / MARK).mkdir(parents=True, exist_ok=True)
        lock(stack, folder, part)
        check_place(folder, kind, reads)  # again: somebody may have written until we had the lock
        output = Output(folder, kind, shared=part is not None)
        output._add(())
        if part is None:
            output.clear_partials()
        try:
            yield output
        except BaseException:
            if part is None:
                output.clear_partials()
                _leave(output, is_new)
            raise
        output.close()
        if part is None:
            output.clear_partials()
            # Of parts, none of which can run now.
            for path in (*part_files(folder), folder / MARK / _CLAIMING):
                path.unlink(missing_ok=True)


def ours_in(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return those of `paths` that the inventory of `folder` names, but none that a link leads to.

    All, where there is no mark. For those who only read, or who were given the folder elsewhere.
    """
    files = _inventory(folder)
    if files is None:
        return list(paths)
    names = set(files)
    found = [path for path in paths if path.relative_to(folder).as_posix() in names]
    linked = {parent for path in found for parent in path.parents if parent != folder and
              parent.is_relative_to(folder) and parent.is_symlink()}  # fmt: skip
    return [path for path in found if linked.isdisjoint(path.parents)]


def check_place(folder: Path, kind: str, reads: Iterable[Path] = ()) -> None:
    """Raise InputError when `open_output` would refuse the folder, but for its being written."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder to write to")
    for read in reads:
        if read.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{read} is read by this command and lies inside {folder}, which it writes to; "
                "name another folder to write to"
            )
    if (folder / MARK).is_symlink():
        raise InputError(f"{folder / MARK} is a link, which srntt-pipeline never makes; remove it")
    if not folder.is_dir() or _inventory(folder, kind) is not None:
        return
    for path in sorted(folder.iterdir()):
        if _counts(path):
            raise InputError(
                f"{folder} is not empty, and srntt-pipeline did not write what is in it "
                f"({path.name}, for one); name an empty or a new folder"
            )


def _counts(path: Path) -> bool:
    """Tell whether what lies in a folder makes it one that is not empty."""
    return path.name != MARK and path.name.lower() not in _NOBODYS


def _inventory(folder: Path, kind: str = "") -> list[str] | None:
    """Return the names of our files in a folder that carries our mark, else None.

    Raises InputError for a mark that is none, or that is of another `kind`, where one is given.
    """
    path = folder / MARK / _MARK_JSON
    if not path.is_file():
        return None
    fix = f"name another folder than {folder}"
    content = read_json(path, fix)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, list) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not the mark of a folder that srntt-pipeline wrote; {fix}")
    if kind and content.get("kind") != kind:
        held = KINDS.get(str(content.get("kind")), "something else")
        raise InputError(f"{folder} holds {held}, and {KINDS[kind]} would be written there; {fix}")
    for name in files:
        parts = PurePosixPath(name).parts if isinstance(name, str) else ()
        if not parts or parts[0] == "/" or ".." in parts:
            raise InputError(f"{path}: names {name!r}, which is no file in {folder}; {fix}")
    return files


def _leave(output: Output, is_new: bool) -> None:
    """Take the mark back from a folder into which nothing was written; remove the folder if new."""
    if output._there():
        return
    output._remove_empty(output._files)
    if any(_counts(path) for path in output.folder.iterdir()):
        return  # such as a folder that some library made
    mark = output.folder / MARK
    with suppress(OSError):
        # The lock last: as long as it is there, nobody else has put a mark here.
        for name in (_MARK_JSON, WRITER, LOCK):
            (mark / name).unlink(missing_ok=True)
        mark.rmdir()
        if is_new:
            output.folder.rmdir()


def check_output_file(
    path: Path, suffix: str, reads: Iterable[Path], is_ours: Callable[[Path], bool]
) -> None:
    """Raise InputError unless `path`, a file that a command is told to write, may be written.

    Its name must end in `suffix`; it must not be one of the files that the command `reads`; and a
    file that is there is replaced only where `is_ours`.
    """
    if path.suffix.lower() != suffix or path.is_dir():
        raise InputError(f"{path}: give a file name that ends in {suffix}")
    if not os.path.lexists(path):
        return
    for read in reads:
        if read.exists() and path.exists() and path.samefile(read):
            raise InputError(f"{path} is read by this command ({read}); name another file to write")
    if not path.is_file() or not is_ours(path):
        raise InputError(
            f"{path} is there, and srntt-pipeline did not write it; name another file, or remove it"
        )
