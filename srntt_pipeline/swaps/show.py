"""A picture of a correspondence, so that a person sees whether matching works."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import ConnectionPatch, Patch, Polygon
from skimage.metrics import peak_signal_noise_ratio

from srntt_pipeline.config import BICUBIC, MatchParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.figures import save_figure, spread
from srntt_pipeline.images import (
    RGB,
    crop_to_multiple,
    decode,
    downscale,
    read_made_from,
    read_rgb,
)
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import CELLS, Maps, to_image, to_tensor
from srntt_pipeline.outputs import check_output_file
from srntt_pipeline.swaps.correspondence import PATCH, Correspondence
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.matcher import check_networks, load_matcher
from srntt_pipeline.swaps.references import (
    MIN_SIDE_PX,
    Augmentation,
    augment,
    ref_file,
    ref_image,
    versions,
)
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.stored import check_lr, check_ref
from srntt_pipeline.swaps.swap import swap
from srntt_pipeline.swaps.upscaler import load_upscaler
from srntt_pipeline.swaps.windows import STRIDE
from srntt_pipeline.text import short_name

log = logging.getLogger(__name__)

_PATCH_PX = PATCH * STRIDE
_SAMPLES = 3  # patches along each side that lines are drawn for
_SHOWN_VERSIONS = 9


@dataclass(frozen=True)
class Match:
    """What is drawn: HR and LR↑, the references, and the correspondence of LR↑ with them.

    `tried`: the versions of each reference, in the order that the correspondence numbers them.
    """

    hr: RGB
    lr_up: RGB
    refs: Sequence[RGB]
    tried: Sequence[Augmentation]
    found: Correspondence


@dataclass(frozen=True)
class Sources:
    """Where each LR patch was found, arrays [h-2, w-2].

    `ref` and `version`: which reference, and which of its versions; `corners` float [h-2, w-2, 4,
    2]: x and y of the patch's corners in the reference as it was given, px.
    """

    ref: npt.NDArray[np.int64]
    version: npt.NDArray[np.int64]
    corners: npt.NDArray[np.float64]

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """x and y of the patches' centres, px, float [h-2, w-2, 2]."""
        return self.corners.mean(axis=2)


def show_match(
    sample: str,
    out: Path,
    params: MatchParams,
    *,
    refs: Sequence[Path] = (),
    swaps: Path | None = None,
    dataset: Path | None = None,
    device: str = "auto",
) -> None:
    """Draw the match of an image to `out` (PNG).

    With `refs`, `sample` is the file of an HR image, which is downscaled and matched with them by
    `params`. With `swaps` and `dataset`, it is the name of a training pair, whose stored
    correspondence is drawn; of `params`, `upscaler` alone is used, if its file has moved. Raises
    InputError.
    """
    read = [*refs, *([] if swaps else [Path(sample)])]
    check_output_file(out, ".png", read, lambda path: read_made_from(path) is not None)
    if bool(refs) == bool(swaps) or bool(swaps) != bool(dataset):
        raise InputError(
            "show-match takes an HR image with --ref, or a pair's name with --swaps and --dataset"
        )
    if swaps and dataset:
        match = _stored(sample, swaps, dataset, params.upscaler, device)
    else:
        match = _computed(Path(sample), refs, params, device)
    save_figure(draw(match, short_name(Path(sample).name)), out)
    log.info("Wrote %s", out)


def _computed(path: Path, refs: Sequence[Path], params: MatchParams, device: str) -> Match:
    hr = crop_to_multiple(read_rgb(path, min_side=MIN_SIDE_PX, grey=True))
    images = [read_rgb(ref, min_side=MIN_SIDE_PX, grey=True) for ref in refs]
    encoder = load_encoder(params.encoder_weights, params.encoder_seed, choose_device(device))
    matcher, lr = load_matcher(params, encoder), downscale(hr)
    found = matcher.correspond(lr, images)
    return Match(hr, matcher.upscaler(lr), images, matcher.versions, found)


def _stored(name: str, swaps: Path, dataset: Path, moved: str, device: str) -> Match:
    shards = Shards(swaps)
    stored = shards[name]
    named = shards.params.upscaler if moved == BICUBIC else moved
    upscaler = load_upscaler(named, choose_device(device))
    made_with = {key: hash_ for key, hash_ in shards.networks.items() if key == "upscaler"}
    check_networks(swaps, made_with, upscaler.networks)  # flow is not computed again
    pairs = {pair.name: pair for pair in read_train_pairs(dataset)}
    if name not in pairs:
        raise InputError(f"{dataset} has no training pair {name}")
    images = []
    for path, made_from in (
        (pairs[name].hr, stored.hr_sha256),
        (ref_file(pairs[name], shards.params), stored.ref_sha256[0]),
    ):
        images.append(decode(shards.image_bytes(path, made_from), path, grey=True))
    hr, ref = crop_to_multiple(images[0]), ref_image(images[1], shards.params)
    lr, tried = downscale(hr), versions(shards.params)
    check_lr(stored, swaps, lr.shape[:2])
    check_ref(stored, swaps, ref.shape[:2], tried)
    return Match(hr, upscaler(lr), [ref], tried, stored.correspondence)


