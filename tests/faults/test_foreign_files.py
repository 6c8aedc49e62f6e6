"""What a command did not write it does not touch: any folder, any parameters, any exit code."""

import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import BY_NAME, Command, Inputs, differences, everything
from harness import TIMES, Lab, Trials, check, each, report
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

Record = Callable[[str, object], None]
few_examples = settings(
    max_examples=max(1, TIMES - 1),
    derandomize=True,
    deadline=None,
    database=None,
    # No shrinking: each example is a run or two, and what fails is told as it is.
    phases=[Phase.explicit, *([Phase.generate] if TIMES > 1 else [])],
    suppress_health_check=list(HealthCheck),
)

# Names that commands give to their own files, and those of files begun and not ended.
_OURS = (
    "table.csv", "per_image.csv", "index.html", "page/x.png", "page/hr/000.png", "images/x/a.png",
    "measured/a.json", "grids/x.png", "metrics.json", "summary.json", "contact_sheet.png",
    "train/input/00000.png", "train/ref/00000.png", "test/CUFED5/000_0.png", "manifests/train.csv",
    "manifests/origin.json", "work/features/x.npz", "work/counts/x.parquet", "shard-00007.h5",
    "index.json", "resume/step-00000001/state.json", "dvclive/plots/metrics/x.tsv",
    "dvclive/params.yaml", "card.md", "sisr.safetensors", "cat/00.jpg", "demo_albums.json",
    ".x-12345678.partial.png", "train/input/.00000-0a1b2c3d.partial.png", ".cat-12345678.partial/a",
    ".train-12345678.partial/input/a.png", ".srntt_pipeline/notes.txt",
)  # fmt: skip
_SEGMENT = st.text("aB9_ -.é$#", min_size=1, max_size=6).filter(lambda s: s.strip(".") == s.strip())
_ANY = st.lists(_SEGMENT, min_size=1, max_size=3).map("/".join)


@dataclass(frozen=True)
class Foreign:
    """A file of the user's: plain, not writable, or a link to a folder or file elsewhere."""

    name: str
    kind: str
    content: bytes


def _like(name: str) -> st.SearchStrategy[str]:
    """Names that look much like `name`, which a command has written."""
    path = Path(name)
    return st.sampled_from([
        name,
        re.sub(r"\d", "9", name),
        str(path.with_name(f"{path.stem}0{path.suffix}")),
        str(path.with_name(f".{path.stem}-12345678.partial{path.suffix}")),
        f"{name}.bak",
        str(path.parent),
    ])  # fmt: skip


@st.composite
def foreign_files(draw: st.DrawFn, written: list[str]) -> list[Foreign]:
    """Draw some of them; `written`: what the command writes, of which some look alike."""
    names = st.sampled_from(_OURS) | _ANY
    if written:
        names |= st.sampled_from(written).flatmap(_like)
    kinds = st.sampled_from(["file", "file", "file", "read-only", "folder link", "file link"])
    entry = st.builds(Foreign, names, kinds, st.binary(max_size=40))
    return draw(st.lists(entry, min_size=4, max_size=12, unique_by=lambda one: one.name))


def all_ours(written: list[str]) -> list[Foreign]:
    """Return plain files of all names of ours that `written` has not, and of some that look so."""
    alike = [re.sub(r"\d", "9", name) for name in written]
    alike += [f"{Path(name).parent}/.{Path(name).stem}-12345678.partial.x" for name in written[:4]]
    names = dict.fromkeys((*_OURS, *alike))
    return [Foreign(name, "file", b"mine") for name in names if name not in written]


def put(folder: Path, files: list[Foreign], outside: Path) -> None:
    """Put the files below `folder` where nothing is yet, and what links lead to in `outside`."""
    for number, file in enumerate(files):
        path = folder / file.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or path.exists() or outside.resolve() in path.resolve().parents:
                continue
            target = outside / str(number)
            if file.kind == "folder link":
                (target / "input").mkdir(parents=True)
                (target / "00000.png").write_bytes(file.content)
                (target / "input" / "00000.png").write_bytes(file.content)
                path.symlink_to(target)
            elif file.kind == "file link":
                target.write_bytes(file.content)
                path.symlink_to(target)
            else:
                path.write_bytes(file.content)
            if file.kind == "read-only":
                path.chmod(stat.S_IRUSR)
        except (FileExistsError, NotADirectoryError):  # below a file, or a link to one
            continue


