import re
import subprocess
import sys

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import save_file

from srntt_pipeline import config
from srntt_pipeline.albums import build, counts
from srntt_pipeline.cli import cli, main
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.importing import IMPORTERS
from srntt_pipeline.recipes import RECIPES
from srntt_pipeline.training import loop

# Commands in the order of the pipeline, with their sections of the parameters.
SECTIONS = {
    "demo-albums": config.DemoAlbumsParams,
    "build-cufed5": config.BuildParams,
    "precompute-swaps": config.SwapParams,
    "evaluate": config.EvaluateParams,
    "tables": config.TablesParams,
    "super-resolve": config.SuperResolveParams,
}
COMMANDS = [*SECTIONS, "count-matches", "show-match"]
GROUPS = {
    "train": list(RECIPES),
    "import-weights": list(IMPORTERS),
    "manifest": ["verify", "diff", "stats"],
    "shards": ["info", "verify", "convert"],
    "user-study": ["make", "serve", "collect", "report"],
}
# With the commands of recipes, whose parameters are sections of their own.
PARAMETERS = {(name,): section for name, section in SECTIONS.items()}
PARAMETERS |= {("train", name): recipe for name, recipe in RECIPES.items()}
PARAMETERS["user-study", "make"] = config.StudyParams
PARAMETERS["user-study", "report"] = config.StudyReportParams


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the console command in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["srntt-pipeline", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(call):
    """Run a command on bad input; return its one line of error."""

    def run(*arguments):
        code, out, err = call(*arguments)
        assert code == 2, err
        assert out == ""
        assert "Traceback" not in err
        lines = [line for line in err.splitlines() if line.startswith("Error:")]
        assert len(lines) == 1, err
        assert err.splitlines()[-1] == lines[0]
        return lines[0]

    return run


def help_of(*command):
    result = CliRunner().invoke(cli, [*command, "--help"], terminal_width=100)
    assert result.exit_code == 0
    return result.output


def command_of(*words):
    command = cli
    for word in words:
        command = command.commands[word]
    return command


def in_one_line(text):
    return " ".join(text.split())


# Help


def test_group_help_lists_the_commands_in_the_order_of_the_pipeline():
    listed = help_of().split("Commands:")[1]
    order = [*COMMANDS, *(group for group in GROUPS if group != "train")]
    order.insert(order.index("evaluate"), "train")
    assert re.findall(r"^  ([a-z0-9-]+)", listed, re.MULTILINE) == order


def test_group_help_reads_like_the_pipeline_and_explains_exit_codes():
    text = help_of()
    steps = ["photo albums", "→ build-cufed5", "→ precompute-swaps", "→ train", "→ evaluate"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "Exit codes: 0 done, 2 bad input or usage, 1 internal error" in in_one_line(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_states_purpose_example_and_defaults(command):
    text = help_of(command)
    usage, purpose = text.split("\n\n")[:2]
    assert usage.startswith(f"Usage: cli {command} ")
    assert purpose.strip().endswith(".")
    assert f"Example: srntt-pipeline {command} " in in_one_line(text)
    assert re.search(r"\[[^\]]+\]", text.split("Options:")[1])


def options_by_heading(*command):
    """Return the options of a command's help by the heading that they stand under."""
    found, heading = {}, ""
    for line in help_of(*command).splitlines():
        if match := re.fullmatch(r"([A-Z][a-z ]+):", line):
            heading = match[1]
        elif match := re.match(r"  (?:-\w, )?--([a-z0-9-]+)", line):
            found.setdefault(heading, []).append(match[1])
    return found


def test_help_has_options_under_headings():
    build = options_by_heading("build-cufed5")
    assert list(build) == [
        "Options", "Photos", "Matches", "Levels", "Training crops", "Test set and split", "Machine",
    ]  # fmt: skip
    assert build["Levels"] == ["levels", "levels-by", "bands"]
    assert build["Machine"] == ["workers", "cluster", "cluster-config", "device"]
    ttsr = options_by_heading("train", "ttsr")
    assert list(ttsr)[:4] == ["Options", "Network", "References", "Losses"]
    assert "channels" in ttsr["Network"]
    assert "transferal-weight" in ttsr["Losses"]
    assert "extractor-rate" in ttsr["Optimiser"]
    assert "steps" in ttsr["Steps and batches"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_the_help_is_valid_usage(command, monkeypatch):
    words = in_one_line(help_of(command).split("Options:")[0]).split(" srntt-pipeline ")[1].split()
    given = []
    monkeypatch.setattr(cli.commands[command], "callback", lambda **values: given.append(values))
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert given


@pytest.mark.parametrize(
    ("group", "command"), [(group, name) for group, names in GROUPS.items() for name in names]
)
def test_commands_of_a_group_state_purpose_and_a_valid_example(group, command, monkeypatch):
    listed = help_of(group).split("Commands:")[1]
    assert re.findall(r"^  ([a-z0-9-]+)", listed, re.MULTILINE) == GROUPS[group]
    usage, purpose = help_of(group, command).split("\n\n")[:2]
    assert usage.startswith(f"Usage: cli {group} {command} ")
    assert purpose.strip().endswith(".")
    text = in_one_line(help_of(group, command).split("Options:")[0])
    words = text.split(" Example: srntt-pipeline ")[1].split()
    given = []
    run = cli.commands[group].commands[command]
    monkeypatch.setattr(run, "callback", lambda **values: given.append(values))
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert given


@pytest.mark.parametrize(
    ("command", "name"), [(c, name) for c, s in PARAMETERS.items() for name in s.model_fields]
)
def test_every_parameter_has_an_option_with_its_description_and_default(command, name):
    field = PARAMETERS[command].model_fields[name]
    option = next(o for o in command_of(*command).params if o.name == name)
    flag = "--" + name.replace("_", "-")
    assert flag in option.opts
    assert flag in help_of(*command)
    assert option.help.startswith(field.description)
    if field.default not in (None, "", ()):
        shown = ",".join(map(str, np.atleast_1d(field.default).tolist()))
        assert option.help.endswith(f"[{shown}]")


def test_version():
    result = CliRunner().invoke(cli, ["--version"])
    assert re.search(r"\d+\.\d+", result.output)


# Options, params files, defaults


@pytest.fixture
def builds(monkeypatch):
    """Instead of builds: the parameters and workers that were asked for."""
    asked = []
    monkeypatch.setattr(
        build,
        "build_cufed5",
        lambda photos, out, params, workers, **_: asked.append((params, workers)),
    )
    return asked


@pytest.fixture
def seen(builds, call):
    """Run `build-cufed5`; return the parameters that it would build with."""

    def run(*arguments):
        code, _, err = call("build-cufed5", "albums", "out", *arguments)
        assert code == 0, err
        return builds[-1][0]

    return run


@pytest.fixture
def params_file(tmp_path):
    def write(content):
        path = tmp_path / "params.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_options_beat_the_params_file_which_beats_the_defaults(seen, params_file):
    path = params_file({"build": {"train_pairs": 7, "ratio": 0.6}, "train": {"edsr": {"steps": 1}}})
    default = config.BuildParams()
    assert seen() == default
    assert seen("--params", path) == default.model_copy(update={"train_pairs": 7, "ratio": 0.6})
    both = seen("--params", path, "--train-pairs", "9")
    assert both == default.model_copy(update={"train_pairs": 9, "ratio": 0.6})
    assert seen("--train-pairs", "9", "--params", path) == both


def test_an_option_may_say_what_the_default_says(seen, params_file):
    path = params_file({"build": {"train_pairs": 7}})
    assert seen("--params", path, "--train-pairs", "13761").train_pairs == 13761


def test_options_of_every_kind_are_understood(seen):
    params = seen(
        "--name", "ours", "--levels", "2", "--levels-by", "quantiles", "--bands", " 90, 20",
        "--ratio", "0.8", "--crop-px", "48",
    )  # fmt: skip
    assert (params.name, params.levels, params.levels_by) == ("ours", 2, "quantiles")
    assert (params.bands, params.ratio, params.crop_px) == ((90, 20), 0.8, 48)


def test_flags_can_be_set_and_unset(monkeypatch, call, params_file):
    given = []
    monkeypatch.setattr(loop, "train", lambda params, *paths, **options: given.append(params))
    path = params_file({"train": {"srntt": {"bicubic_skip": True}}})
    for options in ([], ["--no-bicubic-skip"], ["--weight-maps"]):
        assert call("train", "srntt", "dataset", "swaps", "out", "--params", path, *options)[0] == 0
    flags = [(params.bicubic_skip, params.weight_maps) for params in given]
    assert flags == [(True, False), (False, False), (True, True)]


def test_workers_are_those_asked_for_or_those_of_the_environment(seen, builds, monkeypatch):
    monkeypatch.setenv("SRNTT_WORKERS", "3")
    seen()
    seen("--workers", "5")
    assert [workers for _, workers in builds] == [3, 5]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("build: {train_pair: 3}", ["build.train_pair ", "build.train_pairs"]),
        ("biuld: {train_pairs: 3}", ["biuld", "build"]),
        ("train: {edsr: {lerning_rate: 3}}", ["train.edsr.lerning_rate", "edsr.learning_rate"]),
        ("build: {xyzzy: 3}", ["build.xyzzy", "train_pairs"]),
        ("build: {train_pairs: many}", ["build.train_pairs", "many"]),
        ("build: {ratio: 2}", ["build.ratio", "2"]),
        ("build: {levels_by: hand}", ["build.levels_by", "bands", "quantiles"]),
        ("build: {bands: [1, 2, 3, 4]}", ["build", "bands"]),
        ("build: 7", ["build"]),
        ("- build", ["dictionary"]),
        ("build: [", ["YAML"]),
        ("build: {a: b: c}", ["YAML"]),
    ],
)
def test_a_params_file_with_a_mistake_is_refused_with_the_key(
    refused, params_file, tmp_path, content, names
):
    path = params_file(content)
    line = refused("build-cufed5", tmp_path, tmp_path / "out", "--params", path)
    assert all(name in line for name in [str(path), *names])


def test_params_that_are_no_text_or_not_there_are_refused(refused, tmp_path):
    picture = tmp_path / "params.png"
    Image.new("RGB", (9, 9)).save(picture)
    for path in (picture, tmp_path, tmp_path / "none.yaml"):
        assert str(path) in refused("demo-albums", tmp_path / "out", "--params", path)


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("demo-albums", "--photos-min", "many"),
        ("demo-albums", "--photos-min", "40"),
        ("build-cufed5", "--ratio", "1.5"),
        ("build-cufed5", "--levels-by", "hand"),
        ("build-cufed5", "--bands", "9,8"),
        ("build-cufed5", "--crop-px", "50"),
        ("precompute-swaps", "--scales", "big"),
        ("precompute-swaps", "--scales", ","),
        ("train srntt", "--blocks", "1,2,3"),
        ("train srntt", "--cache-gib", "-1"),
        ("train srntt", "--cache-gib", "inf"),
        ("train srntt", "--steps", "-1"),
        ("train srntt", "--devices", "0"),
        ("train srntt", "--loader-workers", "-1"),
        ("train srntt", "--variant", "srgan"),
        ("train srntt", "--texture-weight", "-1"),
        ("train srntt", "--blocks", "-1,1,1,1"),
        ("train srntt", "--learning-rate", "inf"),
        ("train srntt", "--learning-rate", "1e300"),
        ("train srntt", "--channels", "1000000"),
        ("train srntt", "--channels", "9" * 5000),
        ("train srntt", "--patch-px", "1000000"),
        ("train srntt", "--gradient-clip", "nan"),
        ("train srntt", "--devices", "1000000"),
        ("precompute-swaps", "--scales", "1," * 10_000),
        ("build-cufed5", "--long-side-px", str(10**30)),
        ("evaluate", "--references", "x," * 10_000),
        ("precompute-swaps", "--encoder-weights", "\udcff.pth"),
        ("train srntt", "--seed", str(2**64)),
        ("evaluate", "--workers", "0"),
        ("count-matches", "--ratio", "1"),
        ("super-resolve", "--no-such-option", "1"),
    ],
)
def test_a_bad_option_value_is_refused_by_name(refused, tmp_path, command, option, value):
    words = command.split()
    paths = [o for o in command_of(*words).params if o.param_type_name == "argument"]
    line = refused(*words, *[tmp_path / path.name for path in paths], option, value)
    assert option[2:] in line.replace("_", "-")


