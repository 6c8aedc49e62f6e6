import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from srntt_pipeline.degradation import Making, bicubic, kernel_of, make_hr, make_lr
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.paths import image_path
from srntt_pipeline.evaluation.protocols import (
    PROTOCOLS,
    get_protocol,
    get_protocols,
    of_given_lr,
)
from srntt_pipeline.evaluation.published import published_rows

# What each protocol promises, written down anew: channel, border, SSIM window.
EXPECTED = {
    "luma": ("luma", 4, "gaussian"),
    "paper-urban100": ("luma", 4, "uniform"),
    "rgb": ("rgb", 4, "gaussian"),
    "luma-full": ("luma", 0, "gaussian"),
    "rgb-full": ("rgb", 0, "gaussian"),
    "matlab": ("luma", 4, "gaussian"),
    "matlab-replicate": ("luma", 4, "gaussian"),
    "luma-all": ("luma", 4, "gaussian"),
    "luma-stitched": ("luma", 4, "gaussian"),
    "luma-best": ("luma", 4, "gaussian"),
    "luma-best-psnr": ("luma", 4, "gaussian"),
    "luma-full-all": ("luma", 0, "gaussian"),
    "luma-full-stitched": ("luma", 0, "gaussian"),
    "luma-full-stitched-masa": ("luma", 0, "gaussian"),
    "luma-random": ("luma", 4, "gaussian"),
    "luma-full-random": ("luma", 0, "gaussian"),
}
# Those that make LR by MATLAB's imresize and round luma to 8 bits.
MATLAB = {"matlab", "matlab-replicate"}
# Those that measure one choice of references, not each.
ONE_REFERENCE = {
    "luma-all": ["all", "paper-all"],
    "luma-stitched": ["stitched"],
    "luma-best": ["best"],
    "luma-best-psnr": ["best-psnr"],
    "luma-full-all": ["all", "paper-all"],
    "luma-full-stitched": ["stitched"],
    "luma-full-stitched-masa": ["stitched-masa"],
    "luma-random": ["random"],
    "luma-full-random": ["random"],
}
# The papers that a protocol's text names as measured so.
PAPERS = {
    "luma": {"C2-Matching", "AMSA", "DATSR"},
    "luma-full": {"TTSR", "MASA"},
    "luma-full-stitched": {"TTSR"},
    "luma-full-stitched-masa": {"MASA"},
    "matlab-replicate": {"SelfEx"},
}
EACH_PROTOCOL = pytest.mark.parametrize("name", EXPECTED)


def random_pair(seed, height=40, width=46, noise=20):
    rng = np.random.default_rng(seed)
    hr = rng.integers(0, 256, (height, width, 3), np.uint8)
    sr = np.clip(hr + rng.normal(0, noise, hr.shape), 0, 255).astype(np.uint8)
    return hr, sr


def real_pair(shared):
    """An Urban100 detail, and the same blurred by ↓4 ↑4."""
    image = Image.open(shared / "data" / "urban100" / "img_012.png").convert("RGB")
    hr = image.crop((300, 200, 460, 328))
    sr = hr.resize((40, 32), Image.Resampling.BICUBIC).resize(hr.size, Image.Resampling.BICUBIC)
    return np.asarray(hr), np.asarray(sr)


def bt601_luma(image):
    """ITU-R BT.601: Y' = 16 + 219 (0.299 R + 0.587 G + 0.114 B) for R, G, B in 0…1."""
    red, green, blue = (image[..., channel].astype(float) / 255 for channel in range(3))
    return 16 + 219 * (0.299 * red + 0.587 * green + 0.114 * blue)


