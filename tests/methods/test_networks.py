"""Networks on images as methods: with LR alone, and with raw references."""

import pickle

import numpy as np
import pytest
import torch

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.methods import CannotRun, Scene, network_method, networks
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.models import registry
from srntt_pipeline.models.tiling import Sight
from tests.methods.methods_of_ours import MeanColour
from tests.tiny_networks import save_as

SISR = {"channels": 4, "blocks": 1}


@pytest.fixture
def sisr(tmp_path):
    return save_as(tmp_path / "sisr.safetensors", "sisr", SISR)


@pytest.fixture
def mean_colour(tmp_path, monkeypatch):
    """Call with `one` or `many`: a network on so many raw references."""

    def save(references="many", share=0.5):
        monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
        register = registry.register("mean", inputs="images", row="Mean", references=references)
        register(MeanColour)
        return save_as(tmp_path / "mean.safetensors", "mean", {"share": share})

    return save


def test_a_network_on_lr_is_run_as_it_is(sisr, photograph):
    method, lr = of_checkpoint(sisr), photograph[100:120, 130:161]
    assert (method.name, method.takes("none"), method.takes("all")) == ("SISR", True, False)
    values = load_checkpoint(sisr).model(torch.from_numpy(lr / np.float32(255)).movedim(2, 0)[None])
    expected = np.rint(values[0].clamp(0, 1).movedim(0, 2).numpy() * 255).astype(np.uint8)
    assert np.array_equal(method.super_resolve(Scene(lr), "none"), expected)
    assert method.parameters() == sum(w.numel() for w in load_checkpoint(sisr).model.parameters())


def test_in_little_memory_it_is_run_in_tiles(sisr, photograph, monkeypatch):
    method, lr = of_checkpoint(sisr), photograph[100:160, 130:230]
    whole = method.super_resolve(Scene(lr), "none")
    shapes = []
    hook = networks._load(sisr, "cpu")[1].model.register_forward_pre_hook(
        lambda _, given: shapes.append(tuple(given[0].shape[2:]))
    )
    plan = networks._load(sisr, "cpu")[1].plan(lr.shape[:2], [], 0)
    monkeypatch.setattr(networks, "SR_MEMORY", plan.least)
    tiled = method.super_resolve(Scene(lr), "none")
    hook.remove()
    assert max(max(shape) for shape in shapes) < 100
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    with pytest.raises(InputError, match=r"--max-memory: too little for LR of 100×60 px"):
        method.super_resolve(Scene(lr, max_memory=plan.least - 1), "none")


@pytest.mark.parametrize(("references", "all_at_once"), [("one", False), ("many", True)])
def test_a_network_on_raw_references_gets_them_whole(
    mean_colour, photograph, references, all_at_once
):
    method = of_checkpoint(mean_colour(references))
    expected = {
        "none": False, "best": False, "L1": True, "HR (warp)": True, "stitched-masa": True,
        "all": all_at_once, "paper-all": all_at_once,
    }  # fmt: skip
    assert {name: method.takes(name) for name in expected} == expected
    lr, refs = photograph[100:110, 130:142], {"L1": photograph[:9, :50], "L2": photograph[:30, :7]}
    sr = method.super_resolve(Scene(lr, refs), "L1")
    colour = refs["L1"].reshape(-1, 3).mean(0)
    assert np.abs(sr - (lr.repeat(4, 0).repeat(4, 1) / 2 + colour / 2)).max() < 0.51


def test_a_network_that_gives_no_numbers_is_told(mean_colour, photograph):
    method = of_checkpoint(mean_colour(share=0.5))
    networks._load(method.checkpoint, "cpu")[1].model.share.fill_(torch.nan)
    with pytest.raises(CannotRun, match="values that are no numbers"):
        method.super_resolve(Scene(photograph[:5, :5], {"L1": photograph[:9, :9]}), "L1")
    networks._load_once.cache_clear()


def test_a_checkpoint_trained_anew_is_another(sisr):
    before = of_checkpoint(sisr)
    save_as(sisr, "sisr", SISR, seed=1)
    after = of_checkpoint(sisr)
    scene = Scene(np.zeros((3, 3, 3), np.uint8))
    assert before.identity(scene, "none") != after.identity(scene, "none")


def test_a_network_at_hand_is_a_method(photograph):
    """In a process of its own too, as a copy of what it was."""
    network = MeanColour(0.25)
    method = network_method("Mine", network, inputs="images", references="many")
    with torch.no_grad():
        network.share.fill_(1)
    lr, refs = photograph[100:110, 130:142], {"L1": photograph[:9, :50], "L2": photograph[:30, :7]}
    colour = sum(ref.reshape(-1, 3).mean(0) for ref in refs.values()) / 2
    expected = lr.repeat(4, 0).repeat(4, 1) * 0.75 + colour * 0.25
    for one in (method, pickle.loads(pickle.dumps(method))):
        assert np.abs(one.super_resolve(Scene(lr, refs), "all") - expected).max() < 0.51
        assert one.parameters() == 1
    other = network_method("Mine", network, inputs="images", references="many")
    scene = Scene(lr, refs)
    assert method.identity(scene, "all") != other.identity(scene, "all")


class Choosing(MeanColour):
    """It says how far the mean colours of LR and reference are from each other."""

    def misfit(self, lr, refs):
        (ref,) = refs
        return (lr.mean((2, 3)) - ref.mean((2, 3))).square().mean(1)


def test_a_network_that_tells_how_ill_references_fit_chooses_one(photograph):
    lr = photograph[100:110, 130:142]
    means = {"L1": 200, "L2": int(lr.mean()) + 10, "L3": int(lr.mean()) - 3, "L4": 10}
    refs = {name: np.full((9, 11, 3), value, np.uint8) for name, value in means.items()}
    method = network_method("Mine", Choosing(0.5), inputs="images")
    assert method.takes("best")
    assert not method.takes("all")
    one, best = (method.super_resolve(Scene(lr, refs), name) for name in ("L3", "best"))
    assert np.array_equal(one, best)
    scene = Scene(lr, refs)
    method.prepare(scene, "best")
    assert not network_method("Other", MeanColour(), inputs="images").takes("best")


def test_memory_of_references_is_counted_beside_that_of_lr(photograph):
    """It was counted as growing with LR: gigabytes for this one."""
    loaded = networks.Loaded(MeanColour())
    small, large = (
        loaded.plan((500, 500), [np.zeros((side, side, 3), np.uint8)], 1 << 32).least
        for side in (40, 1000)
    )
    assert 12 * 1000**2 < large - small < 8 * 12 * 1000**2


@pytest.mark.parametrize(("of_references", "side"), [(0, 8), (3 << 30, 125)])
def test_tiles_that_save_next_to_nothing_are_not_made(of_references, side, monkeypatch):
    """Each would run the references again: of an image of 375×500 px there were 192 such tiles."""
    monkeypatch.setattr(networks, "bytes_beside", lambda model, run: of_references)
    monkeypatch.setattr(networks, "bytes_per_pixel", lambda model, run: 1 << 17)
    monkeypatch.setattr(networks, "sight", lambda model, run: Sight(34))
    image = np.zeros((64, 64, 3), np.uint8)
    plan = networks.Loaded(MeanColour()).plan((93, 125), [image], 1 << 30)
    assert plan.side == side
