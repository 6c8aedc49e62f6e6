import itertools
from operator import attrgetter
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from srntt_pipeline.cluster_config import ClusterConfig, read_cluster_config
from srntt_pipeline.config import (
    BuildParams,
    DemoAlbumsParams,
    Params,
    SwapParams,
    override,
    read_params,
)
from srntt_pipeline.errors import InputError
from srntt_pipeline.recipes import RECIPES
from srntt_pipeline.sections import validate

REPOSITORY = Path(__file__).resolve().parents[1]
SECTIONS = {name: field.annotation for name, field in Params.model_fields.items()}
del SECTIONS["train"]
SECTIONS |= {f"train.{name}": recipe for name, recipe in RECIPES.items()}
KEYS = [*Params.model_fields, *RECIPES, *BuildParams.model_fields, "x"]


@pytest.fixture
def params_file(tmp_path):
    def write(text):
        path = tmp_path / "params.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def complaint(path):
    """The one line that a bad params file gives, without the file's name, which it must name."""
    with pytest.raises(InputError) as error:
        read_params(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_field_has_one_heading_and_no_heading_names_another_field(name):
    section = SECTIONS[name]
    assert sorted(section.headings_of_fields()) == sorted(section.model_fields)
    named = [
        field for base in section.__mro__ for fields in vars(base).get("headings", {}).values()
        for field in fields
    ]  # fmt: skip
    assert len(named) == len(set(named))
    assert set(named) <= set(section.model_fields)


# What is accepted


@pytest.mark.parametrize(
    "text", ["", "# only\n", "{}\n", "build: {}\n", "train:\n", "train:\n  edsr:\n  sisr:\n"]
)
def test_what_is_left_out_takes_the_defaults(params_file, text):
    assert read_params(params_file(text)) == Params()


def test_defaults_are_the_papers_numbers():
    build, train = BuildParams(), Params().train.srntt
    assert (build.train_pairs, build.test_groups, build.crop_px) == (13761, 126, 160)
    assert (train.batch_size, train.learning_rate) == (9, 1e-4)


def test_section_is_read(params_file):
    text = "build: {ratio: 0.8, levels: 2, bands: [100, 10], name: Löwe}\nswaps: {scales: [1]}\n"
    params = read_params(params_file(text))
    assert (params.build.ratio, params.build.levels) == (0.8, 2)
    assert (params.build.bands, params.build.name) == ((100, 10), "Löwe")
    assert params.swaps.scales == (1.0,)
    assert params.train == Params().train


def test_number_that_yaml_takes_for_text_is_a_number(params_file):
    """YAML 1.1 needs a point: 1e-3 is text to it."""
    assert yaml.safe_load("1e-3") == "1e-3"
    params = read_params(params_file("train: {srntt: {learning_rate: 1e-3}}\n"))
    assert params.train.srntt.learning_rate == 0.001


def test_section_whose_keys_are_all_commented_out_takes_the_defaults(params_file):
    assert read_params(params_file("build:\n  # ratio: 0.8\n")) == Params()


@pytest.mark.parametrize("name", SECTIONS)
def test_written_section_is_read_back(params_file, name):
    section = SECTIONS[name]()
    content = section.model_dump(mode="json")
    for part in reversed(name.split(".")):
        content = {part: content}
    read = read_params(params_file(yaml.safe_dump(content)))
    assert attrgetter(name)(read) == section


LISTS_OF_TEXTS = [
    pytest.param(section, key, id=f"{section.__name__}.{key}")
    for section in (*SECTIONS.values(), ClusterConfig)
    for key, field in section.model_fields.items()
    if get_origin(field.annotation) is tuple
    and (
        get_args(field.annotation)[0] is str or get_origin(get_args(field.annotation)[0]) is Literal
    )
]


def test_lists_of_texts_are_found():
    assert {"EvaluateParams.protocol", "EvaluateParams.metric", "TablesParams.protocol"} < {
        param.id for param in LISTS_OF_TEXTS
    }


@pytest.mark.parametrize(("section", "key"), LISTS_OF_TEXTS)
def test_one_text_stands_for_a_list_of_it(section, key):
    """`protocol: luma` was taken in one section, and refused in the next."""
    (kind, *_) = get_args(section.model_fields[key].annotation)
    text = get_args(kind)[0] if get_origin(kind) is Literal else "luma"
    assert getattr(validate(section, {key: text}, ""), key) == (text,)
    assert getattr(validate(section, {key: [text]}, ""), key) == (text,)
    with pytest.raises(InputError, match=key):
        validate(section, {key: 3}, "params.yaml")


def test_parameters_cannot_be_changed_by_the_way():
    with pytest.raises(ValidationError):
        BuildParams().ratio = 0.5


# What is refused, in one line that helps


def test_typo_in_a_key_says_what_was_meant(params_file):
    message = complaint(params_file("build:\n  levls: 4\n"))
    assert message == "build.levls is not a parameter; did you mean build.levels?"


def test_typo_in_a_section_says_what_was_meant(params_file):
    assert complaint(params_file("biuld: {}\n")) == (
        "biuld is not a parameter; did you mean build?"
    )


def test_unknown_key_lists_the_known_ones(params_file):
    message = complaint(params_file("demo_albums:\n  xyz: 1\n"))
    assert message.startswith("demo_albums.xyz is not a parameter; known here: ")
    assert all(key in message for key in DemoAlbumsParams.model_fields)


def test_unknown_section_lists_the_known_ones(params_file):
    message = complaint(params_file("xyz:\n  deeper:\n    ratio: 1\n"))
    assert message.startswith("xyz is not a parameter; known here: ")
    assert all(section in message for section in Params.model_fields)


def test_where_a_stage_runs_is_no_parameter(params_file):
    """Workers and devices must not invalidate results."""
    for section in SECTIONS:
        for key in ("workers", "device"):
            text = f"{section.replace('.', ': {')}: {{{key}: 1}}{'}' * section.count('.')}\n"
            assert f"{section}.{key} is not" in complaint(params_file(text))


@pytest.mark.parametrize(
    ("text", "key", "given"),
    [
        ("build: {ratio: high}", "build.ratio", "'high'"),
        ("build: {ratio: 1.5}", "build.ratio", "1.5"),
        ("build: {ratio: .nan}", "build.ratio", "nan"),
        ("build: {levels: 0}", "build.levels", "0"),
        ("build: {levels: 2.5}", "build.levels", "2.5"),
        ("build: {levels_by: eye}", "build.levels_by", "'eye'"),
        ("build: {train_pairs: -1}", "build.train_pairs", "-1"),
        ("build: {test_albums: 1}", "build.test_albums", "1"),
        ("build: {seed: -1}", "build.seed", "-1"),
        ("build: {bands: [9, many], levels: 2}", "build.bands.1", "'many'"),
        ("swaps: {scales: []}", "swaps.scales", "[]"),
        ("swaps: {scales: [1, 5]}", "swaps.scales.1", "5"),
        ("train: {srntt: {patch_px: 90}}", "train.srntt.patch_px", "90"),
        ("train: {srntt: {blocks: [1, 2, 3]}}", "train.srntt.blocks", ""),
        ("train: {edsr: {channels: 1000000}}", "train.edsr.channels", "1000000"),
        ("train: {sisr: {learning_rate: 1e300}}", "train.sisr.learning_rate", "1e300"),
        ("train: {srntt: {gradient_penalty: .inf}}", "train.srntt.gradient_penalty", "inf"),
        ("build: {seed: 99999999999999999999}", "build.seed", "99999999999999999999"),
        ("swaps: {encoder_weights: ''}", "swaps.encoder_weights", "''"),
        ('build: {name: "a\\0b"}', "build", "name: the text holds a NUL"),
        ("train: [1, 2]", "train", "[1, 2]"),
        ("evaluate: 3", "evaluate", "3"),
    ],
)
def test_wrong_type_or_range_names_key_and_value(params_file, text, key, given):
    message = complaint(params_file(text))
    assert message.startswith(f"{key}")
    assert given in message


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n"
    for before, name in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("build: {levels: 2}\ntrain: {}\nbuild: {levels: 3}\n", "'build' stands twice at line 3"),
        ("build:\n  levels: 2\n  levels: 3\n", "the key 'levels' stands twice at line 3"),
        (BOMB, "more than 5,000 values, with what aliases repeat at line 5"),
        ("build: &a [*a]\n", "an alias of itself at line 1"),
        ("[" * 30_000, "nested too deeply"),
        ("- " * 30_000, "nested too deeply"),
        (f"evaluate: {{references: [{'x, ' * 10_000}]}}", "more than 5,000 values"),
        (f"build: {{name: {'x' * 5000}}}", "name: the text is longer than 4096"),
        ("x" * 100_000, "larger than 0.0625 MiB"),
        ("build: {name: 2001-99-99}", "not of the type timestamp at line 1"),
        (f"build: {{seed: {'9' * 5000}}}", "not of the type int at line 1"),
        ("build: {seed: !!int ''}", "not of the type int at line 1"),
        ("build: !!map 3", "expected a mapping node"),
        ("? [a]\n: 1\n", "a key that is no text at line 1"),
        ("build: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("\n".join(f"key{k}: 1" for k in range(1000)), "and 995 more"),
    ],
)
def test_yaml_that_would_take_long_or_mean_two_things_gives_one_line(params_file, text, problem):
    message = complaint(params_file(text))
    assert problem in message
    assert len(message) < 1500


