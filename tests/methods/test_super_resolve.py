import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from srntt_pipeline.colour import convert
from srntt_pipeline.config import SuperResolveParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.methods.restorer import Restorer
from srntt_pipeline.methods.super_resolve import super_resolve
from srntt_pipeline.models import build_model
from srntt_pipeline.network_files import NetworkFiles
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.encoder import load_encoder

CPU = torch.device("cpu")


def save_tiny(path, encoder="random", seed=0, zero_tail=False, **swap_params):
    """Save an SRNTT with random weights, as if trained with the maps of this encoder."""
    sizes = {"channels": 4, "blocks": (1, 1, 1, 1), "bicubic_skip": True}
    torch.manual_seed(seed)
    network = build_model("srntt-l2", sizes)
    if zero_tail:
        for parameter in network.tail.parameters():
            torch.nn.init.zeros_(parameter)
    given = {"encoder_weights": encoder, "scales": (1.0,), "rotations_deg": (0.0,), **swap_params}
    info = CheckpointInfo(
        model="srntt-l2",
        sizes=sizes,
        step=0,
        encoder=load_encoder(encoder, 0, CPU).identity.as_dict(),
        swaps=SwapParams(**given),
        train=SrnttRecipe(),
        dataset="",
        metrics={},
    )
    save_checkpoint(path, network, info)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "srntt-l2.safetensors")


@pytest.fixture(scope="module")
def images(tmp_path_factory, photograph):
    """An LR image of 20×14 px and references of other sizes, as files."""
    folder = tmp_path_factory.mktemp("images")
    view = Image.fromarray(photograph[20:132, 160:320])
    view.resize((20, 14), Image.Resampling.BICUBIC).save(folder / "lr.png")
    view.crop((10, 6, 81, 60)).save(folder / "ref.png")
    view.rotate(90, expand=True).save(folder / "other ref.jpg")
    return folder


@pytest.fixture
def restore(checkpoint, images, tmp_path):
    """Call `super_resolve` with what a test does not name left as it should be."""

    def run(lr="lr.png", refs=("ref.png",), out=None, given=checkpoint, side=0, **options):
        out = out or tmp_path / "sr.png"
        params = SuperResolveParams(reference_long_side_px=side)
        paths = [images / ref for ref in refs]
        super_resolve(images / lr, paths, given, out, params, device="cpu", **options)
        return out

    return run


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def one_line(refusal):
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("refs", [(), ("ref.png",), ("ref.png", "other ref.jpg"), ("lr.png",)])
def test_sr_is_a_png_of_four_times_the_size(restore, refs):
    sr = Image.open(restore(refs=refs))
    assert (sr.format, sr.mode, sr.size) == ("PNG", "RGB", (80, 56))


@pytest.mark.parametrize("size", [(3, 3), (3, 17), (5, 4)])
def test_even_the_smallest_images_are_restored(restore, images, tmp_path, size):
    small = tmp_path / "small.png"
    Image.open(images / "lr.png").resize(size).save(small)
    for refs in ((), ("ref.png",)):
        assert Image.open(restore(lr=small, refs=refs)).size == (4 * size[0], 4 * size[1])


def test_the_same_input_gives_the_same_bytes(restore, tmp_path):
    refs = "ref.png", "other ref.jpg"
    first = restore(refs=refs, out=tmp_path / "first.png")
    again = restore(refs=refs, out=tmp_path / "new folder" / "again.png")
    assert first.read_bytes() == again.read_bytes()


def test_references_are_used(restore, tmp_path):
    outputs = {
        restore(refs=refs, out=tmp_path / f"{len(refs)}.png").read_bytes()
        for refs in ((), ("ref.png",), ("ref.png", "other ref.jpg"))
    }
    assert len(outputs) == 3


def test_without_references_lr_is_its_own(restore, tmp_path):
    alone = restore(refs=(), out=tmp_path / "alone.png")
    assert alone.read_bytes() == restore(refs=("lr.png",)).read_bytes()