def test_parameters_cannot_be_given_beside_a_manifest(refused, params_file, tmp_path):
    paths = "build-cufed5", "--manifest", tmp_path, "photos", "out"
    line = refused(*paths, "--seed", "0", "--levels-by", "bands")
    assert "--seed, --levels-by" in line.replace("--levels-by, --seed", "--seed, --levels-by")
    assert "origin.json holds the parameters" in line
    assert "--params" in refused(*paths, "--params", params_file({}))


def test_allow_missing_is_nothing_without_a_manifest(refused, builds):
    assert "--allow-missing" in refused("build-cufed5", "photos", "out", "--allow-missing")
    assert builds == []


def test_manifest_verify_prints_its_findings_and_ends_with_code_2(call, tmp_path):
    for name in ("train.csv", "test.csv", "rejected.csv", "origin.json"):
        (tmp_path / name).write_text("nothing\n")
    code, out, err = call("manifest", "verify", tmp_path)
    assert code == 2
    assert len(out.splitlines()) == 4
    assert err == f"Error: {tmp_path}: 4 findings; they are listed above\n"


def test_missing_arguments_and_strange_commands_are_refused(refused):
    assert "OUT" in refused("demo-albums")
    assert "bild" in refused("bild")
    assert "--checkpoint" in refused("super-resolve", "lr.png", "-o", "sr.png")