def test_byte_order_mark_and_small_aliases_are_read(params_file):
    text = "\ufeffbuild: &b {levels: 2, bands: &c [3, 1]}\n"
    assert read_params(params_file(text)).build.bands == (3, 1)
    text = "train:\n  srntt: &t {patch_px: 80}\n  sisr: {<<: *t, steps: 3}\n"
    assert read_params(params_file(text)).train.sisr.patch_px == 80


@settings(deadline=None, max_examples=200)
@given(
    st.binary()
    | st.text(st.sampled_from("[]{}:,&*!<>|?-'\"#% \nab01.~"), max_size=30).map(str.encode)
)
def test_any_bytes_are_params_or_give_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    message = ""
    try:
        read_params(path)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert not message or message.startswith(f"{path}: ")


def bounds(field):
    return {
        name: getattr(entry, name)
        for entry in field.metadata
        for name in ("le", "lt", "max_length")
        if hasattr(entry, name)
    }


@pytest.mark.parametrize("section", [*SECTIONS.values(), ClusterConfig], ids=lambda s: s.__name__)
def test_every_number_and_list_has_an_upper_bound(section):
    for name, field in section.model_fields.items():
        default = str(field.annotation)
        bounded = bounds(field) or "Annotated" in default or "Literal" in default
        if any(kind in default for kind in ("int", "float", "tuple")):
            assert bounded, name


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"channels": 1024, "blocks": [256] * 4}, "19327 million weights"),
        ({"batch_size": 4096, "patch_px": 4096}, "feature maps of 16384 GiB each"),
    ],
)
def test_sizes_that_no_device_holds_are_refused(params_file, keys, problem):
    assert problem in complaint(params_file(yaml.safe_dump({"train": {"srntt": keys}})))


