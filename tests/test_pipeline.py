"""`dvc repro` from a bare copy of the repository: all stages run, and a second time none does.

Its run lies in a folder whose name a shell would take apart. It has a second network of a recipe.
What it made is pushed and pulled in a second clone.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
TINY = {
    "demo_albums": {"photos_min": 5, "photos_max": 6, "long_side_px": 160},
    "build": {
        "name": "tiny", "crop_px": 48, "bands": [60, 30, 12, 4], "train_pairs": 8,
        "test_groups": 1, "test_albums": 0.2, "crop_matches": 2,
    },
    "swaps": {"encoder_weights": "random", "scales": [1.0], "rotations_deg": [0]},
    "train": {
        "srntt": {
            "channels": 4, "blocks": [1, 1, 1, 1], "warmup_steps": 1, "reconstruction_steps": 1,
            "steps": 2, "batch_size": 2, "patch_px": 48, "perceptual_layer": "relu3_1",
        },
        "edsr": {"channels": 4, "blocks": 1, "steps": 1, "batch_size": 2, "patch_px": 48},
    },
    "evaluate": {"protocol": "luma", "references": ["L1", "LR"]},
    "tables": None,
    "super_resolve": {"reference_long_side_px": 0},
}  # fmt: skip

RUN = "outputs/Zoë's run"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for name in ("srntt_pipeline", "stages", ".dvc"):
        ignore = shutil.ignore_patterns("__pycache__", "tmp", "cache")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore, symlinks=True)
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    run, choices = content["vars"]
    run = json.loads(json.dumps(run).replace("outputs/demo", RUN))
    del choices["networks"]["srntt"]
    choices["networks"]["edsr-large"] = choices["networks"]["edsr"] | {"set": "channels=6 blocks=2"}
    run |= {"params": "my params.yaml", "albums": "outputs/demo/albums"}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(content | {"vars": [run, choices]}))
    (folder / "my params.yaml").write_text(yaml.safe_dump(TINY))
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    as_someone = ["git", "-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    subprocess.run([*as_someone, "commit", "--quiet", "-m", "one"], cwd=folder, check=True)


def own(folder: Path) -> dict[str, str]:
    """The environment: stages call `python`, this one, with the package of the copy."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}


