"""super-resolve takes any trained network: with LR alone, and with raw references."""

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.config import SuperResolveParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import to_image, to_tensor
from srntt_pipeline.methods import networks
from srntt_pipeline.methods.super_resolve import super_resolve
from srntt_pipeline.models import registry
from tests.methods.methods_of_ours import MeanColour
from tests.tiny_networks import save_as


@pytest.fixture
def files(tmp_path, photograph):
    """An LR image and two references."""
    for name, view in {
        "lr": photograph[100:120, 130:161], "a": photograph[:40, :50], "b": photograph[60:90, :70],
    }.items():  # fmt: skip
        Image.fromarray(view).save(tmp_path / f"{name}.png")
    return tmp_path


def run(files, checkpoint, *refs, **options):
    paths = [files / f"{ref}.png" for ref in refs]
    out = files / "sr.png"
    super_resolve(files / "lr.png", paths, checkpoint, out, SuperResolveParams(), **options)
    return np.asarray(Image.open(out))


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("sisr", {"channels": 4, "blocks": 1}),
        ("edsr", {"channels": 8, "blocks": 2}),
        ("srcnn", {"kernels": (3, 1, 3), "channels": (4, 3)}),
        ("scn", {"features": 5, "codes": 6}),
        ("lapsrn", {"channels": 4, "blocks": 1}),
        ("drcn", {"channels": 4, "depth": 2}),
        ("mdsr", {"channels": 4, "blocks": 1}),
        ("enet", {"channels": 4, "blocks": 1, "architecture": "released"}),
        ("enet-e", {"channels": 4, "blocks": 1}),
        ("srresnet", {"channels": 4, "blocks": 1}),
        ("srgan", {"channels": 4, "blocks": 1, "architecture": "released"}),
    ],
)
def test_a_network_without_references_gives_what_it_gives(files, model, sizes):
    checkpoint = save_as(files / "model" / f"{model}.safetensors", model, sizes)
    sr = run(files, checkpoint)
    lr = np.asarray(Image.open(files / "lr.png"))
    expected = to_image(load_checkpoint(checkpoint).model(to_tensor(lr)[None])[0])
    assert np.array_equal(sr, expected)
    with pytest.raises(InputError, match=r"takes no reference; leave out --ref"):
        run(files, checkpoint, "a")


def test_an_image_too_large_for_the_memory_is_run_in_tiles_or_refused(files, photograph):
    Image.fromarray(photograph[:180, :240]).save(files / "lr.png")
    checkpoint = save_as(files / "edsr.safetensors", "edsr", {"channels": 32, "blocks": 1})
    whole = run(files, checkpoint)
    loaded = networks._load(checkpoint, "cpu")[1]
    least, shapes = loaded.plan((180, 240), [], 0).least + (20 << 20), []
    hook = loaded.model.register_forward_pre_hook(
        lambda _, given: shapes.append(given[0].shape[2:])
    )
    tiled = run(files, checkpoint, max_memory=least)
    hook.remove()
    assert max(max(shape) for shape in shapes) < 240
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    with pytest.raises(InputError, match="--max-memory: too little"):
        run(files, checkpoint, max_memory=least - (60 << 20))


@pytest.mark.parametrize("references", ["one", "many"])
def test_a_network_on_raw_references_takes_them_as_it_can(files, monkeypatch, references):
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registry.register("mean", inputs="images", row="Mean", references=references)(MeanColour)
    checkpoint = save_as(files / "mean.safetensors", "mean", {"share": 0.5})
    lr, a, b = (np.asarray(Image.open(files / f"{name}.png")) for name in ("lr", "a", "b"))
    large = lr.repeat(4, 0).repeat(4, 1)
    colours = [image.reshape(-1, 3).mean(0) for image in (a, b)]
    assert np.abs(run(files, checkpoint, "a") - (large + colours[0]) / 2).max() < 0.51
    if references == "one":
        with pytest.raises(InputError, match="Mean takes one reference, not 2"):
            run(files, checkpoint, "a", "b")
        return
    expected = (large + (colours[0] + colours[1]) / 2) / 2
    assert np.abs(run(files, checkpoint, "a", "b") - expected).max() < 0.51