def test_a_silent_network_with_bicubic_skip_gives_pillows_bicubic(restore, images, tmp_path):
    silent = save_tiny(tmp_path / "silent.safetensors", zero_tail=True)
    sr = pixels(restore(given=silent, refs=("ref.png", "other ref.jpg")))
    for channel, values in enumerate(Image.open(images / "lr.png").split()):
        # In floating point: Pillow's 8-bit resizing rounds and clips between its two passes.
        expected = values.convert("F").resize((80, 56), Image.Resampling.BICUBIC)
        assert np.abs(sr[..., channel] - np.clip(expected, 0, 255)).max() < 0.51


def test_augmented_references_of_the_checkpoint_are_matched(checkpoint, images, tmp_path):
    path = save_tiny(tmp_path / "more.safetensors", scales=(1.0, 0.7), rotations_deg=(0.0, 20.0))
    lr, ref = pixels(images / "lr.png"), pixels(images / "ref.png")
    plain, augmented = (
        Restorer(load_checkpoint(given), CPU).match(lr, [ref]) for given in (checkpoint, path)
    )
    assert len(plain.shapes) == 1
    assert len(augmented.shapes) == 4
    # To the pixel a place of another version can be the better one on the grid alone.
    assert (augmented.score >= plain.score).float().mean() > 0.8
    assert (augmented.score > plain.score).any()


def test_references_are_shrunk_to_the_side_asked_for(restore, images, tmp_path):
    """The default is the long side of SR; a larger reference is no different from a shrunk one."""
    tall = Image.open(images / "other ref.jpg")
    assert tall.size == (112, 160)
    for side, height in ((0, 80), (40, 40)):
        shrunk = tmp_path / f"{height}.png"
        width = round(112 * height / 160)
        tall.resize((width, height), Image.Resampling.LANCZOS).save(shrunk)
        given = restore(refs=("other ref.jpg",), side=side, out=tmp_path / "a.png")
        assert given.read_bytes() == restore(refs=(shrunk,), side=side).read_bytes()


def test_correspondences_of_single_references_merge_to_that_of_all(checkpoint, images):
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    lr, *refs = (pixels(images / name) for name in ("lr.png", "ref.png", "other ref.jpg", "lr.png"))
    together = restorer.match(lr, refs)
    first, second, third = (restorer.match(lr, [ref]) for ref in refs)
    merged = first + second + third
    assert merged.shapes == together.shapes
    assert torch.equal(merged.index, together.index)
    assert torch.equal(merged.score, together.score)
    assert torch.equal(merged.cosine, together.cosine)


def alpha(path, view):
    view.putalpha(200)
    view.save(path)


def tiny(path, view):
    view.resize((2, 11)).save(path)


def truncated(path, view):
    view.save(path)
    path.write_bytes(path.read_bytes()[:-200])


def text(path, view):
    path.write_text("no image at all\n")


def empty(path, view):
    path.touch()


def missing(path, view):
    pass


@pytest.mark.parametrize("role", ["lr", "ref"])
@pytest.mark.parametrize("make", [alpha, tiny, truncated, text, empty, missing])
def test_an_unusable_image_is_refused_by_name(restore, images, tmp_path, role, make):
    path = tmp_path / "bad image.png"
    make(path, Image.open(images / "ref.png"))
    with pytest.raises(InputError, match=r"bad image\.png: ") as refusal:
        restore(**({"lr": path} if role == "lr" else {"refs": ("ref.png", path)}))
    assert one_line(refusal)
    assert not (tmp_path / "sr.png").exists()


@pytest.mark.parametrize("role", ["lr", "ref"])
def test_grey_images_and_opaque_alpha_are_taken(restore, images, tmp_path, role):
    view = Image.open(images / ("lr.png" if role == "lr" else "ref.png"))
    made = []
    for name, image in {"g": view.convert("L"), "rgb": view.convert("L").convert("RGB")}.items():
        for mode in ("", "A"):
            path = tmp_path / f"{name}{mode}.png"
            image.convert(image.mode + mode).save(path)
            given = {"lr": path} if role == "lr" else {"refs": (path,)}
            made.append(restore(**given, out=tmp_path / "out.png").read_bytes())
    assert made == [made[0]] * 4