def test_too_many_versions_of_a_reference_are_refused(params_file):
    keys = {"scales": [1.0] * 40, "rotations_deg": [0.0] * 40}
    message = complaint(params_file(yaml.safe_dump({"swaps": keys})))
    assert "make 1600 versions of each reference" in message


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"levels": 3, "bands": [9, 5]}, "bands has 2 counts for levels = 3"),
        ({"levels": 2, "bands": [5, 9]}, "bands must fall from L1 on; got [5, 9]"),
        ({"levels": 2, "bands": [5, 5]}, "bands must fall from L1 on; got [5, 5]"),
        ({"levels": 2, "bands": [5, -1]}, "bands are counts of matches, so not negative"),
        ({"crop_px": 90}, "crop_px must be a multiple of 4, the scale; 90 is not"),
        ({"crop_px": 160, "long_side_px": 120}, "crop_px is above long_side_px"),
    ],
)
def test_build_keys_that_do_not_fit_each_other(params_file, keys, why):
    message = complaint(params_file(yaml.safe_dump({"build": keys})))
    assert message.startswith(f"build: {why}")


def test_demo_range_the_wrong_way_round(params_file):
    message = complaint(params_file("demo_albums: {photos_min: 9, photos_max: 3}"))
    assert message == "demo_albums: photos_min is above photos_max"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: {steps: 3}", "train.steps is now train.srntt.steps: below train, each recipe"),
        ("train: {srntt: {}, variant: srntt}", "train.variant is now train.srntt.variant"),
        ("upscaler: {steps: 3}", "the section upscaler is now train.sisr"),
        ("train: {xyzzy: {}}", f"train.xyzzy is not a parameter; known here: {', '.join(RECIPES)}"),
        ("train: {esdr: {}}", "train.esdr is not a parameter; did you mean train.edsr?"),
    ],
)
def test_files_of_before_the_recipes_are_told_where_a_key_is(params_file, text, told):
    assert complaint(params_file(text)).startswith(told)


