import csv
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import networkx
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image

from srntt_pipeline.config import Params, SwapParams, override, read_params
from srntt_pipeline.recipes import RECIPES
from srntt_pipeline.recipes.srntt import SrnttRecipe

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = REPOSITORY / "stages"

TINY = {
    "demo_albums": {"photos_min": 4, "photos_max": 4, "long_side_px": 160},
    "build": {
        "name": "tiny",
        "long_side_px": 160,
        "levels": 2,
        "bands": [20, 2],
        "crop_px": 48,
        "crop_matches": 1,
        "train_pairs": 8,
        "test_groups": 1,
    },
    "swaps": {"encoder_weights": "random", "scales": [1.0], "rotations_deg": [0]},
    "train": {
        "srntt": {
            "channels": 4,
            "blocks": [1, 1, 1, 1],
            "warmup_steps": 1,
            "reconstruction_steps": 0,
            "steps": 1,
            "batch_size": 2,
            "patch_px": 48,
        },
        "edsr": {"channels": 4, "blocks": 1, "steps": 1, "batch_size": 2, "patch_px": 48},
    },
    "evaluate": {"protocol": "luma", "references": ["L1", "LR"]},
}


def run_stage(name, *arguments):
    """Run a stage's script as `python stages/NAME.py ARGUMENTS` does, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRNTT_DEVICE", "cpu")
        patch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        runpy.run_path(str(STAGES / f"{name}.py"), run_name="__main__")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """The folder of a whole run: every stage's script, one after the other, on tiny data."""
    run = tmp_path_factory.mktemp("run")
    params = run / "params.yaml"
    params.write_text(yaml.safe_dump(TINY))
    dataset, test = run / "dataset", run / "dataset" / "test" / "CUFED5"
    run_stage("demo_albums", params, run / "albums")
    run_stage("build_cufed5", params, run / "albums", dataset)
    run_stage("precompute_swaps", params, dataset, run / "swaps")
    run_stage("train", params, "srntt", dataset, run / "model", run / "swaps", "seed=1")
    run_stage("train", params, "edsr", dataset, run / "edsr", dataset / "train", "blocks=2")
    theirs = run / "images of theirs"
    theirs.mkdir()
    hr = Image.open(test / "000_0.png")
    hr.crop((0, 0, hr.width // 4 * 4, hr.height // 4 * 4)).save(theirs / "000_0.png")
    sources = run / "model", f"theirs={theirs}"
    run_stage("evaluate", params, dataset, run / "evaluation", *sources)
    run_stage("tables", params, run / "tables", run / "evaluation")
    lr = run / "evaluation" / "images" / "lr" / "none" / "000.png"
    run_stage("super_resolve", params, lr, run / "model", run / "sr.png", test, "000_1.png")
    return run


def test_the_stages_run_one_after_the_other(pipeline):
    for made in (
        "dataset/train/input/00000.png",
        "dataset/train/ref/00007.png",
        "dataset/test/CUFED5/000_2.png",
        "dataset/manifests/train.csv",
        "dataset/summary.json",
        "swaps/index.json",
        "model/srntt-l2.safetensors",
        "model/srntt-l2.json",
        "model/loss.csv",
        "edsr/edsr.safetensors",
        "evaluation/table.md",
        "evaluation/index.html",
        "evaluation/comparisons.csv",
        "tables/table1.tex",
        "tables/figure7.html",
    ):
        assert (pipeline / made).is_file(), made
    with (pipeline / "evaluation" / "table.csv").open() as file:
        table = [(row["dataset"], row["method"], row["reference"]) for row in csv.DictReader(file)]
    assert table == [
        ("tiny", "Bicubic", "none"),
        ("tiny", "SRNTT-l2 (SISR)", "none"),
        ("tiny", "SRNTT-l2", "L1"),
        ("tiny", "SRNTT-l2", "LR"),
        ("tiny", "theirs", "none"),
    ]
    lr = Image.open(pipeline / "evaluation" / "images" / "lr" / "none" / "000.png")
    assert Image.open(pipeline / "sr.png").size == (4 * lr.width, 4 * lr.height)


def usage(script):
    """The arguments that a stage's script promises in its first line."""
    return script.read_text().splitlines()[0].partition(": ")[2].removesuffix('."""').split()


SCRIPTS = sorted(STAGES.glob("*.py"))
WITH_PARAMS = [script for script in SCRIPTS if usage(script)[0] == "PARAMS"]
IDS = {"ids": lambda script: script.stem}


@pytest.mark.parametrize("script", WITH_PARAMS, **IDS)
def test_a_typo_in_the_params_ends_a_stage_with_code_2_and_one_line(script, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text("train:\n  srntt:\n    step: 3\n")
    arguments = [tmp_path / name for name in usage(script)[1:] if name[0] != "["]
    with pytest.raises(SystemExit) as end:
        run_stage(script.stem, params, *arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    told = "train.srntt.step is not a parameter; did you mean train.srntt.steps?"
    assert err == f"Error: {params}: {told}\n"


@pytest.mark.parametrize("script", SCRIPTS, **IDS)
def test_a_wrong_number_of_arguments_is_one_line_with_the_usage(script, capsys):
    words = usage(script)
    needed = [word for word in words if word[0] != "["]
    wrong = [len(needed) - 1]
    if not any("…" in word for word in words):
        wrong.append(len(words) + 1)
    for count in wrong:
        with pytest.raises(SystemExit) as end:
            run_stage(script.stem, *"x" * count)
        assert end.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        given = f"{count} argument" + "s" * (count != 1)
        name = str(script)
        assert err == f"Error: {name}: {given}; usage: python {name} {' '.join(words)}\n"


def test_a_build_without_test_groups_ends_with_code_2_and_the_reason(pipeline, tmp_path, capsys):
    """Else DVC would say in its words that an output is missing."""
    album = pipeline / "albums" / "cat"
    with pytest.raises(SystemExit) as end:
        run_stage("build_cufed5", pipeline / "params.yaml", album, tmp_path / "dataset")
    assert end.value.code == 2
    reason = capsys.readouterr().err.splitlines()[-1]
    assert reason.startswith(f"Error: {album}: no test groups: there is one album with two usable")
    assert not (tmp_path / "dataset" / "train").exists()


# Params files and dvc.yaml


def test_the_params_files_are_valid_and_need_no_download_by_default():
    demo = read_params(REPOSITORY / "params.yaml")
    assert demo.swaps.encoder_weights == "random"
    assert demo.build.name == "demo"


def test_the_params_for_cufed_name_the_papers_sizes():
    cufed = read_params(REPOSITORY / "params" / "cufed.yaml")
    defaults = Params()
    assert (cufed.train.srntt.channels, cufed.train.srntt.blocks) == (64, (16, 16, 8, 4))
    sizes = ("patch_px", "batch_size", "learning_rate", "truth_share", "loss_form")
    for name in sizes:  # the schedule is longer than the paper's: the file says why
        assert getattr(cufed.train.srntt, name) == getattr(SrnttRecipe(), name), name
    assert cufed.train.srntt.count_in == "epochs"
    assert (cufed.build.train_pairs, cufed.build.test_groups) == (13761, 126)
    assert cufed.build.name == "CUFED5"
    assert cufed.build.crop_px == cufed.train.srntt.patch_px == 160
    assert cufed.swaps == defaults.swaps
    assert cufed.swaps.encoder_weights == "imagenet"


def test_the_networks_of_both_params_files_differ_in_size_only():
    demo, cufed = (read_params(REPOSITORY / path) for path in ("params.yaml", "params/cufed.yaml"))
    small, large = demo.train.srntt, cufed.train.srntt
    assert small.channels < large.channels
    assert all(few <= many for few, many in zip(small.blocks, large.blocks, strict=True))


@pytest.fixture(scope="module")
def dvc():
    """dvc.yaml, its foreach stages written out: `train@srntt`, …"""
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    stages = {}
    for name, stage in content["stages"].items():
        if "foreach" not in stage:
            stages[name] = stage
            continue
        choices = {**content["vars"][0], **content["vars"][1]}
        items = choices[stage["foreach"].strip("${}")]
        for key, item in items.items():
            text = yaml.safe_dump(stage["do"], width=1000).replace("${key}", key)
            for place, value in item.items() if isinstance(item, dict) else [("", item)]:
                named = f"item.{place}".removesuffix(".")
                text = text.replace(f"${{{named}}}", value)
            stages[f"{name}@{key}"] = yaml.safe_load(text)
    return {**content, "stages": stages}


def test_dvc_has_a_stage_for_each_script(dvc):
    called = {}
    for name, stage in dvc["stages"].items():
        python, script, first, *_ = stage["cmd"].split()
        assert python == "python"
        if name != "imports":
            assert first == '"${params}"'
            assert f"${{run}}/imports/{Path(script).stem}.txt" in stage["deps"]
        called[name.split("@")[0]] = script
    assert called == {
        path.stem.replace("_", "-"): f"stages/{path.name}" for path in STAGES.glob("*.py")
    }


ODD = "Zoë's  photos & co; #1 (new) *"


def test_paths_of_dvc_may_hold_what_a_shell_would_take_apart(dvc, tmp_path):
    """Each stage's command, as DVC writes it out, run by a shell with a `python` that tells."""
    run, choices = json.loads(json.dumps(dvc["vars"]).replace("outputs", ODD))
    run |= {"params": f"{ODD}.yaml", "albums": ODD, "methods": 'mine "theirs=images of theirs"'}
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text()) | {"vars": [run, choices]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / f"{ODD}.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)
    Repo.init(str(tmp_path), no_scm=True)
    told = {}
    for stage in Repo(str(tmp_path)).index.stages:
        done = subprocess.run(
            stage.cmd, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True,
            env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        )  # fmt: skip
        told[stage.name] = done.stdout.splitlines()
    params, home = f"{ODD}.yaml", f"{ODD}/demo"
    assert len(told) == len(dvc["stages"])
    for name, (script, *arguments) in told.items():
        words = usage(REPOSITORY / script)
        assert arguments[0] == (params if words[0] == "PARAMS" else f"{home}/imports"), name
    assert told["build-cufed5"][1:] == [params, ODD, f"{home}/dataset"]
    assert told["train@srntt"][2:] == [
        "srntt", f"{home}/dataset", f"{home}/models/srntt", f"{home}/swaps/patches",
        "variant=srntt",
    ]  # fmt: skip
    assert told["train@edsr"][2:] == [
        "edsr", f"{home}/dataset", f"{home}/models/edsr", f"{home}/dataset/train",
    ]  # fmt: skip
    assert told["evaluate@own"][2:] == [
        f"{home}/dataset/test/CUFED5", f"{home}/evaluation/own", f"{home}/models",
        "mine", "theirs=images of theirs",
    ]  # fmt: skip
    assert told["super-resolve"][2:] == [
        f"{home}/evaluation/own/images/lr/none/000.png", f"{home}/models/srntt-l2",
        f"{home}/super_resolved.png", f"{home}/dataset/test/CUFED5", "000_1.png", "000_2.png",
    ]  # fmt: skip


def test_dvc_stages_depend_on_a_section_of_the_params_only(dvc):
    """And nothing there says where or how parallel a stage runs: that may not invalidate it."""
    for name, stage in dvc["stages"].items():
        if name == "imports":
            continue
        ((file, (section,)),) = [pair for entry in stage["params"] for pair in entry.items()]
        assert file == "${params}"
        if name.startswith("train@"):
            recipe = stage["cmd"].split()[3]
            assert section == f"train.{recipe}"
            assert recipe in RECIPES
        else:
            assert section in Params.model_fields
    for section in Params.model_fields:
        keys = set(getattr(Params(), section).model_dump())
        assert not keys & {"workers", "device", "cluster", "cache_gib"}


def test_what_a_dvc_stage_reads_of_the_run_another_makes(dvc):
    def paths(stage, *kinds):
        entries = [entry for kind in kinds for entry in stage.get(kind, [])]
        return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}

    made = set()
    for stage in dvc["stages"].values():
        made |= paths(stage, "outs", "metrics", "plots")
    for stage in dvc["stages"].values():
        for path in paths(stage, "deps"):
            path = path.replace(dvc["vars"][0]["run"], "${run}")
            if path.startswith("${run}"):
                assert any(path == out or path.startswith(f"{out}/") or out.startswith(f"{path}/")
                           for out in made), path  # fmt: skip
            elif not path.startswith("${"):
                assert (REPOSITORY / path).exists(), path


def test_networks_of_dvc_train_on_what_their_recipe_takes(dvc):
    kinds, networks = dvc["vars"][1]["kinds"], dvc["vars"][1]["networks"]
    for network in networks.values():
        settings = override(RECIPES[network["recipe"]](), network["set"].split())
        assert network["model"] == settings.network()[0]  # as its checkpoint is called
        folder, kind = network["from"].split("/")
        if settings.takes("maps"):
            assert folder == "swaps"
            made = override(SwapParams(), kinds[kind]["set"].split())
            wanted = settings.swaps()
            assert made.matching.split("-")[0] == wanted.matching
            assert made.references == wanted.references
        else:
            assert network["from"] == "dataset/train"


def test_an_upscaler_is_trained_before_the_swaps_that_it_enlarges(tmp_path):
    """By the item of `vars` that docs/swaps.md gives, in dvc.yaml."""
    page = (REPOSITORY / "docs" / "swaps.md").read_text()
    (block,) = re.findall(r"```yaml\n(  - kinds:.*?)```", page, re.DOTALL)
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    run, choices = content["vars"]
    (given,) = yaml.safe_load(block)
    choices["kinds"] = given["kinds"]
    choices["networks"] = given["networks"] | choices["networks"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    Repo.init(str(tmp_path), no_scm=True)
    index = Repo(str(tmp_path)).index
    stages = {stage.name: stage for stage in index.stages}
    before = networkx.descendants(index.graph, stages["precompute-swaps@patches"])
    assert {stage.name for stage in before if stage.name.startswith("train")} == {"train@sisr"}
    made = override(SwapParams(), shlex.split(stages["precompute-swaps@patches"].cmd)[5:])
    assert (made.upscaler, made.matching) == (f"{run['run']}/models/sisr", "patches")
    assert choices["networks"]["sisr"]["model"] == RECIPES["sisr"]().network()[0]


def test_every_output_is_pushed(dvc):
    """So that a second clone has all that a stage depends on, and the page all that it shows."""
    for stage in dvc["stages"].values():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                options = next(iter(entry.values())) if isinstance(entry, dict) else {}
                assert all(options.get(key, True) for key in ("cache", "push")), entry


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("models/edsr/edsr.safetensors", True),
        ("models/edsr/best/edsr.json", True),
        ("models/edsr/.srntt_pipeline/mark.json", True),
        ("models/edsr/.srntt_pipeline/lock", False),
        ("models/edsr/.srntt_pipeline/writer.json", False),
        ("models/edsr/.srntt_pipeline/partial/0123.png", False),
        ("models/edsr/resume/0123/step-00000001/state.json", False),
        ("models/edsr/dvclive/metrics.json", False),
        ("evaluation/own/measured/000.json", False),
        ("evaluation/own/page/hr/000.png", True),
    ],
)
def test_what_a_stage_can_do_without_makes_no_folder_another(tmp_path, path, counts):
    shutil.copy(REPOSITORY / ".dvcignore", tmp_path)
    Repo.init(str(tmp_path), no_scm=True)
    place = tmp_path / "outputs" / "demo" / path
    place.parent.mkdir(parents=True)
    place.touch()
    assert Repo(str(tmp_path)).dvcignore.is_ignored_file(str(place)) != counts


def test_the_switch_to_another_run_is_one_item(dvc):
    """Those that docs/ give have the same keys, a params file of every section, an own test set."""
    keys = {"params", "albums", "run", "test_sets", "methods", "super_resolve"}
    runs = [dvc["vars"][0]]
    for page in (REPOSITORY / "docs").glob("*.md"):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            runs += [item for item in yaml.safe_load(block) if "test_sets" in item]
    assert [run["params"] for run in runs] == [
        "params.yaml",
        *sorted(run["params"] for run in runs[1:]),
    ]
    assert len(runs) == 3
    for run in runs:
        assert set(run) == keys
        sections = yaml.safe_load((REPOSITORY / run["params"]).read_text())
        assert {
            section.split(".")[0]
            for stage in dvc["stages"].values()
            for entry in stage.get("params", [])
            for section in entry["${params}"]
        } <= set(sections)
        assert run["test_sets"]["own"] == f"{run['run']}/dataset/test/CUFED5"
        assert json.loads(json.dumps(run["super_resolve"]).replace(run["run"], "RUN")) == {
            "lr": "RUN/evaluation/own/images/lr/none/000.png",
            "checkpoint": "RUN/models/srntt-l2",
            "folder": "RUN/dataset/test/CUFED5",
            "references": "000_1.png 000_2.png",
        }