def as_measured(image, name):
    channel, border, _ = EXPECTED[name]
    values = bt601_luma(image) if channel == "luma" else image.astype(float)
    if name in MATLAB:
        # In whole numbers: floats may put a half below itself, and MATLAB rounds halves up.
        sums = image.astype(np.int64) @ np.array([65481, 128553, 24966]) + 16 * 255_000
        values = ((sums + 127_500) // 255_000).astype(float)
    return values[border:-border, border:-border] if border else values


def by_scikit_image(hr, sr, name):
    true, test = as_measured(hr, name), as_measured(sr, name)
    options = {"data_range": 255, "channel_axis": 2 if true.ndim == 3 else None}
    if EXPECTED[name][2] == "gaussian":
        options |= {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = structural_similarity(true, test, **options)
    return peak_signal_noise_ratio(true, test, data_range=255), ssim


def gaussian_ssim_by_torchmetrics(hr, sr, name):
    true, test = (
        torch.from_numpy(np.atleast_3d(as_measured(image, name))).permute(2, 0, 1)[None]
        for image in (hr, sr)
    )
    _, values = structural_similarity_index_measure(
        test, true, sigma=1.5, data_range=255.0, return_full_image=True
    )
    return float(values[..., 5:-5, 5:-5].mean())  # only whole windows, as in the SSIM paper


def uniform_ssim_by_loop(true, test):
    """Wang et al. 2004 with 7×7 windows and sample (co)variances, one window after the other."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(true.shape[0] - 6):
        for column in range(true.shape[1] - 6):
            x = true[row : row + 7, column : column + 7].ravel()
            y = test[row : row + 7, column : column + 7].ravel()
            (xx, xy), (_, yy) = np.cov(x, y, ddof=1)
            mx, my = x.mean(), y.mean()
            values.append(
                (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (xx + yy + c2))
            )
    return np.mean(values)


def test_the_protocols_are_those_known():
    described = {
        name: (p.channel, p.border_px, p.ssim_window.split()[0]) for name, p in PROTOCOLS.items()
    }
    assert described == EXPECTED
    for name, protocol in PROTOCOLS.items():
        assert name == protocol.name
        assert protocol.meaning
        assert protocol.kernel == (name if name in MATLAB else "pillow")
        assert protocol.lr == "made"
        assert protocol.rounding == ("8-bit luma" if name in MATLAB else "8-bit RGB")
        assert protocol.crop_multiple == 4


def test_a_protocol_measures_the_references_that_it_names():
    references = (
        "none", "HR (warp)", "L1", "L5", "LR", "all", "paper-all", "stitched", "stitched-masa",
        "best", "best-psnr", "random",
    )  # fmt: skip
    for name, protocol in PROTOCOLS.items():
        needed = [reference for reference in references if protocol.needs(reference)]
        measured = [reference for reference in references if protocol.measures(reference)]
        if name in ONE_REFERENCE:
            assert measured == ["none", *ONE_REFERENCE[name]]
            levels = ["L1", "L5"] if name == "luma-best-psnr" else []
            assert needed == ["none", *levels, *ONE_REFERENCE[name]]
        else:
            assert measured == ["none", "HR (warp)", "L1", "L5", "LR", "all", "paper-all"]


def test_texts_name_the_papers_that_measured_so():
    """The same papers stand in `published.csv` beside the same protocols."""
    for name, papers in PAPERS.items():
        assert all(paper in PROTOCOLS[name].meaning for paper in papers)
    by_protocol = {}
    for row in published_rows():
        by_protocol.setdefault(row.protocol, set()).add(row.method)
    by_protocol.pop("")
    assert by_protocol == PAPERS


def test_a_protocol_on_lr_as_given_says_so_and_has_pictures_of_its_own():
    for name, protocol in PROTOCOLS.items():
        given = protocol.with_given_lr()
        assert given.making != protocol.making
        assert given.measures("none")
        assert given.columns["kernel"] == f"LR as given, enlarged by {protocol.columns['kernel']}"
        assert "LR as given" in given.words
        assert of_given_lr(given.columns)
        assert not of_given_lr(protocol.columns)
        paths = {
            image_path("Bicubic", "none", "001", one.making).parts[:2] for one in (protocol, given)
        }
        assert ("images", f"{protocol.kernel}-4-given") in paths, name


@EACH_PROTOCOL
def test_every_row_says_how_it_was_measured(name):
    columns = get_protocol(name).columns
    assert columns["protocol"] == name
    assert (columns["channel"], columns["border_px"]) == EXPECTED[name][:2]
    assert ("MATLAB" in columns["kernel"]) == (name in MATLAB)
    assert list(columns) == [
        "protocol", "channel", "border_px", "ssim_window", "kernel", "crop_multiple", "rounding",
        "references",
    ]  # fmt: skip


def test_luma_of_matlabs_protocol_is_that_of_its_rgb2ycbcr():
    """rgb2ycbcr(uint8(cat(3, 10, 200, 99))) has Y = 129; 129.08… before rounding."""
    grey = np.full((20, 20, 3), (10, 200, 99), np.uint8)
    other = np.full((20, 20, 3), (10, 200, 98), np.uint8)  # 128.98…: the same when rounded
    assert get_protocol("matlab").measure(grey, other)[0] == math.inf
    assert get_protocol("luma").measure(grey, other)[0] < 100


def test_a_list_of_protocols_holds_each_once_in_the_order_given():
    assert [p.name for p in get_protocols(["rgb", "luma", "rgb"])] == ["rgb", "luma"]
    with pytest.raises(InputError, match="paper-urban100"):
        get_protocols([])


def test_lr_and_bicubic_are_made_by_the_kernel_of_the_protocol(shared):
    photo = np.asarray(Image.open(shared / "data" / "urban100" / "img_012.png").convert("RGB"))
    photo = photo[:161, :203]
    made = {}
    for name in ("luma", "matlab", "matlab-replicate"):
        making = get_protocol(name).making
        hr = make_hr(photo, making)
        assert np.array_equal(hr, photo[:160, :200])
        lr = make_lr(hr, making)
        assert lr.shape == (40, 50, 3)
        assert kernel_of(lr, hr) == making.kernel
        made[name] = lr, bicubic(lr, making)
        assert made[name][1].shape == hr.shape
    assert kernel_of(255 - lr, hr) is None
    assert not np.array_equal(made["matlab"][0], made.pop("matlab-replicate")[0])
    for ours, matlabs in zip(*made.values(), strict=True):
        # Inside, the two kernels are one but for rounding; at the borders they differ.
        apart = np.abs(ours.astype(int) - matlabs)
        assert apart[8:-8, 8:-8].max() <= 4
        assert apart.max() > 0


def test_lanczos_makes_lr_alone(shared):
    photo = np.asarray(Image.open(shared / "data" / "urban100" / "img_012.png").convert("RGB"))
    hr, making = photo[:160, :200], Making("pillow-lanczos", 4)
    lr = make_lr(hr, making)
    assert np.array_equal(lr, Image.fromarray(hr).resize((50, 40), Image.Resampling.LANCZOS))
    assert kernel_of(lr, hr) == "pillow-lanczos"
    assert np.array_equal(bicubic(lr, making), bicubic(lr, Making("pillow", 4)))


@EACH_PROTOCOL
@settings(max_examples=10, deadline=None)
@example(seed=21493, height=25, width=29, noise=1.0)  # a pixel of luma 125.5 exactly
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(19, 48),
    width=st.integers(19, 48),
    noise=st.floats(1, 80),
)
def test_agrees_with_scikit_image_on_random_images(name, seed, height, width, noise):
    hr, sr = random_pair(seed, height, width, noise)
    assert get_protocol(name).measure(hr, sr) == pytest.approx(
        by_scikit_image(hr, sr, name), rel=1e-4
    )


@EACH_PROTOCOL
def test_agrees_with_scikit_image_on_a_photograph(name, shared):
    hr, sr = real_pair(shared)
    psnr, ssim = get_protocol(name).measure(hr, sr)
    expected_psnr, expected_ssim = by_scikit_image(hr, sr, name)
    assert psnr == pytest.approx(expected_psnr, abs=1e-4)
    assert ssim == pytest.approx(expected_ssim, abs=1e-6)


@pytest.mark.parametrize("name", [n for n, p in EXPECTED.items() if p[2] == "gaussian"])
def test_gaussian_ssim_agrees_with_torchmetrics(name, shared):
    for hr, sr in (random_pair(1), real_pair(shared)):
        _, ssim = get_protocol(name).measure(hr, sr)
        assert ssim == pytest.approx(gaussian_ssim_by_torchmetrics(hr, sr, name), abs=1e-5)


def test_uniform_ssim_agrees_with_a_loop_over_windows(shared):
    real_hr, real_sr = (image[:48, :56] for image in real_pair(shared))
    for hr, sr in (random_pair(2), (real_hr, real_sr)):
        expected = uniform_ssim_by_loop(*(as_measured(i, "paper-urban100") for i in (hr, sr)))
        _, ssim = get_protocol("paper-urban100").measure(hr, sr)
        assert ssim == pytest.approx(expected, abs=1e-6)


@EACH_PROTOCOL
def test_psnr_is_that_of_the_mean_squared_error(name):
    hr, sr = random_pair(3)
    error = np.mean((as_measured(hr, name) - as_measured(sr, name)) ** 2)
    psnr, _ = get_protocol(name).measure(hr, sr)
    assert psnr == pytest.approx(10 * math.log10(255**2 / error), abs=1e-4)


def test_luma_goes_from_16_to_235():
    black = np.zeros((20, 20, 3), np.uint8)
    psnr, _ = get_protocol("luma-full").measure(black, 255 - black)
    assert psnr == pytest.approx(20 * math.log10(255 / (235 - 16)))


@EACH_PROTOCOL
def test_equal_images_give_infinity_and_one(name, recwarn):
    hr, _ = random_pair(4)
    assert get_protocol(name).measure(hr, hr.copy()) == (math.inf, 1.0)
    assert not recwarn


@pytest.mark.parametrize("name", [n for n, p in EXPECTED.items() if p[1]])
def test_the_border_does_not_count(name):
    hr, _ = random_pair(5)
    sr = 255 - hr
    sr[4:-4, 4:-4] = hr[4:-4, 4:-4]
    assert get_protocol(name).measure(hr, sr) == (math.inf, 1.0)
    sr[4, 4] = 255 - hr[4, 4]
    assert get_protocol(name).measure(hr, sr)[0] < 60


@EACH_PROTOCOL
def test_an_image_without_room_for_a_window_is_refused(name):
    _, border, window = EXPECTED[name]
    least = 2 * border + (7 if window == "uniform" else 11)
    enough, _ = random_pair(6, least, 40)
    assert get_protocol(name).measure(enough, enough)[1] == 1
    for small in (enough[1:], enough[:, : least - 1], enough[:2]):
        with pytest.raises(InputError, match=rf"{small.shape[1]}×{small.shape[0]} px"):
            get_protocol(name).measure(small, small)


@pytest.mark.parametrize("name", ["ycbcr", "LUMA", ""])
def test_an_unknown_protocol_is_refused_with_those_known(name):
    with pytest.raises(InputError) as refusal:
        get_protocol(name)
    assert all(known in str(refusal.value) for known in EXPECTED)
