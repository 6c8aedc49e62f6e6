"""What `--method` names: checkpoints, folders, classes, installed packages."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.methods import Scene
from srntt_pipeline.methods.sources import read_methods
from tests.methods.methods_of_ours import Nearest
from tests.tiny_networks import save_srntt

MODULE = """
import numpy as np
from srntt_pipeline.methods import Method

class Black(Method):
    name = "Black"

    def super_resolve(self, scene, reference):
        return np.zeros((4 * scene.lr.shape[0], 4 * scene.lr.shape[1], 3), np.uint8)

class Nameless(Method):
    pass

class NoMethod:
    pass

class Broken(Method):
    name = "Broken"

    def __init__(self):
        raise RuntimeError("two\\nlines")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the working folder, which is not on Python's path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "methods_here.py").write_text(MODULE)
    yield "methods_here"
    sys.modules.pop("methods_here", None)


def names(*sources):
    return [method.name for method in read_methods(sources)]


def test_a_class_of_the_working_folder_is_a_method(module):
    (method,) = read_methods([f"Night={module}:Black"])
    assert method.name == "Night"
    assert not method.super_resolve(Scene(np.ones((3, 4, 3), np.uint8)), "none").any()


def test_a_class_that_has_a_name_needs_no_other(module):
    assert names(f"{module}:Black") == ["Black"]


def test_an_instance_is_a_method():
    method = Nearest()
    assert read_methods([method]) == [method]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Night={}:White", "has no attribute"),
        ("Night={}.deeper:Black", "No module named"),
        ("Night={}:NoMethod", r"is no method; let it inherit srntt_pipeline\.methods\.Method"),
        ("Night={}:Broken", "RuntimeError: two lines"),
        ("{}:Nameless", "has no name; write NAME="),
        ("nothing-like-this", "neither a file nor a method"),
        ("Night=", "a name or what it names is missing"),
        ("Night=no/such/folder", "no such file or folder"),
        ("={}:Black", "a name or what it names is missing"),
    ],
)
def test_what_names_no_method_is_refused_in_a_line(module, source, words):
    with pytest.raises(InputError, match=words) as refusal:
        read_methods([source.format(module)])
    assert "\n" not in str(refusal.value)
    assert source.format(module).split("=")[0] in str(refusal.value)


def test_two_methods_of_one_name_are_refused(module):
    with pytest.raises(InputError, match="2 methods are called Night"):
        read_methods([f"Night={module}:Black", f"Night={module}:Black"])
    assert names(f"Night={module}:Black", f"Day={module}:Black") == ["Night", "Day"]


def test_a_folder_of_images_is_a_method_and_one_of_checkpoints_are_several(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "a.png")
    models = save_srntt(tmp_path / "models" / "a" / "srntt-l2.safetensors").parents[1]
    assert names(f"Theirs={images}", str(models)) == ["Theirs", "SRNTT-l2 (SISR)", "SRNTT-l2"]
    assert names(f"Mine={models}/a") == ["Mine"]
    with pytest.raises(InputError, match="no checkpoint in this folder"):
        read_methods([str(images)])


def test_a_checkpoint_stands_for_the_papers_sisr_unless_one_was_trained_for_it(tmp_path):
    path = save_srntt(tmp_path / "srntt-l2.safetensors")
    sisr, srntt = read_methods([path])
    assert (sisr.name, srntt.name) == ("SRNTT-l2 (SISR)", "SRNTT-l2")
    assert [m.takes("none") for m in (sisr, srntt)] == [True, False]
    assert [m.takes("all") for m in (sisr, srntt)] == [False, True]
    assert srntt == replace(sisr, name="SRNTT-l2", alone=False)
    trained = save_srntt(tmp_path / "other" / "x.safetensors", model="srntt-l2-sisr", seed=1)
    (alone,) = read_methods([trained])
    assert (alone.name, alone.takes("none"), alone.takes("LR")) == ("SRNTT-l2 (SISR)", True, False)
    assert names(path, trained) == ["SRNTT-l2", "SRNTT-l2 (SISR)"]
    assert names(save_srntt(tmp_path / "srntt.safetensors", model="srntt")) == ["SRNTT"]
