"""A picture of a correspondence, so that a person sees whether matching works.

It needs no colour: places are arrows and lightness, versions of the reference labelled greys.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon
from matplotlib.patheffects import withStroke
from skimage.metrics import peak_signal_noise_ratio

from srntt_pipeline.figures import spread
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import STRIDE
from srntt_pipeline.swaps.match_sources import PATCH_PX, Match, Sources, paste, sources
from srntt_pipeline.swaps.references import Augmentation

_SAMPLES = 3  # patches along each side that are framed
_ARROWS = 14  # along the longer side
_SHORTER = 3  # so many times as long is the way that an arrow tells of
_SHOWN = 6  # greys of a map; what is rarer is hatched
_COLUMNS = 4
_OTHERS = "xxxx"

Frame = tuple[float, float, float, float]


def draw(match: Match, title: str) -> Figure:
    """Return the picture: images, each reference with what was found in it, versions tried."""
    found, count = sources(match), len(match.refs)
    height, width = match.hr.shape[:2]
    versions = _versions(match.tried)
    panels = 4 + 2 * count + (count > 1) + len(versions)
    rows = math.ceil(panels / _COLUMNS)
    tallest = max(image.shape[0] / image.shape[1] for image in (match.hr, *match.refs))
    figure = Figure(
        figsize=(3.2 * _COLUMNS, rows * (3.1 * min(tallest, 1.5) + 0.75) + 0.4),
        layout="constrained",
    )
    axes = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis in axes.flat[panels:]:
        axis.set_axis_off()
    rest = iter(axes.flat)
    # Patches lie a cell inside: their centres cover all but the border of the image.
    frame = (-0.5 + STRIDE, width - STRIDE - 0.5, height - STRIDE - 0.5, -0.5 + STRIDE)
    lr = next(rest)
    _image(lr, match.lr_up, f"LR↑, {_db(match.hr, match.lr_up)}")
    pasted = paste(match)
    _image(next(rest), pasted, f"rebuilt from Ref patches, {_db(match.hr, pasted)}")
    _image(next(rest), match.hr, "HR")
    _cosine(figure, next(rest), match, frame)
    ref_axes = []
    for number, ref in enumerate(match.refs):
        share = float((found.ref == number).mean())
        ref_axes.append(next(rest))
        _image(ref_axes[-1], ref, f"Ref {number + 1}: {share:.0%} of the patches")
        _places(figure, next(rest), match, found, number, frame)
    _samples(lr, ref_axes, found)
    if count > 1:
        _greys(next(rest), found.ref, [f"Ref {n + 1}" for n in range(count)], "reference", frame)
    for name, labels in versions:
        names = list(dict.fromkeys(labels))
        numbers = np.array([names.index(each) for each in labels])[found.version]
        _greys(next(rest), numbers, names, name, frame)
    figure.suptitle(title, fontsize=12)
    return figure


def arrows(match: Match, found: Sources, number: int) -> npt.NDArray[np.float64]:
    """Return where some LR patches lie in LR↑ and where in the reference `number`, [N, 2, 2].

    From and to, x and y, px of LR↑: places in the reference are scaled as if it were as large. Of
    patches on a regular grid, those that were found in this reference.
    """
    rows, columns = found.ref.shape
    step = max(rows, columns, _ARROWS) / _ARROWS
    grid = [np.arange(step / 2, side, step).astype(int) for side in (rows, columns)]
    places = [(y, x) for y in grid[0] for x in grid[1] if found.ref[y, x] == number]
    if not places:
        return np.zeros((0, 2, 2))
    here = np.array(places)[:, ::-1] * STRIDE + PATCH_PX / 2
    factor = np.array(match.hr.shape[1::-1]) / match.refs[number].shape[1::-1]
    there = np.array([found.centres[place] for place in places]) * factor
    return np.stack([here, there], axis=1)


def across(match: Match, found: Sources, number: int) -> npt.NDArray[np.float64]:
    """Return how far right each LR patch lies in the reference `number`, [h-2, w-2]: 0 to 1.

    NaN where it was found in another.
    """
    share = np.clip(found.centres[..., 0] / match.refs[number].shape[1], 0, 1)
    return np.where(found.ref == number, share, np.nan)


def _versions(tried: Sequence[Augmentation]) -> list[tuple[str, list[str]]]:
    """Return in what the versions of a reference differ, each with its value in every version."""
    told = [
        ("scale of the reference", [f"{v.scale:g}" for v in tried]),
        ("turn of the reference", [f"{v.rotation_deg:g}°" for v in tried]),
        ("shift, px down and right", ["{} {}".format(*v.shift_px) for v in tried]),
    ]
    return [(name, labels) for name, labels in told if len(set(labels)) > 1]


def _image(axis: Axes, image: npt.NDArray[np.generic], title: str) -> None:
    axis.imshow(image)
    axis.set_title(title, fontsize=10)


def _db(hr: RGB, image: RGB) -> str:
    if np.array_equal(hr, image):
        return "identical"
    return f"{peak_signal_noise_ratio(hr, image):.2f} dB"


def _cosine(figure: Figure, axis: Axes, match: Match, frame: Frame) -> None:
    cosine = match.found.cosine.cpu().numpy()
    shown = axis.imshow(cosine, cmap="gray", extent=frame, interpolation="nearest")
    axis.set_title(f"cosine of the match, mean {cosine.mean():.3f}", fontsize=10)
    _scale(figure, axis, shown)


def _scale(figure: Figure, axis: Axes, shown: object, ends: Sequence[str] = ()) -> None:
    """Draw the scale of greys below, `ends` being what 0 and 1 mean."""
    bar = axis.inset_axes((0, -0.08, 1, 0.05))
    drawn = figure.colorbar(shown, cax=bar, orientation="horizontal")  # type: ignore[arg-type]
    if ends:
        drawn.set_ticks([0, 1], labels=ends)
        bar.set_xlim(0, 1)
        left, right = bar.get_xticklabels()
        left.set_horizontalalignment("left")
        right.set_horizontalalignment("right")
    bar.tick_params(labelsize=8)


def _places(
    figure: Figure, axis: Axes, match: Match, found: Sources, number: int, frame: Frame
) -> None:
    """Draw where the patches found in a reference are in it: dark left, light right, and arrows."""
    shown = axis.imshow(
        across(match, found, number), cmap="gray", vmin=-0.6, vmax=1, extent=frame,
        interpolation="nearest",
    )  # fmt: skip
    height, width = match.hr.shape[:2]
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), facecolor="white")
    axis.patch.set_hatch("....")
    axis.patch.set_edgecolor("0.75")
    here, there = np.moveaxis(arrows(match, found, number), 1, 0)
    drawn = axis.quiver(
        *here.T, *(there - here).T, angles="xy", scale_units="xy", scale=_SHORTER, units="dots",
        width=1.3, headwidth=5, headlength=6, headaxislength=5, minlength=0.5, color="black",
    )  # fmt: skip
    drawn.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
    axis.set_title(f"found in Ref {number + 1}; arrows: a third of the way", fontsize=10)
    _scale(figure, axis, shown, ("found at its left", "at its right"))


def _greys(
    axis: Axes, numbers: npt.NDArray[np.int64], names: Sequence[str], title: str, frame: Frame
) -> None:
    """Draw which of `names` each patch has, in greys that the legend tells; rare ones hatched."""
    counts = Counter(numbers.ravel().tolist())
    common = sorted(number for number, _ in counts.most_common(_SHOWN))
    tones = np.linspace(1, 0, len(common)) if len(common) > 1 else np.array([1.0])
    tone_of = dict(zip(common, tones, strict=True))
    shades = np.vectorize(lambda number: tone_of.get(number, np.nan), otypes=[float])(numbers)
    axis.patch.set(facecolor="white", hatch=_OTHERS, edgecolor="black")
    axis.imshow(shades, cmap="gray", vmin=0, vmax=1, extent=frame, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    handles = [
        Patch(
            facecolor=str(tone_of[number]), edgecolor="black",
            label=f"{names[number]}: {counts[number] / numbers.size:.0%}",
        )
        for number in common
    ]  # fmt: skip
    others = numbers.size - sum(counts[number] for number in common)
    if others:
        share = f"others: {others / numbers.size:.0%}"
        handles.append(Patch(facecolor="white", edgecolor="black", hatch=_OTHERS, label=share))
    axis.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), fontsize=8,
        ncols=min(len(handles), 3), frameon=False, handlelength=1.5, columnspacing=1,
    )  # fmt: skip


def _samples(lr: Axes, refs: Sequence[Axes], found: Sources) -> None:
    """Frame some patches in LR↑ and where they were found, with one number in both."""
    rows, columns = found.ref.shape
    places = [
        (rows * (2 * i + 1) // (2 * _SAMPLES), columns * (2 * j + 1) // (2 * _SAMPLES))
        for i in spread(min(_SAMPLES, rows), _SAMPLES)
        for j in spread(min(_SAMPLES, columns), _SAMPLES)
    ]
    around = [withStroke(linewidth=3, foreground="white")]
    box = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * PATCH_PX
    for number, (row, column) in enumerate(places, start=1):
        here = box + np.array([column, row]) * STRIDE - 0.5
        there = found.corners[row, column] - 0.5
        for axis, corners in ((lr, here), (refs[found.ref[row, column]], there)):
            axis.add_patch(
                Polygon(corners, fill=False, edgecolor="black", linewidth=1.2, path_effects=around)
            )
            axis.annotate(
                str(number), corners[:, 0:2].max(axis=0), (2, 2), textcoords="offset points",
                fontsize=9, fontweight="bold", path_effects=around, annotation_clip=False,
            )  # fmt: skip
