"""SelfEx as a method."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import srntt_pipeline
from srntt_pipeline.degradation import Making
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.paper import paper_rows
from srntt_pipeline.methods import Scene
from srntt_pipeline.methods.method import NONE
from srntt_pipeline.methods.sources import read_methods
from srntt_pipeline.selfex.enlarging import enlarge

TARGET = "srntt_pipeline.methods.selfex:SelfEx"


@pytest.fixture
def method():
    return read_methods([TARGET])[0]


def test_it_fills_a_row_of_table_1(method):
    assert method.name in {row.method for row in paper_rows() if row.table == "1"}
    assert (method.takes(NONE), method.takes("all"), method.parameters()) == (True, False, None)


def test_its_short_name_is_an_entry_point():
    project = Path(srntt_pipeline.__file__).parents[1] / "pyproject.toml"
    if not project.is_file():
        pytest.skip("needs the repository")
    section = project.read_text(encoding="utf-8").split('"srntt_pipeline.methods"]')[1]
    assert re.search(rf'^selfex = "{TARGET}"$', section, re.MULTILINE)


def test_its_borders_are_those_that_lr_was_made_with(method, photograph):
    lr = photograph[100:110, 130:142]
    found = {}
    for kernel, border in (
        ("pillow", "cut"),
        ("matlab", "mirror"),
        ("matlab-replicate", "replicate"),
    ):
        scene = Scene(lr, making=Making(kernel, 4))
        found[method.identity(scene, NONE)] = sr = method.super_resolve(scene, NONE)
        assert np.array_equal(sr, enlarge(lr, border=border))
    assert len(found) == 3


def test_a_copy_in_another_process_is_the_same(method, photograph):
    scene = Scene(photograph[:8, :8])
    copy = pickle.loads(pickle.dumps(method))
    assert copy.identity(scene, NONE) == method.identity(scene, NONE)


def test_too_little_memory_is_told(method, photograph):
    least = method.least_memory((8, 8), (), "cpu")
    method.super_resolve(Scene(photograph[:8, :8], max_memory=least), NONE)
    with pytest.raises(InputError, match="LR of 8×8 px"):
        method.super_resolve(Scene(photograph[:8, :8], max_memory=least - 1), NONE)