def check_kept(before: dict[str, bytes], after: dict[str, bytes], line: str) -> None:
    """Check that all files from before are there, unchanged."""
    told = differences({name: after[name] for name in before if name in after}, before)
    check(not told, f"{line}: {told}")


@each()
def test_foreign_files_are_there_before_the_first_run(
    lab: Lab, command: Command, record_property: Record
) -> None:
    trials = Trials()

    @few_examples
    @example(files=all_ours([]))
    @given(files=foreign_files(_below_out(lab, command)))
    def property_of(files: list[Foreign]) -> None:
        folder, outside = lab.folder(command), lab.folder()
        own = everything(folder)
        put(_home(command, folder), files, outside)
        with trials.one(f"with {_told(files)}"):
            kept = {n: c for n, c in everything(folder).items() if n not in own}
            _run_and_check(lab, command, folder, outside, kept, changed=False)

    property_of()
    report(record_property, "foreign files before the first run", trials)


@each()
def test_foreign_files_that_came_between_two_runs(
    lab: Lab, command: Command, record_property: Record
) -> None:
    trials = Trials()
    done = lab.folder(command)
    assert lab.run(command, done).code == 0

    @few_examples
    @example(files=all_ours(_below_out(lab, command)), changed=True)
    @given(files=foreign_files(_below_out(lab, command)), changed=st.booleans())
    def property_of(files: list[Foreign], changed: bool) -> None:
        folder, outside = lab.folder(), lab.folder()
        shutil.copytree(done, folder, dirs_exist_ok=True)
        own = everything(folder)
        put(_home(command, folder), files, outside)
        with trials.one(f"{'other options, ' if changed else ''}with {_told(files)}"):
            kept = {n: c for n, c in everything(folder).items() if n not in own}
            _run_and_check(lab, command, folder, outside, kept, changed=changed)

    property_of()
    report(record_property, "foreign files between two runs", trials)


def _below_out(lab: Lab, command: Command) -> list[str]:
    names = lab.undisturbed(command).results
    return sorted(n.removeprefix(f"{command.out}/") for n in names if n != command.out)


def _home(command: Command, folder: Path) -> Path:
    """Return where foreign files go: OUT, or for an image or a table the folder it is in."""
    return folder if "." in command.out else folder / command.out


def _told(files: list[Foreign]) -> str:
    return f"{len(files)} such as " + ", ".join(f"{f.name} ({f.kind})" for f in files[:3])


def _run_and_check(
    lab: Lab, command: Command, folder: Path, outside: Path, kept: dict[str, bytes], changed: bool
) -> None:
    targets = everything(outside)
    ended = lab.run(command, folder, changed=changed)
    check(ended.code in (0, 2), f"neither done nor refused: {ended}")
    check_kept(kept, everything(folder), f"exit code {ended.code}")
    check_kept(targets, everything(outside), f"exit code {ended.code}, behind a link")
    lab.check_inputs()


# Inputs inside what is written, or the same.


@pytest.fixture
def mine(lab: Lab, tmp_path: Path) -> Iterator[Inputs]:
    """A copy of all inputs, which a test may lose."""
    return Inputs(shutil.copytree(lab.inputs.root, tmp_path / "mine"))


def _places(command: Command, inputs: Inputs) -> list[Path]:
    """Return what may not be OUT: the command's inputs, and folders or files in them."""
    words = command.argv(inputs, inputs.root / "unused")
    given = [word for word in words if isinstance(word, Path) and word.name != "unused"]
    inside = [path for one in given if one.is_dir() for path in sorted(one.rglob("*"))]
    of_a_kind = Path.is_file if "." in command.out else Path.is_dir
    return [path for path in dict.fromkeys((*given, *inside)) if of_a_kind(path)]


@each()
def test_inputs_that_are_or_hold_what_is_written(
    lab: Lab, command: Command, mine: Inputs, record_property: Record
) -> None:
    """With OUT an input, a folder in one, or the folder around them, inputs stay as they are."""
    trials = Trials()
    before = everything(mine.root)
    around = [] if "." in command.out else [mine.root]
    for out in [*around, *_places(command, mine)][: 2 + TIMES * 2]:
        with trials.one(f"OUT is {out.relative_to(mine.root)}"):
            ended = lab.zygote.run(*command.argv(mine, out), cwd=mine.root)
            check(ended.code in (0, 2), f"neither done nor refused: {ended}")
            now = everything(mine.root)
            if now != before:
                shutil.rmtree(mine.root)
                shutil.copytree(lab.inputs.root, mine.root)
            check_kept(before, now, f"exit code {ended.code}")
    report(record_property, "OUT is or holds an input", trials)