def test_the_profile_of_lr_is_that_of_sr_whose_pixels_are_not_converted(
    restore, images, tmp_path, other_profile
):
    plain = restore(out=tmp_path / "plain.png", refs=())
    Image.open(images / "lr.png").save(tmp_path / "tagged.png", icc_profile=other_profile)
    tagged = restore(lr=tmp_path / "tagged.png", out=tmp_path / "sr.png", refs=())
    np.testing.assert_array_equal(pixels(tagged), pixels(plain))
    assert Image.open(tagged).info["icc_profile"] == other_profile
    assert "icc_profile" not in Image.open(plain).info


def test_references_are_converted_to_the_profile_of_lr(restore, images, tmp_path, other_profile):
    view = Image.open(images / "ref.png")
    view.save(tmp_path / "tagged.png", icc_profile=other_profile)
    converted = convert(np.asarray(view), other_profile, None)
    assert (converted != np.asarray(view)).any()
    Image.fromarray(converted).save(tmp_path / "converted.png")
    expected = restore(refs=(tmp_path / "converted.png",), out=tmp_path / "a.png").read_bytes()
    assert restore(refs=(tmp_path / "tagged.png",), out=tmp_path / "b.png").read_bytes() == expected


@pytest.mark.parametrize("role", ["lr", "ref"])
def test_a_broken_profile_is_told_and_not_used(restore, images, tmp_path, role, caplog):
    name = "lr.png" if role == "lr" else "ref.png"
    Image.open(images / name).save(tmp_path / "broken.png", icc_profile=b"no profile" * 20)
    expected = restore(out=tmp_path / "a.png").read_bytes()
    given = (
        {"lr": tmp_path / "broken.png"} if role == "lr" else {"refs": (tmp_path / "broken.png",)}
    )
    assert restore(**given, out=tmp_path / "b.png").read_bytes() == expected
    assert any("broken.png: its colour profile is not used" in line for line in caplog.messages)


def test_a_reference_of_twelve_px_is_enough_and_of_eleven_is_not(restore, images, tmp_path):
    ref = Image.open(images / "ref.png")
    ref.resize((12, 30)).save(tmp_path / "12.png")
    ref.resize((11, 30)).save(tmp_path / "11.png")
    restore(refs=(tmp_path / "12.png",))
    with pytest.raises(InputError, match=r"11\.png: too small: 11×30 px"):
        restore(refs=(tmp_path / "11.png",))


def test_memory_too_little_for_any_tile_is_refused_with_what_is_needed(restore, tmp_path):
    with pytest.raises(InputError, match=r"--max-memory: .* needs [\d.]+ GiB") as refusal:
        restore(max_memory=10**8)
    needed = float(one_line(refusal).split()[-2])
    assert restore(max_memory=int(needed * 2**30)).exists()


def test_an_image_too_large_for_the_memory_is_refused_before_any_is_decoded(
    restore, images, tmp_path, monkeypatch
):
    large = tmp_path / "large.png"
    Image.new("RGB", (3000, 2000)).save(large)
    monkeypatch.setattr("srntt_pipeline.methods.super_resolve.read_whole", None)
    for given in ({"lr": large}, {"lr": large, "refs": (large,)}):
        with pytest.raises(
            InputError, match=r"--max-memory: .*large\.png, 3000×2000 px"
        ) as refusal:
            restore(**given, max_memory=3 << 29)
        assert 1.6 < float(one_line(refusal).split()[-2]) < 3


def test_without_a_bound_there_is_memory_enough(checkpoint, images):
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    lr, ref = (pixels(images / name) for name in ("lr.png", "ref.png"))
    restorer.least_memory = lambda lr, refs: 5 << 30
    with pytest.raises(InputError, match="5 GiB"):
        restorer.super_resolve(lr, [ref], max_memory=4 << 30)
    restorer.super_resolve(lr, [ref])


