"""A picture of a correspondence, so that a person sees whether matching works."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import ConnectionPatch, Patch, Polygon
from skimage.metrics import peak_signal_noise_ratio

from srntt_pipeline.figures import spread
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import STRIDE
from srntt_pipeline.swaps.match_sources import PATCH_PX, Match, Sources, paste, sources

_SAMPLES = 3  # patches along each side that lines are drawn for
_SHOWN_VERSIONS = 9


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
    cosine = match.found.cosine.cpu().numpy()
    shown = axes[0, -2].imshow(cosine, cmap="viridis", extent=frame, interpolation="nearest")
    axes[0, -2].set_title(f"cosine of the match, mean {cosine.mean():.3f}", fontsize=9)
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
        box = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * PATCH_PX
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