# The cases of public reports, by name.


def _refused(lab: Lab, mine: Inputs, *line: object) -> str:
    """Run what must be refused; return its line, if all of `mine` is as it was."""
    before = everything(mine.root)
    ended = lab.zygote.run(*line, cwd=mine.root)
    after = everything(mine.root)
    told = differences(after, before)
    check(not told, f"{told}, {ended}")
    assert ended.code == 2, f"{ended}"
    assert len(ended.errors) == 1, f"{ended}"
    return ended.errors[0]


def test_a_downloaded_cufed5_survives_build(lab: Lab, mine: Inputs) -> None:
    line = BY_NAME["build-cufed5"].argv(mine, mine.dataset)
    assert str(mine.dataset) in _refused(lab, mine, *line)


def test_a_downloaded_cufed5_survives_build_from_a_manifest(lab: Lab, mine: Inputs) -> None:
    line = BY_NAME["build-cufed5 --manifest"].argv(mine, mine.dataset)
    assert str(mine.dataset) in _refused(lab, mine, *line)


def test_albums_inside_the_data_set_to_be_built_survive(lab: Lab, mine: Inputs) -> None:
    inside = mine.root / "new" / "train" / "input"
    inside.parent.mkdir(parents=True)
    mine.albums.rename(inside)
    command = BY_NAME["build-cufed5"]
    _refused(lab, mine, *command.argv(_With(mine.root, inside), mine.root / "new"))


class _With(Inputs):
    """Inputs whose albums lie elsewhere."""

    def __init__(self, root: Path, albums: Path) -> None:
        super().__init__(root)
        object.__setattr__(self, "albums", albums)


@pytest.mark.parametrize("name", ["train/input", "train/ref", "test/CUFED5"])
def test_images_behind_a_link_in_out_survive_build(
    lab: Lab, mine: Inputs, tmp_path: Path, name: str
) -> None:
    """Old data set, `train/ref` moved to a larger disk and linked: nothing there is lost."""
    command, out = BY_NAME["build-cufed5"], mine.built
    moved = tmp_path / "large disk"
    (out / name).rename(moved)
    (moved / "mine.txt").write_text("mine")
    (out / name).symlink_to(moved)
    before = everything(moved)
    ended = lab.zygote.run(*command.argv(mine, out), "--seed", 1, cwd=tmp_path)
    assert ended.code in (0, 2), f"{ended}"
    if ended.code == 2:
        assert everything(moved) == before
    assert (moved / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.png", "b.png"])
@pytest.mark.parametrize("way", ["same", "relative"])
def test_super_resolve_does_not_overwrite_what_it_reads(
    lab: Lab, mine: Inputs, name: str, way: str
) -> None:
    out = mine.lr / name if way == "same" else mine.lr / ".." / "lr" / name
    assert name in _refused(lab, mine, *BY_NAME["super-resolve"].argv(mine, out))


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_super_resolve_does_not_overwrite_through_a_link(
    lab: Lab, mine: Inputs, link: Callable[[Path, Path], None]
) -> None:
    out, before = mine.lr / "link.png", everything(mine.root)
    link(out, mine.lr / "a.png")
    ended = lab.zygote.run(*BY_NAME["super-resolve"].argv(mine, out), cwd=mine.root)
    assert ended.code in (0, 2), f"{ended}"
    check_kept(before, everything(mine.root), "through a link")


@pytest.mark.parametrize("name", ["hr.png", "b.png"])
def test_show_match_does_not_overwrite_what_it_reads(lab: Lab, mine: Inputs, name: str) -> None:
    assert name in _refused(lab, mine, *BY_NAME["show-match"].argv(mine, mine.lr / name))


def test_shards_convert_into_themselves(lab: Lab, mine: Inputs) -> None:
    line = BY_NAME["shards convert"].argv(mine, mine.swaps)
    assert str(mine.swaps) in _refused(lab, mine, *line)


def test_manifest_stats_do_not_overwrite_the_manifest(lab: Lab, mine: Inputs) -> None:
    table = mine.built / "manifests" / "train.csv"
    assert "train.csv" in _refused(lab, mine, *BY_NAME["manifest stats"].argv(mine, table))


@pytest.mark.parametrize("name", ["evaluate bicubic", "train sisr", "precompute-swaps"])
def test_nothing_is_written_into_the_data_set(lab: Lab, mine: Inputs, name: str) -> None:
    assert str(mine.dataset) in _refused(lab, mine, *BY_NAME[name].argv(mine, mine.dataset))