# A reference of 64 megapixels, for an SR image of 0.01: it is decoded and shrunk.
_LARGE = """
import sys
from pathlib import Path
from srntt_pipeline.config import SuperResolveParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.methods.super_resolve import super_resolve
folder = Path(sys.argv[1])
try:
    super_resolve(
        folder / "lr.png", [folder / "ref.jpg"], folder / "tiny.safetensors", folder / "sr.png",
        SuperResolveParams(), device="cpu", max_memory=int(float(sys.argv[2]) * 2**30),
    )
except InputError as error:
    print(error)
else:
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) / 2**20 for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_process_stays_below_the_bound_or_names_one_that_it_stays_below(tmp_path, photograph):
    save_tiny(tmp_path / "tiny.safetensors")
    view = Image.fromarray(photograph)
    view.resize((32, 24)).save(tmp_path / "lr.png")
    large = view.resize((9200, 7000), Image.Resampling.NEAREST)
    large.save(tmp_path / "ref.jpg", progressive=True)

    def run(gib):
        return subprocess.run(
            [sys.executable, "-c", _LARGE, str(tmp_path), gib],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    refused = run("1.5")
    assert "--max-memory: too little for" in refused
    assert "ref.jpg, 9200×7000 px" in refused
    least = refused.split()[-2]
    assert float(run(least)) < float(least)


@pytest.mark.parametrize("name", ["sr.jpg", "sr", "sr.png.txt"])
def test_an_output_that_is_no_png_is_refused(restore, tmp_path, name):
    with pytest.raises(InputError, match=r"\.png"):
        restore(out=tmp_path / name)


def save_encoder(path, seed=0):
    state = load_encoder("random", seed, CPU).features.state_dict()
    torch.save({f"features.{key}": value for key, value in state.items()}, path)
    return str(path)


def test_another_encoder_than_that_of_training_is_refused(restore, tmp_path):
    other = save_encoder(tmp_path / "other.pth", seed=1)
    with pytest.raises(InputError, match="--encoder-weights") as refusal:
        restore(files=NetworkFiles(encoder_weights=other))
    assert "random, seed 0" in one_line(refusal)
    assert "other.pth" in one_line(refusal)


def test_a_checkpoint_with_another_kind_of_encoder_is_refused(restore, tmp_path):
    given = save_tiny(tmp_path / "model.safetensors")
    described = json.loads(given.with_suffix(".json").read_text())
    described["encoder"] = {"name": "AlexNet", "layers": "2"}
    given.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"model\.json"):
        restore(given=given)


def test_an_encoder_file_that_moved_is_named_anew(restore, tmp_path):
    here, gone = save_encoder(tmp_path / "here.pth"), str(tmp_path / "gone.pth")
    given = save_tiny(tmp_path / "moved.safetensors", encoder=here, encoder_weights=gone)
    with pytest.raises(InputError, match=r"--encoder-weights .*gone\.pth: no such file") as refusal:
        restore(given=given)
    assert one_line(refusal)
    assert Image.open(restore(given=given, files=NetworkFiles(encoder_weights=here))).size == (
        80,
        56,
    )


def test_a_checkpoint_that_was_trained_anew_is_read_anew(restore, tmp_path):
    given = save_tiny(tmp_path / "model.safetensors", seed=1)
    before = restore(given=given, out=tmp_path / "before.png").read_bytes()
    save_tiny(given, seed=2)
    after = restore(given=given, out=tmp_path / "after.png").read_bytes()
    assert after != before


def test_heic_is_taken_as_lr_and_as_reference(restore, images, tmp_path):
    heif = pytest.importorskip("pillow_heif")
    for name in ("lr", "ref"):
        heif.from_pillow(Image.open(images / f"{name}.png").convert("RGB")).save(
            tmp_path / f"{name}.heic", quality=100
        )
    given = tmp_path / "lr.heic", [tmp_path / "ref.heic"]
    sr = pixels(restore(*given))
    height, width = pixels(images / "lr.png").shape[:2]
    assert sr.shape == (4 * height, 4 * width, 3)
    # References are shrunk to SR's size, which LR's header tells.
    np.testing.assert_array_equal(sr, pixels(restore(*given, side=4 * max(height, width))))


def test_matches_in_tf32_are_in_float32_where_there_is_none(restore, images, tmp_path):
    """Neither this command nor evaluate has an option for it: it was refused."""
    tf32 = save_tiny(tmp_path / "srntt-l2.safetensors", precision="tf32")
    out = restore(out=tmp_path / "a.png", given=tf32)
    assert np.array_equal(pixels(out), pixels(restore(out=tmp_path / "b.png")))
    told = of_checkpoint(tf32).notes("cpu")
    assert "trained with matches in tf32" in told[-1]