def sources(match: Match) -> Sources:
    """Return where each LR patch was found, in the coordinates of the references as given."""
    index = match.found.index.cpu().numpy()
    version_of = np.zeros(index.shape, np.int64)
    corners = np.zeros((*index.shape, 4, 2))
    first = 0
    for number, (height, width) in enumerate(match.found.shapes):
        columns = width - PATCH + 1
        count = (height - PATCH + 1) * columns
        here = (index >= first) & (index < first + count)
        top, left = np.divmod(index[here] - first, columns)
        ref, version = divmod(number, len(match.tried))
        box = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * _PATCH_PX
        places = np.stack([left, top], 1)[:, None] * STRIDE + box
        corners[here] = _undo(places, match.tried[version], match.refs[ref])
        version_of[here] = number
        first += count
    per_ref = len(match.tried)
    return Sources(version_of // per_ref, version_of % per_ref, corners)


def _undo(
    places: npt.NDArray[np.float64], version: Augmentation, ref: RGB
) -> npt.NDArray[np.float64]:
    """Return `places` (x, y; px) of a version in the reference that it was made of."""
    height, width = augment(ref, Augmentation(version.scale, 0)).shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), version.rotation_deg, 1.0)
    back = cv2.invertAffineTransform(turn)
    down, right = version.shift_px
    turned = (places + np.array([right, down])) @ back[:, :2].T + back[:, 2]
    if version.scale == 1:
        return np.asarray(turned)  # cut to whole cells, not resized
    return np.asarray(turned * np.array([ref.shape[1] / width, ref.shape[0] / height]))