# What commands say, and where


def test_count_matches_prints_a_bare_integer(call, shared):
    folder = shared / "data" / "cufed" / "test" / "CUFED5"
    for k, count in enumerate([352, 96, 76, 50, 35], start=1):
        result = call("count-matches", folder / "001_0.png", folder / f"001_{k}.png")
        assert result == (0, f"{count}\n", "")


def test_count_matches_takes_a_ratio_and_a_size(call, shared):
    folder = shared / "data" / "cufed" / "test" / "CUFED5"
    pair = folder / "001_0.png", folder / "001_1.png"
    strict = int(call("count-matches", *pair, "--ratio", "0.5")[1])
    small = int(call("count-matches", *pair, "--long-side-px", "100")[1])
    assert 0 < strict < 352
    assert 0 < small < 352


def test_count_matches_of_an_image_without_features_is_0(call, tmp_path):
    Image.new("RGB", (60, 60), "white").save(tmp_path / "white.png")
    assert call("count-matches", tmp_path / "white.png", tmp_path / "white.png") == (0, "0\n", "")


def test_list_protocols_explains_each(call):
    code, out, err = call("evaluate", "--list-protocols")
    assert (code, err) == (0, "")
    listed = re.findall(r"^(\S+)\n  (.+)$", out, re.MULTILINE)
    assert [name for name, _ in listed] == list(PROTOCOLS)
    for name, explanation in listed:
        protocol = PROTOCOLS[name]
        for part in (protocol.channel, f"border {protocol.border_px} px", protocol.ssim_window):
            assert part in explanation


