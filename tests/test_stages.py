import csv
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from srntt_pipeline.config import Params, SwapParams, override, read_params
from srntt_pipeline.training.recipes.srntt import SrnttRecipe

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
        patch.setenv("SRNTT_WORKERS", "1")
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
    run_stage("train", params, "edsr", dataset, run / "edsr", "blocks=2")
    run_stage("evaluate", params, dataset, run / "model", run / "evaluation")
    run_stage("tables", params, run / "tables", run / "evaluation")
    refs = test / "000_1.png", test / "000_2.png"
    lr = run / "evaluation" / "images" / "lr" / "none" / "000.png"
    run_stage("super_resolve", params, lr, run / "model", run / "sr.png", *refs)
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
    ]
    lr = Image.open(pipeline / "evaluation" / "images" / "lr" / "none" / "000.png")
    assert Image.open(pipeline / "sr.png").size == (4 * lr.width, 4 * lr.height)


@pytest.mark.parametrize("script", sorted(STAGES.glob("*.py")), ids=lambda script: script.stem)
def test_a_typo_in_the_params_ends_a_stage_with_code_2_and_one_line(script, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text("train:\n  srntt:\n    step: 3\n")
    promised = script.read_text().splitlines()[0].split(": ")[1].strip('".').split()
    assert promised[0] == "PARAMS"
    arguments = [tmp_path / name for name in promised[1:]]
    with pytest.raises(SystemExit) as end:
        run_stage(script.stem, params, *arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    told = "train.srntt.step is not a parameter; did you mean train.srntt.steps?"
    assert err == f"Error: {params}: {told}\n"


# Params files and dvc.yaml


def test_the_params_files_are_valid_and_need_no_download_by_default():
    demo = read_params(REPOSITORY / "params.yaml")
    assert demo.swaps.encoder_weights == "random"
    assert demo.build.name == "demo"


def test_the_params_for_cufed_name_the_papers_sizes():
    cufed = read_params(REPOSITORY / "params" / "cufed.yaml")
    defaults = Params()
    assert (cufed.train.srntt.channels, cufed.train.srntt.blocks) == (64, (16, 16, 8, 4))
    assert cufed.train.srntt.model_copy(update={"validation_pairs": 32}) == SrnttRecipe()
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
            text = yaml.safe_dump(stage["do"]).replace("${key}", key)
            stages[f"{name}@{key}"] = yaml.safe_load(text.replace("${item}", item))
    return {**content, "stages": stages}


def test_dvc_has_a_stage_for_each_script(dvc):
    called = {}
    for name, stage in dvc["stages"].items():
        python, script, params, *_ = stage["cmd"].split()
        assert (python, params) == ("python", "${params}")
        assert script in stage["deps"]
        called[name.split("@")[0]] = script
    assert called == {
        path.stem.replace("_", "-"): f"stages/{path.name}" for path in STAGES.glob("*.py")
    }


def test_dvc_stages_depend_on_a_section_of_the_params_only(dvc):
    """And nothing there says where or how parallel a stage runs: that may not invalidate it."""
    for stage in dvc["stages"].values():
        ((file, sections),) = [pair for entry in stage["params"] for pair in entry.items()]
        assert file == "${params}"
        assert len(sections) == 1
        assert set(sections) <= set(Params.model_fields)
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


def test_networks_of_dvc_are_variants_whose_swaps_are_made(dvc):
    kinds, networks = dvc["vars"][1]["kinds"], dvc["vars"][1]["networks"]
    for name, kind in networks.items():
        variant = override(SrnttRecipe(), [f"variant={name}"]).defaults
        made = override(SwapParams(), [kinds[kind]])
        assert made.matching.startswith("flow") == variant.flow
        assert made.references == variant.references


def test_the_switch_to_another_run_is_one_item(dvc):
    """Those that docs/ give have the same keys, a params file of every section, an own test set."""
    keys = {"params", "albums", "run", "test_sets"}
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
            s for stage in dvc["stages"].values() for p in stage["params"] for s in p["${params}"]
        } <= set(sections)
        assert run["test_sets"]["own"] == f"{run['run']}/dataset/test/CUFED5"