def test_several_mistakes_are_told_at_once(params_file):
    message = complaint(params_file("build: {ratio: 2, levls: 4}\n"))
    assert "build.ratio" in message
    assert "build.levls" in message


def test_missing_file_is_named_beside_the_names_that_there_are(tmp_path):
    said = "no such params file; those that have a name are cufed, demo, laptop"
    assert complaint(tmp_path / "params.yaml") == said
    assert complaint(Path("labtop")) == said
    assert "too long" in complaint(Path("x" * 5000))


def test_a_name_means_a_packaged_file_unless_there_is_one_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_params(Path("demo")) == read_params(REPOSITORY / "params.yaml")
    Path("laptop").mkdir()  # such as a folder of results
    assert read_params(Path("laptop")) == read_params(REPOSITORY / "params" / "laptop.yaml")
    Path("cufed").write_text("build: {levels: 3, bands: [9, 5, 1]}")
    assert read_params(Path("cufed")).build.levels == 3


def test_folder_instead_of_a_file_is_named(tmp_path):
    assert complaint(tmp_path).startswith("cannot read the params file")


@pytest.mark.parametrize("text", ["build: [1\n", "build:\n\tratio: 1\n", "a: b: c\n"])
def test_what_is_not_yaml_is_said_to_be_so(params_file, text):
    assert complaint(params_file(text)).startswith("not YAML: ")


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"\x89PNG\r\n", b"build: \0"])
def test_binary_file_is_refused(params_file, text):
    complaint(params_file(text))


@pytest.mark.parametrize("text", ["- build\n", "build\n", "42\n", "1: 2\n"])
def test_yaml_that_is_no_params_file_is_refused(params_file, text):
    complaint(params_file(text))


@settings(deadline=None, max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS) | st.integers(),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_any_content_gives_params_or_one_line(content):
    try:
        validate(Params, content, "params.yaml")
    except InputError as error:
        message = str(error)
    else:
        return
    assert message.startswith("params.yaml: ")
    assert "\n" not in message


# Descriptions and derived values


@pytest.mark.parametrize(
    ("section", "key"),
    [(name, key) for name, section in SECTIONS.items() for key in section.model_fields],
)
def test_every_parameter_is_described(section, key):
    description = SECTIONS[section].model_fields[key].description
    assert description
    assert description.endswith((".", ").", ";"))


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_says_what_it_is_for(name):
    assert f"`{name}`" in SECTIONS[name].__doc__


def test_default_bands_halve_from_160():
    assert BuildParams().level_bands == (160, 80, 40, 20)
    assert BuildParams(levels=5).level_bands == (160, 80, 40, 20, 10)


@pytest.mark.parametrize("levels", range(1, 10))
def test_default_bands_fall_for_any_number_of_levels(levels):
    bands = BuildParams(levels=levels).level_bands
    assert len(bands) == levels
    assert all(high > low >= 0 for high, low in itertools.pairwise(bands))


def test_given_bands_are_the_bands():
    assert BuildParams(levels=2, bands=(50, 0)).level_bands == (50, 0)


# The cluster's file


def cluster_complaint(path):
    with pytest.raises(InputError) as error:
        read_cluster_config(path)
    return str(error.value).removeprefix(f"{path}: ")