def paste(match: Match) -> RGB:
    """Return the image rebuilt of the matched patches, uint8 [H, W, 3]: Eq. 3 on pixels.

    12×12 px of the version that was matched at the place of each LR patch; overlaps are averaged.
    """

    def pixels(number: int) -> Maps:
        ref, version = divmod(number, len(match.tried))
        image = to_tensor(augment(match.refs[ref], match.tried[version]))
        shape = [side // STRIDE for side in image.shape[1:]]
        blank = {layer: torch.zeros(1, *(cell * side for side in shape)) for layer, cell in
                 CELLS.items()}  # fmt: skip
        return {**blank, "relu1_1": image}  # the layer whose maps have the size of the image

    cpu = match.found.index.cpu(), match.found.score.cpu(), match.found.weight.cpu()
    pasted = swap(Correspondence(*cpu, match.found.shapes), pixels)["relu1_1"]
    return to_image(pasted)


def colour_code(ref: npt.NDArray[np.int64], x: npt.NDArray[np.float64],
                y: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return the colours of places in references, float [..., 3] in [0, 1].

    `x` and `y` in [0, 1] over the reference `ref` of `count`. Hue goes from left to right through
    the part of the circle that is the reference's own; from top to bottom it darkens.
    """
    x, y = np.clip(x, 0, 1), np.clip(y, 0, 1)
    hue = (ref + 0.86 * x) / count  # a gap between the last hue and the first
    return np.asarray(hsv_to_rgb(np.stack([hue, 0.45 + 0.5 * y, 1 - 0.6 * y], axis=-1)))


def source_map(match: Match) -> npt.NDArray[np.float64]:
    """Return the colour of each LR patch's source, float [h-2, w-2, 3]."""
    found = sources(match)
    sizes = np.array([ref.shape[1::-1] for ref in match.refs])[found.ref]
    x, y = np.moveaxis(found.centres / sizes, -1, 0)
    return colour_code(found.ref, x, y, len(match.refs))


def draw(match: Match, title: str) -> Figure:
    """Return the picture: images above, what was matched where below."""
    count = len(match.refs)
    height, width = match.hr.shape[:2]
    tallest = max(image.shape[0] / image.shape[1] for image in (match.hr, *match.refs))
    layout = ConstrainedLayoutEngine(rect=(0, 0.09, 1, 0.91))  # room for the legend
    figure = Figure(figsize=(3.1 * (count + 3), 6.2 * min(tallest, 1.5) + 2), layout=layout)
    axes = figure.subplots(2, count + 3)
    pasted, found = paste(match), sources(match)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    _image(axes[0, 0], match.lr_up, f"LR↑, {_db(match.hr, match.lr_up)}")
    # Patches lie a cell inside: their centres cover all but the border of the image.
    frame = (-0.5 + STRIDE, width - STRIDE - 0.5, height - STRIDE - 0.5, -0.5 + STRIDE)
    axes[1, 0].imshow(source_map(match), extent=frame, interpolation="nearest")
    axes[1, 0].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes[1, 0].set_title("where each LR patch was found\n(colours of the references)", fontsize=9)
    for number, ref in enumerate(match.refs):
        share = float((found.ref == number).mean())
        _image(axes[0, number + 1], ref, f"Ref {number + 1}: {share:.0%} of the patches")
        _image(axes[1, number + 1], _coded(ref, number, count), "its colour code")
    weight = match.found.weight.cpu().numpy()
    shown = axes[0, -2].imshow(weight, cmap="viridis", extent=frame, interpolation="nearest")
    axes[0, -2].set_title(f"score (cosine), mean {weight.mean():.3f}", fontsize=9)
    bar = axes[0, -2].inset_axes((0, -0.08, 1, 0.05))
    figure.colorbar(shown, cax=bar, orientation="horizontal")
    _versions(axes[1, -2], match, found, frame)
    _image(axes[0, -1], pasted, f"rebuilt from Ref patches, {_db(match.hr, pasted)}")
    _image(axes[1, -1], match.hr, "HR")
    _lines(figure, axes[0], found, (height, width))
    figure.suptitle(title, fontsize=11)
    return figure


def _image(axis: Axes, image: npt.NDArray[np.generic], title: str) -> None:
    axis.imshow(image)
    axis.set_title(title, fontsize=9)


def _db(hr: RGB, image: RGB) -> str:
    if np.array_equal(hr, image):
        return "identical"
    return f"{peak_signal_noise_ratio(hr, image):.2f} dB"


def _coded(ref: RGB, number: int, count: int) -> npt.NDArray[np.float64]:
    """Return the colour code of a reference, with the brightness of its image faintly in it."""
    height, width = ref.shape[:2]
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    grey = ref.mean(axis=2, keepdims=True) / 255
    code = colour_code(np.full((height, width), number), x, y, count)
    return np.asarray(code * (0.6 + 0.4 * grey))


def _versions(
    axis: Axes, match: Match, found: Sources, frame: tuple[float, float, float, float]
) -> None:
    """Draw which version each patch was found in; the legend has those of most patches."""
    counts = np.bincount(found.version.ravel(), minlength=len(match.tried))
    order = np.argsort(-counts, kind="stable")[:_SHOWN_VERSIONS]
    colours = np.full((len(match.tried), 3), 0.85)
    used = [number for number in order if counts[number]]
    for place, number in enumerate(used):
        colours[number] = colormaps["tab10"](place if place < 7 else place + 1)[:3]  # 7 is grey
    axis.imshow(colours[found.version], extent=frame, interpolation="nearest")
    axis.set_title("version of the reference", fontsize=9)
    handles = [
        Patch(
            color=tuple(colours[number]),
            label=f"{match.tried[number]}: {counts[number] / counts.sum():.0%}",
        )
        for number in used
    ]
    if counts.sum() > counts[used].sum():
        handles.append(Patch(color=(0.85, 0.85, 0.85), label="others"))
    legend = axis.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, fontsize=7,
        frameon=False,
    )  # fmt: skip
    legend.set_in_layout(False)  # it may be wider than the column


def _lines(figure: Figure, axes: Sequence[Axes], found: Sources, size: tuple[int, int]) -> None:
    """Frame some patches in LR↑ and where they were found, and join them by lines."""
    rows, columns = found.ref.shape
    places = [
        (rows * (2 * i + 1) // (2 * _SAMPLES), columns * (2 * j + 1) // (2 * _SAMPLES))
        for i in spread(min(_SAMPLES, rows), _SAMPLES)
        for j in spread(min(_SAMPLES, columns), _SAMPLES)
    ]
    for number, (row, column) in enumerate(places):
        colour = hsv_to_rgb((number / len(places), 0.9, 1.0))
        box = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * _PATCH_PX
        here = box + np.array([column, row]) * STRIDE - 0.5
        there = found.corners[row, column] - 0.5
        ref_axis = axes[1 + found.ref[row, column]]
        for axis, corners in ((axes[0], here), (ref_axis, there)):
            axis.add_patch(Polygon(corners, fill=False, edgecolor=colour, linewidth=1.6))
        figure.add_artist(
            ConnectionPatch(
                tuple(here.mean(axis=0)),
                tuple(there.mean(axis=0)),
                "data",
                "data",
                axesA=axes[0],
                axesB=ref_axis,
                color=colour,
                linewidth=0.9,
            )
        )