def test_progress_and_logs_go_to_stderr_only(call, tmp_path):
    options = ["--photos-min", "2", "--photos-max", "2", "--long-side-px", "64", "--workers", "1"]
    code, out, err = call("demo-albums", tmp_path / "albums", *options)
    assert (code, out) == (0, "")
    assert "Demo albums" in err
    assert "photographs: 18 made, 0 reused" in err


# Bad input


@pytest.fixture
def pictures(tmp_path):
    """A data set of two training pairs and a test group, 48 px."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    for name in ("train/input/a.png", "train/input/b.png", "train/ref/a.png", "train/ref/b.png",
                 "test/CUFED5/1_0.png", "test/CUFED5/1_1.png"):  # fmt: skip
        path = tmp_path / "dataset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "dataset"


ENCODER = ["--encoder-weights", "random", "--scales", "1", "--rotations-deg", "0"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("build-cufed5", "{}", "out"),
        ("precompute-swaps", "{}", "out", *ENCODER),
        ("train", "srntt", "dataset", "{}", "out"),
        ("train", "sisr", "{}", "out"),
        ("train", "edsr", "{}", "out"),
        ("evaluate", "{}", "out"),
        ("evaluate", "dataset", "out", "--checkpoint", "{}"),
        ("tables", "{}", "-o", "out"),
        ("super-resolve", "{}", "--checkpoint", "model", "-o", "sr.png"),
        ("super-resolve", "dataset/test/CUFED5/1_0.png", "--checkpoint", "{}", "-o", "sr.png"),
        ("count-matches", "{}", "dataset/test/CUFED5/1_0.png"),
        ("build-cufed5", "--manifest", "{}", "dataset", "out"),
        ("manifest", "verify", "{}"),
        ("manifest", "diff", "{}", "{}"),
        ("manifest", "stats", "{}"),
    ],
)
@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_missing_or_empty_folder_is_refused_by_name(
    refused, pictures, tmp_path, monkeypatch, arguments, kind
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / f"{kind} folder"
    if kind == "empty":
        folder.mkdir()
    assert str(folder) in refused(*[argument.format(folder) for argument in arguments])


def test_an_unknown_protocol_is_refused_with_those_known(refused, pictures, tmp_path):
    line = refused("evaluate", pictures, tmp_path / "out", "--protocol", "psnr")
    assert all(name in line for name in ["psnr", *PROTOCOLS])


def test_an_option_of_a_list_can_be_given_twice_or_with_commas(call, pictures, tmp_path):
    names = {}
    for folder, options in {
        "twice": ["--protocol", "rgb", "--protocol", "luma,matlab"],
        "commas": ["--protocol", "rgb,luma, matlab"],
    }.items():
        code, _, err = call("evaluate", pictures, tmp_path / folder, *options, "--workers", "1")
        assert code == 0, err
        names[folder] = (tmp_path / folder / "table.csv").read_text()
    assert names["twice"] == names["commas"]
    assert re.findall(r"none,([a-z]+),1", names["twice"]) == ["rgb", "luma", "matlab"]


def test_a_params_file_names_one_protocol_or_several(call, pictures, tmp_path):
    params = tmp_path / "params.yaml"
    for value, expected in (("luma", {"luma"}), (["rgb", "luma"], {"luma", "rgb"})):
        params.write_text(yaml.safe_dump({"evaluate": {"protocol": value}}))
        code, _, err = call("evaluate", pictures, tmp_path / "out", "--params", params)
        assert code == 0, err
        assert {path.stem for path in (tmp_path / "out" / "plots").iterdir()} == expected


WEIGHTS = {"weight": np.zeros(3, np.float32)}
WRONG_CHECKPOINTS = {
    "text": lambda path: path.write_text("weights, honestly\n" * 9),
    "empty": lambda path: path.touch(),
    "image": lambda path: Image.new("RGB", (9, 9)).save(path, "PNG"),
    "without JSON": lambda path: save_file(WEIGHTS, path),
    "with other JSON": lambda path: (
        save_file(WEIGHTS, path),
        path.with_suffix(".json").write_text('{"format": "other"}'),
    ),
}


@pytest.mark.parametrize("kind", WRONG_CHECKPOINTS)
def test_a_wrong_checkpoint_is_refused_by_name(refused, pictures, tmp_path, kind):
    path = tmp_path / "model.safetensors"
    WRONG_CHECKPOINTS[kind](path)
    named = path.with_suffix(".json") if "JSON" in kind else path
    options = ["--checkpoint", path, "--workers", "1"]
    assert str(named) in refused("evaluate", pictures, tmp_path / "out", *options)


@pytest.mark.parametrize("name", ["photo.png", "weights.pth", "notes"])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(refused, pictures, tmp_path, name):
    Image.new("RGB", (9, 9)).save(tmp_path / name, "PNG")
    lr = pictures / "test" / "CUFED5" / "1_0.png"
    options = ["--checkpoint", tmp_path / name, "-o", tmp_path / "sr.png"]
    assert name in refused("super-resolve", lr, *options)


def test_a_shard_cut_in_half_is_refused_and_made_again(call, refused, pictures, tmp_path):
    swaps = tmp_path / "swaps"
    precompute = ["precompute-swaps", pictures, swaps, *ENCODER, "--workers", "1"]
    assert call(*precompute)[0] == 0
    (shard,) = swaps.glob("*.h5")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    line = refused("train", "srntt", pictures, swaps, tmp_path / "model", "--patch-px", "16")
    assert str(shard) in line
    assert "precompute-swaps" in line
    assert call(*precompute)[0] == 0
    assert len(shard.read_bytes()) == len(whole)
    assert "none" in refused("train", "srntt", tmp_path / "none", swaps, tmp_path / "model")


def test_two_training_inputs_of_one_name_are_refused(refused, pictures, tmp_path):
    for side in ("input", "ref"):
        Image.new("RGB", (48, 48)).save(pictures / "train" / side / "a.bmp")
    options = [*ENCODER, "--workers", "1"]
    assert "a.bmp" in refused("precompute-swaps", pictures, tmp_path / "swaps", *options)


@pytest.mark.parametrize("kind", ["missing", "text", "image", "other weights"])
def test_encoder_weights_that_are_none_are_refused_by_name(refused, pictures, tmp_path, kind):
    path = tmp_path / "vgg19.safetensors" if kind == "other weights" else tmp_path / "vgg19.pth"
    if kind == "text":
        path.write_text("no weights\n")
    elif kind == "image":
        Image.new("RGB", (9, 9)).save(path, "PNG")
    elif kind == "other weights":
        save_file(WEIGHTS, path)
    line = refused("precompute-swaps", pictures, tmp_path / "out", "--encoder-weights", path)
    assert f"--encoder-weights {path}" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo-albums",),
        ("build-cufed5", "dataset"),
        ("precompute-swaps", "dataset", *ENCODER),
        ("train", "srntt", "dataset", "swaps"),
        ("train", "edsr", "dataset"),
        ("evaluate", "dataset"),
    ],
)
def test_an_output_that_is_a_file_is_refused(refused, pictures, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").write_text("precious\n")
    command, *rest = arguments
    paths = [argument for argument in rest if argument not in ENCODER]
    assert "out is a file" in refused(command, *paths, "out", *rest[len(paths) :])
    assert (tmp_path / "out").read_text() == "precious\n"


def test_sr_that_is_no_png_is_refused(refused, pictures, tmp_path):
    lr = pictures / "test" / "CUFED5" / "1_0.png"
    line = refused("super-resolve", lr, "--checkpoint", "model", "-o", tmp_path / "sr.jpg")
    assert "sr.jpg" in line
    assert ".png" in line


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "meta", "gpu"])
def test_an_unknown_device_is_refused_by_name(refused, pictures, tmp_path, device):
    line = refused("precompute-swaps", pictures, tmp_path / "out", *ENCODER, "--device", device)
    assert f"--device {device}" in line


def test_what_the_file_system_refuses_is_told_in_one_line(refused, tmp_path):
    (tmp_path / "file").touch()
    assert "file" in refused("demo-albums", tmp_path / "file" / "albums")


# Seen from the shell


def in_a_shell(code, *arguments):
    command = [sys.executable, "-c", f"from srntt_pipeline.cli import main\n{code}\nmain()"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)


def test_the_installed_command_ends_with_code_2_and_one_line():
    ended = in_a_shell("", "count-matches", "no such.png", "no such.png")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"Error: no such\.png: .+\n", ended.stderr)


def test_an_error_of_ours_ends_with_code_1_and_a_traceback():
    breaks = "import srntt_pipeline.albums.counts as c; c.count_matches = lambda *given: 1 / 0"
    ended = in_a_shell(breaks, "count-matches", "a.png", "b.png")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_an_error_of_ours_is_never_taken_for_bad_input(call, monkeypatch):
    def broken(*given):
        raise ValueError("our mistake")

    monkeypatch.setattr(counts, "count_matches", broken)
    with pytest.raises(ValueError, match="our mistake"):
        call("count-matches", "a.png", "b.png")


# Recipes


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dataset", "swaps", "out", "--variant", "srntt"], "dataset: no such recipe"),
        (["--variant", "srntt", "dataset", "swaps", "out"], "--variant: name the recipe first"),
        (["esdr", "dataset", "out"], f"esdr: no such recipe (known: {', '.join(RECIPES)})"),
    ],
)
def test_train_without_a_recipe_tells_how_it_is_called(refused, words, told):
    line = refused("train", *words)
    assert line.startswith(f"Error: {told}")
    assert "`srntt-pipeline train srntt DATASET SWAPS OUT`" in line


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_what_its_phases_need(name):
    arguments = [p.name for p in command_of("train", name).params if isinstance(p, click.Argument)]
    options = {p.name for p in command_of("train", name).params}
    of_swaps = {"cache_gib", "encoder_weights", "content"}
    if name == "srntt":
        assert arguments == ["dataset", "swaps", "out"]
        assert of_swaps <= options
    else:
        assert arguments == ["dataset", "out"]
        alone = {
            "enet": {"encoder_weights"}, "srgan": {"encoder_weights", "content"},
            "ttsr": {"encoder_weights"}, "crossnet": {"content"},
        }  # fmt: skip
        assert of_swaps & options == alone.get(name, set())


def test_help_of_a_recipe_need_not_wait_for_pytorch():
    done = in_a_shell("import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))",
                      "train", "edsr", "--help")  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"


# Clusters and shards


@pytest.mark.parametrize("command", ["demo-albums", "build-cufed5", "precompute-swaps", "evaluate"])
def test_commands_with_workers_take_a_cluster(command):
    for flag in ("--workers", "--cluster ADDRESS|slurm", "--cluster-config FILE"):
        assert flag in help_of(command)


def test_mistyped_cluster_is_one_line(refused, tmp_path):
    line = refused("build-cufed5", tmp_path, tmp_path / "out", "--cluster", "slrum")
    assert line.startswith("Error: --cluster slrum: name a Dask scheduler")


@pytest.mark.parametrize("shard", ["0/4", "5/4", "a/b"])
def test_mistyped_shard_is_one_line(refused, tmp_path, shard):
    line = refused("build-cufed5", tmp_path, tmp_path / "out", "--shard", shard)
    assert line == f"Error: --shard {shard}: give k/n with k from 1 to n, such as 3/16"


def test_shard_and_merge_exclude_each_other(refused, tmp_path):
    line = refused("build-cufed5", tmp_path, tmp_path / "out", "--shard", "1/2", "--merge")
    assert "--merge cannot be given with --shard: first all parts" in line


def test_merge_of_nothing_is_one_line(refused, tmp_path, save_view):
    save_view(tmp_path / "albums" / "a" / "1.png")
    save_view(tmp_path / "albums" / "b" / "1.png")
    line = refused("build-cufed5", tmp_path / "albums", tmp_path / "out", "--merge")
    assert "2 of 2 albums lack features" in line
    assert "--shard 1/2" in line