def dvc(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command],
        cwd=folder, env=own(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def repro(folder: Path) -> str:
    return dvc(folder, "repro")


@pytest.mark.timeout(900)
def test_repro(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run, one after the other, as whole runs are dear."""
    every_stage_runs_and_then_nothing(clone, monkeypatch)
    metrics_fit_a_screen(clone)
    second = tmp_path / "second clone"
    a_second_clone_is_whole(clone, second, tmp_path / "remote")
    an_experiment_elsewhere_runs_what_it_changes_alone(second)
    stages_write_through_no_link_into_the_cache(second)
    a_change_of_code_runs_again_what_imports_it_alone(clone)
    metrics_and_plots_tell_two_runs_apart(clone)


def every_stage_runs_and_then_nothing(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it with another number of workers, or another device."""
    stages = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    monkeypatch.delenv("SRNTT_WORKERS")
    first = repro(clone)
    assert all(f"Running stage '{stage}" in first for stage in stages)
    for output in (
        "evaluation/own/table.csv",
        "evaluation/own/index.html",
        "models/edsr/edsr.safetensors",
        "models/edsr-large/edsr.safetensors",
        "tables/table2.md",
        "super_resolved.png",
    ):
        assert (clone / RUN / output).is_file()
    monkeypatch.setenv("SRNTT_WORKERS", "1")
    monkeypatch.setenv("SRNTT_DEVICE", "cpu")
    second = repro(clone)
    assert "Running stage" not in second
    assert "up to date" in second


def metrics_fit_a_screen(clone: Path) -> None:
    """The columns of `dvc metrics show`: a number of each method, one of training."""
    found = json.loads(dvc(clone, "metrics", "show", "--json"))[""]["data"]
    numbers = {Path(path).relative_to(RUN): file["data"] for path, file in found.items()}
    trained = {"validation_psnr_db", "validation_bicubic_psnr_db"}
    assert {path.as_posix(): set(data) for path, data in numbers.items()} == {
        "evaluation/own/metrics.json": {
            "bicubic", "srntt-l2", "srntt-l2-sisr", *(
                key for key in numbers[Path("evaluation/own/metrics.json")] if "edsr-" in key
            ),
        },
        "models/srntt-l2/metrics.json": trained,
        "models/edsr/metrics.json": trained,
        "models/edsr-large/metrics.json": trained,
    }  # fmt: skip


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.pictures: list[Path] = []
        self.files: list[Path] = []
        self._folder = page.parent
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            local = value and not value.startswith(("#", "data:", "http"))
            if name in ("src", "href") and local:
                found = self.pictures if tag == "img" else self.files
                found.append(self._folder / unquote(str(value)))


def a_second_clone_is_whole(clone: Path, second: Path, remote: Path) -> None:
    """`dvc push` carries all: after `dvc pull` nothing is changed, the page has its pictures."""
    dvc(clone, "remote", "add", "--default", "ours", str(remote))
    commit(clone)  # dvc.lock, and where the remote is
    dvc(clone, "push")
    subprocess.run(["git", "clone", "--quiet", clone, second], check=True)
    assert not (second / "outputs").exists()
    dvc(second, "pull")
    assert dvc(second, "status").strip() == "Data and pipelines are up to date."
    assert "Running stage" not in repro(second)
    page = Path(RUN, "evaluation", "own", "index.html")
    assert (second / page).read_bytes() == (clone / page).read_bytes()
    links = Links(second / page)
    assert len(links.pictures) > 10
    assert links.files
    assert [path for path in (*links.pictures, *links.files) if not path.is_file()] == []
    # What is not carried: states and curves of training, numbers to go on from, locks.
    names = {path.name for path in (clone / RUN).rglob("*")} - {
        path.name for path in (second / RUN).rglob("*")
    }
    assert {"resume", "dvclive", "measured", "lock"} <= names


def an_experiment_elsewhere_runs_what_it_changes_alone(clone: Path) -> None:
    """In a temporary workspace the data set is not cut again, nor is a network trained."""
    change = "my params.yaml:super_resolve.reference_long_side_px=64"
    told = dvc(clone, "exp", "run", "--temp", "-S", change)
    ran = [line for line in told.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'super-resolve':"]
    assert dvc(clone, "status").strip() == "Data and pipelines are up to date."


def stages_write_through_no_link_into_the_cache(clone: Path) -> None:
    """Files that are hard links into DVC's cache are replaced, not written to.

    By a stage that DVC does not run: DVC makes copies of links before it runs one.
    """
    dvc(clone, "config", "--local", "cache.type", "hardlink")
    dvc(clone, "checkout", "--relink")
    evaluation = clone / RUN / "evaluation" / "own"
    before = {evaluation / name: b"" for name in ("index.html", "table.csv", "metrics.json")}
    for path in before:
        assert path.stat().st_nlink == 2
        before[path] = path.read_bytes()
    params = clone / "other.yaml"
    params.write_text(yaml.safe_dump(TINY | {"evaluate": {"protocol": "rgb"}}))
    subprocess.run(
        ["python", "stages/evaluate.py", params, f"{RUN}/dataset/test/CUFED5", evaluation],
        cwd=clone, env=own(clone), capture_output=True, check=True,
    )  # fmt: skip
    assert all(path.read_bytes() != content for path, content in before.items())
    cached = [path for path in (clone / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert len(cached) > 100
    for path in cached:
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        assert f"{path.parent.name}{path.name}".removesuffix(".dir") == digest


def a_change_of_code_runs_again_what_imports_it_alone(clone: Path) -> None:
    """`tables` alone imports `results`."""
    results = clone / "srntt_pipeline" / "evaluation" / "results.py"
    results.write_text(results.read_text() + "CHANGED = 1\n")
    told = repro(clone)
    assert [line for line in told.splitlines() if line.startswith("Running")] == [
        "Running stage 'imports':",
        "Running stage 'tables':",
    ]


def other(value: Any, name: str) -> Any:
    """Return numbers that differ, but those of bicubic."""
    if isinstance(value, dict):
        return {key: other(inner, f"{name}.{key}") for key, inner in value.items()}
    return value if "bicubic" in name else value + 0.25


def metrics_and_plots_tell_two_runs_apart(clone: Path) -> None:
    commit(clone)
    srntt = TINY["train"]["srntt"] | {"seed": 1}
    params = TINY | {"train": TINY["train"] | {"srntt": srntt}}
    (clone / "my params.yaml").write_text(yaml.safe_dump(params))
    told = dvc(clone, "repro", "--dry")
    assert "Running stage 'train@srntt-l2'" in told
    assert "Running stage 'train@edsr'" not in told  # a recipe's params are its own

    # As if it had run: other numbers, but bicubic's.
    for name in ("evaluation/own/metrics.json", "models/srntt-l2/metrics.json"):
        path = clone / RUN / name
        numbers = json.loads(path.read_text())
        path.write_text(json.dumps({k: other(v, k) for k, v in numbers.items()}))
    measured = json.loads((clone / RUN / "evaluation/own/metrics.json").read_text())
    differences = json.loads(dvc(clone, "metrics", "diff", "--json"))
    evaluated = differences[f"{RUN}/evaluation/own/metrics.json"]
    bicubic = [key for key in evaluated if "bicubic" in key]
    networks = [key for key in evaluated if "srntt-l2" in key]
    assert networks
    assert not bicubic  # it does not depend on the seed of training
    for key in networks:
        assert evaluated[key]["new"] == measured[key] != evaluated[key]["old"]
    assert differences[f"{RUN}/models/srntt-l2/metrics.json"]

    page = Path(dvc(clone, "plots", "diff").strip().splitlines()[-1].removeprefix("file://"))
    shown = page.read_text()
    assert "HEAD" in shown
    assert "workspace" in shown
    for plot in ("models/srntt-l2/loss.csv", "evaluation/own/plots"):
        assert plot in shown
