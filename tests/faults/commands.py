"""Every command that writes, with inputs so small that it runs within a second or two."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from zygote import Zygote

from srntt_pipeline.study.collect import FORMAT, collect_votes
from srntt_pipeline.study.design import read_design

# What of a folder is no result, and why. Nothing else is left out of any comparison.
NO_RESULT = {
    ".srntt_pipeline/lock*": "empty; who holds it writes, and shards have one each",
    ".srntt_pipeline/claiming": "empty; the lock of the inventory that shards share",
}

_BUILD = (
    "--long-side-px", 120, "--crop-px", 48, "--levels", 2, "--levels-by", "quantiles",
    "--train-pairs", 6, "--test-groups", 1, "--crop-matches", 2, "--device", "cpu",
)  # fmt: skip
_SWAPS = (
    "--encoder-weights", "random", "--scales", "1.0", "--rotations-deg", "0",
    "--pairs-per-shard", 2, "--device", "cpu",
)  # fmt: skip
_LOOP = (
    "--channels", 8, "--batch-size", 2, "--patch-px", 32, "--validation-pairs", 1,
    "--validate-every", 2, "--checkpoint-every", 2, "--steps", 4, "--device", "cpu",
)  # fmt: skip
_TRAIN = (*_LOOP, "--blocks", "1,1,1,1", "--warmup-steps", 1, "--reconstruction-steps", 1)
_EVALUATE = ("--protocol", "luma", "--references", "L1,LR", "--device", "cpu")
_ONE = ("--workers", 1)
_TWO = ("--workers", 2)


@dataclass(frozen=True)
class Inputs:
    """Where the inputs of all commands lie; nothing may ever change them."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        return self.root / name


@dataclass(frozen=True)
class Command:
    """A command that writes to `out` in a folder of its own.

    `before`: the input that OUT is a copy of when it starts; `other`: options that change what it
    makes; `changing`: files that it replaces or lengthens while it runs, so that a kill may leave
    an earlier state of them; `slow`: it takes many seconds, for its workers load the libraries.
    """

    name: str
    argv: Callable[[Inputs, Path], Iterable[object]]
    other: tuple[object, ...] = ()
    out: str = "out"
    before: str = ""
    changing: tuple[str, ...] = ()
    slow: bool = False

    def line(self, inputs: Inputs, folder: Path, *, changed: bool = False) -> list[object]:
        """Return the command line that writes to `folder / out`."""
        return [*self.argv(inputs, folder / self.out), *(self.other if changed else ())]

    def prepare(self, inputs: Inputs, folder: Path) -> None:
        """Make `folder` what it is before the command."""
        folder.mkdir(exist_ok=True)
        if self.before:
            shutil.copytree(inputs.root / self.before, folder / self.out)


_CURVES = ("dvclive/*", "resume/*", "*.csv", "metrics.json", "card.*", "*.safetensors", "*.json")

