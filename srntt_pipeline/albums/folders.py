"""Walking a tree of folders: links are followed, once; what can't be entered or used is told."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from srntt_pipeline.file_types import PHOTO_SUFFIXES, suffix_of

# Made by storage boxes, systems and archivers; they hold thumbnails, deleted files and old states.
_OF_THE_SYSTEM = frozenset(
    {
        "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@snapshot", "@sharesnap", "@__thumb",
        "#recycle", "#snapshot", "$recycle.bin", "recycler", "recycled", "__macosx", "lost+found",
        "system volume information", "picasaoriginals",
    }
)  # fmt: skip
_KINDS = {
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
    stat.S_IFSOCK: "a socket, not a file",
}


@dataclass(frozen=True)
class Folder:
    """A folder with its regular files, by name, but hidden ones.

    `problems` tells by name why an entry cannot be used; `parts` is the way to it from the root.
    """

    path: Path
    parts: tuple[str, ...]
    files: tuple[str, ...]
    problems: dict[str, str] = field(default_factory=dict)


def walk(root: Path) -> Iterator[Folder]:
    """Yield `root` and the folders below it, each once: real ones first, then linked ones, by name.

    A link to a folder that was walked already, or that holds `root`, is not followed: its problem
    says so. Folders of the system and hidden ones that hold photos are problems too. Raises OSError
    when `root` itself cannot be read.
    """
    seen: dict[tuple[int, int], str] = {}
    above = {_identity(folder) for folder in root.resolve().parents}
    waiting: deque[tuple[Path, tuple[str, ...]]] = deque([(root, ())])
    while waiting:
        # Depth first through what is real; links wait until all of that is known.
        path, parts = waiting.popleft()
        folders: list[str] = []
        links: list[str] = []
        files: list[str] = []
        problems: dict[str, str] = {}
        try:
            identity = _identity(path)
            own = "/".join(parts)
            if identity in above or seen.setdefault(identity, own) != own:
                where = seen.get(identity) or "the albums' own folder"
                reason = f"the same folder as {where}, which is read once"
                yield Folder(path.parent, parts[:-1], (), {parts[-1]: reason})
                continue
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not parts:
                raise
            reason = f"a folder that cannot be read ({error.strerror})"
            yield Folder(path.parent, parts[:-1], (), {parts[-1]: reason})
            continue
        for entry in entries:
            _sort_in(entry, folders, links, files, problems)
        yield Folder(path, parts, tuple(files), problems)
        waiting.extendleft((path / name, (*parts, name)) for name in reversed(folders))
        waiting.extend((path / name, (*parts, name)) for name in links)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _sort_in(
    entry: "os.DirEntry[str]",
    folders: list[str],
    links: list[str],
    files: list[str],
    problems: dict[str, str],
) -> None:
    """Put an entry's name where it belongs, or tell in `problems` why it is passed over."""
    hidden = entry.name.startswith(".")
    try:
        kind = stat.S_IFMT(entry.stat().st_mode)
        if kind == stat.S_IFDIR:
            if hidden or entry.name.casefold() in _OF_THE_SYSTEM:
                if passed := _count_photos(Path(entry.path)):
                    what = "hidden" if hidden else "a folder of the system, no album"
                    files_in_it = "1 photo" if passed == 1 else f"{passed} photos"
                    problems[entry.name] = f"{what}: {files_in_it} in it passed over"
            else:
                (links if entry.is_symlink() else folders).append(entry.name)
        elif hidden:
            return
        elif kind == stat.S_IFREG:
            files.append(entry.name)
        else:
            problems[entry.name] = _KINDS.get(kind, "not a file")
    except OSError as error:
        broken = entry.is_symlink() and isinstance(error, FileNotFoundError)
        told = "a link to nothing" if broken else f"unreadable ({error.strerror})"
        if not hidden:
            problems[entry.name] = told


def _count_photos(folder: Path) -> int:
    """Return how many files below `folder` are photos by name; links to folders aren't entered."""
    return sum(
        suffix_of(name) in PHOTO_SUFFIXES for _, _, names in os.walk(folder) for name in names
    )