def test_cluster_config_is_read_and_has_defaults(params_file):
    assert read_cluster_config(params_file("")) == ClusterConfig()
    text = "jobs: 16\ncores: 8\nprocesses: 2\nwalltime: 1-00:00:00\nmemory: 64 GiB\n"
    config = read_cluster_config(params_file(text + "job_extra_directives: [--gres=gpu:1]\n"))
    assert (config.jobs, config.cores, config.workers_per_job) == (16, 8, 2)
    assert config.job_extra_directives == ("--gres=gpu:1",)
    assert ClusterConfig(cores=8).workers_per_job == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walltme: 10", "walltme is not a parameter; did you mean walltime?"),
        ("walltime: 10:00:00", "walltime: put it in quotes: YAML reads 10:00:00 as a number"),
        ("walltime: a day", "walltime: "),
        ("memory: 8", "memory: "),
        ("memory: much", "memory: "),
        ("jobs: 0", "jobs: "),
        ("cores: 2\nprocesses: 4", "processes is 4, above cores, 2"),
        ("- jobs", ""),
        ("jobs: [", "not YAML: "),
    ],
)
def test_mistake_in_the_cluster_config_is_one_line(params_file, text, message):
    complaint = cluster_complaint(params_file(text))
    assert complaint.startswith(message)
    assert "\n" not in complaint


def test_cluster_config_that_is_missing(tmp_path):
    assert "cannot read the cluster config" in cluster_complaint(tmp_path / "none.yaml")


def test_default_is_equal_to_the_same_value_given():
    """100 and 100.0 are equal, but not what is written and hashed of them."""
    for section in SECTIONS.values():
        default = section()
        given = section.model_validate(default.model_dump())
        assert repr(given) == repr(default)


def test_what_swaps_are_matched_by_leaves_out_where_networks_lie_and_what_is_not_used() -> None:
    plain = {
        "scales": [1.0, 0.7, 1.4],
        "rotations_deg": [0.0, -20.0, 20.0],
        "shifts_px": [0],
        "precision": "float32",
    }
    refined = {**plain, "refine": "relu3_1", "refine_best": 1}
    assert SwapParams().matched_by == refined
    assert SwapParams(upscaler="sisr.safetensors", encoder_weights="a.pth").matched_by == refined
    on_grid = {"refine": "none", "refine_best": 2}  # or shards made before would be made again
    assert SwapParams(**on_grid).matched_by == plain
    assert SwapParams(**on_grid, references="lr").matched_by == {**plain, "references": "lr"}
    flow = {"matching": "flow-raft", "references": "lr"}
    rest = {"scales": (0.5,), "flow_weights": "raft.pth"}
    assert SwapParams(**flow, **rest).matched_by == {**flow, "refine": "relu3_1"}
    assert SwapParams(**flow, **rest, refine="none").matched_by == flow
    learnt = SwapParams(matching="learnt", matching_checkpoint="ttsr")  # its hash tells it
    assert learnt.matched_by == {**refined, "matching": "learnt"}


@pytest.mark.parametrize(
    ("keys", "networks"),
    [
        ({}, set()),
        ({"upscaler": "sisr.safetensors"}, {"upscaler"}),
        ({"matching": "flow-dis", "flow_weights": "raft.pth"}, set()),
        ({"matching": "flow-raft"}, {"flow_weights"}),
        ({"matching": "learnt", "matching_checkpoint": "ttsr"}, {"matching_checkpoint"}),
        ({"matching": "flow-raft", "upscaler": "sisr"}, {"flow_weights", "upscaler"}),
    ],
)
def test_networks_in_use(keys: dict[str, str], networks: set[str]) -> None:
    assert SwapParams(**keys).networks == networks


def test_override_is_validated_and_leaves_the_rest() -> None:
    section = SwapParams(scales=(1.0,), pairs_per_shard=7)
    assert override(section, []) == section
    found = override(section, ["matching=flow-dis", "rotations_deg=0,-5.5", "encoder_seed=3"])
    assert found.matching == "flow-dis"
    assert found.rotations_deg == (0, -5.5)
    assert (found.encoder_seed, found.scales, found.pairs_per_shard) == (3, (1.0,), 7)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("matching", r"^matching: expected KEY=VALUE$"),
        ("match=patches", r"^match=patches: match is not a parameter; did you mean matching\?$"),
        ("encoder_seed=x", r"^encoder_seed=x: encoder_seed: "),
    ],
)
def test_override_refuses_in_one_line(given: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        override(SwapParams(), [given])