COMMANDS = [
    Command(
        "demo-albums",
        lambda i, out: ["demo-albums", out, *_ONE, "--photos-min", 2, "--photos-max", 2,
                        "--long-side-px", 64],
        ("--seed", 1),
    ),
    Command(
        "build-cufed5",
        lambda i, out: ["build-cufed5", i.albums, out, *_BUILD, *_ONE],
        ("--seed", 1),
    ),
    Command(
        "build-cufed5 --workers 2",
        lambda i, out: ["build-cufed5", i.albums, out, *_BUILD, *_TWO],
        ("--crop-px", 32),
        slow=True,
    ),
    Command(
        "build-cufed5 --manifest",
        lambda i, out: ["build-cufed5", i.albums, out, "--manifest", i.built / "manifests", *_ONE],
    ),
    Command(
        "build-cufed5 --shard",
        lambda i, out: ["build-cufed5", i.albums, out, *_BUILD, *_ONE, "--shard", "1/2"],
        ("--sift-features", 50),
    ),
    Command(
        "build-cufed5 --merge",
        lambda i, out: ["build-cufed5", i.albums, out, *_BUILD, *_ONE, "--merge"],
        before="built_shards",
    ),
    Command(
        "precompute-swaps",
        lambda i, out: ["precompute-swaps", i.dataset, out, *_SWAPS, *_ONE],
        ("--scales", "1.0,0.7"),
    ),
    Command(
        "precompute-swaps --workers 2",
        lambda i, out: ["precompute-swaps", i.dataset, out, *_SWAPS, *_TWO],
        ("--pairs-per-shard", 1),
        slow=True,
    ),
    Command(
        "precompute-swaps --store maps",
        lambda i, out: ["precompute-swaps", i.dataset, out, *_SWAPS, *_ONE, "--store", "maps"],
        ("--maps-codec", "gzip"),
    ),
    Command(
        "precompute-swaps --shard",
        lambda i, out: ["precompute-swaps", i.dataset, out, *_SWAPS, *_ONE, "--shard", "1/2"],
        ("--scales", "0.7"),
    ),
    Command(
        "precompute-swaps --merge",
        lambda i, out: ["precompute-swaps", i.dataset, out, *_SWAPS, *_ONE, "--merge"],
        before="swaps_shards",
    ),
    Command(
        "shards convert",
        lambda i, out: ["shards", "convert", i.swaps, out, "--dataset", i.dataset, "--store",
                        "maps", "--device", "cpu", *_ONE],
        ("--maps-codec", "lzf"),
    ),
    Command(
        "train sisr",
        lambda i, out: ["train", "sisr", i.dataset, out, *_LOOP, "--blocks", 1],
        ("--seed", 1),
        changing=_CURVES,
    ),
    Command(
        "train srntt",
        lambda i, out: ["train", "srntt", i.dataset, i.swaps, out, *_TRAIN],
        ("--seed", 1),
        changing=_CURVES,
    ),
    Command(
        "evaluate bicubic",
        lambda i, out: ["evaluate", i.dataset, out, *_EVALUATE, *_ONE],
        ("--max-images", 1),
    ),
    Command(
        "evaluate",
        lambda i, out: ["evaluate", i.dataset, out, "--checkpoint", i.model, *_EVALUATE, *_ONE],
        ("--max-images", 1),
    ),
    Command(
        "tables",
        lambda i, out: ["tables", i.results, "-o", out],
        ("--protocol", "luma"),
    ),
    Command(
        "super-resolve",
        lambda i, out: ["super-resolve", i.lr / "a.png", "--ref", i.lr / "b.png", "--checkpoint",
                        i.model, "-o", out, "--device", "cpu"],
        ("--reference-long-side-px", 40),
        out="sr.png",
    ),
    Command(
        "show-match",
        lambda i, out: ["show-match", i.lr / "hr.png", "--ref", i.lr / "b.png", "-o", out,
                        "--device", "cpu", "--encoder-weights", "random", "--scales", "1.0",
                        "--rotations-deg", "0"],
        ("--scales", "0.7"),
        out="match.png",
    ),
    Command(
        "user-study make",
        lambda i, out: ["user-study", "make", i.evaluated, out, "--method", "SRNTT-l2", "--against",
                        "Bicubic", "--checks", 0],
        ("--seed", 1),
    ),
    Command(
        "user-study report",
        lambda i, out: ["user-study", "report", i.study, out, "--resamples", 100],
        ("--seed", 1),
    ),
    Command(
        "manifest stats",
        lambda i, out: ["manifest", "stats", i.built / "manifests", "-o", out],
        out="stats.csv",
    ),
]  # fmt: skip
BY_NAME = {command.name: command for command in COMMANDS}


def make_inputs(root: Path, zygote: Zygote) -> Inputs:
    """Make the inputs of all commands in `root`, by the commands themselves."""
    inputs = Inputs(root)
    photograph = skimage.data.astronaut()
    _save_albums(inputs.albums)
    for number in range(5):
        for side, shift in (("input", 0), ("ref", 6)):
            _save(photograph, 110, 120 + 40 * number + shift, inputs.dataset / "train" / side,
                  f"{number}.png")  # fmt: skip
    for group in range(2):
        for k in range(3):
            _save(photograph, 60 + 4 * k, 190 + 50 * group + 5 * k,
                  inputs.dataset / "test" / "CUFED5", f"00{group}_{k}.png")  # fmt: skip
    _save(photograph, 100, 200, inputs.lr, "hr.png")
    _save(photograph, 104, 206, inputs.lr, "b.png")
    Image.open(inputs.lr / "hr.png").resize((12, 12)).save(inputs.lr / "a.png")

    def run(name: str, target: str, *more: object) -> None:
        command = BY_NAME[name]
        ended = zygote.run(*command.argv(inputs, root / target), *more, cwd=root)
        assert ended.code == 0, f"{name}: {ended}"

    run("build-cufed5", "built")
    for shard in ("1/2", "2/2"):
        run("build-cufed5 --shard", "built_shards", "--shard", shard)
        run("precompute-swaps --shard", "swaps_shards", "--shard", shard)
    run("precompute-swaps", "swaps")
    run("precompute-swaps --store maps", "maps")
    run("train srntt", "model")
    run("evaluate bicubic", "results")
    run("evaluate", "evaluated")
    run("user-study make", "study")
    _vote(inputs.study)
    return inputs


def _vote(study: Path) -> None:
    """Vote on every turn of two participants of the study."""
    design = read_design(study)
    choices = ({"choice": "left", "seconds": 1}, {"choice": "right", "seconds": 2})
    for plan in range(2):
        content = {
            "format": FORMAT, "study": design.fingerprint, "participant": f"p{plan}", "plan": plan,
            "votes": [choices[turn % 2] for turn in range(design.settings.turns)],
        }  # fmt: skip
        path = study.parent / f"votes-{plan}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        collect_votes(study, [path])


def _save_albums(folder: Path) -> None:
    """Save two albums of four photographs, each less like the first than the one before."""
    for name in ("astronaut", "coffee", "chelsea"):
        photograph = getattr(skimage.data, name)()
        for number, shift in enumerate((0, 12, 40, 70)):
            top = 20 + shift // 2
            view = photograph[top : top + 200, 60 + shift : 60 + shift + 260]
            small = Image.fromarray(np.ascontiguousarray(view)).resize((130, 100))
            (folder / name).mkdir(parents=True, exist_ok=True)
            small.save(folder / name / f"{number}.jpg", quality=95)


def _save(photograph: np.ndarray, top: int, left: int, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    crop = np.ascontiguousarray(photograph[top : top + 48, left : left + 48])
    Image.fromarray(crop).save(folder / name)


def results(folder: Path) -> dict[str, bytes]:
    """Return what a command has written below `folder`: bytes by path, without NO_RESULT."""
    return {
        name: content
        for name, content in everything(folder).items()
        if not any(fnmatch(name, f"*{pattern}") for pattern in NO_RESULT)
    }


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files below `folder`: bytes by path; of links, where they lead."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = b"link to " + bytes(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def partials(names: Iterable[str]) -> list[str]:
    """Return those names that are of files begun and not ended."""
    return [name for name in names if ".partial" in name or ".srntt_pipeline/partial/" in name]


def differences(found: dict[str, bytes], expected: dict[str, bytes]) -> str:
    """Tell in a few words how two folders differ; nothing if they don't."""
    words = {
        "missing": sorted(expected.keys() - found.keys()),
        "too many": sorted(found.keys() - expected.keys()),
        "other bytes": sorted(n for n in found.keys() & expected.keys() if found[n] != expected[n]),
    }
    return "; ".join(
        f"{len(names)} {word}: {', '.join(names[:4])}" for word, names in words.items() if names
    )
