"""Write docs/images/references.jpg: `python docs/make_figure.py CHECKPOINT CHECKPOINT_OF_SISR`.

Two photographs of one scene, a stereo pair that comes with scikit-image: one is HR, the other the
reference. The first checkpoint is of a network that takes references, the second of one without.
Ours were SRNTT-ℓ2 of 96 training pairs of the album Lund, 600 steps, and SRNTT-ℓ2 (SISR) of 93 of
Sceaux and Berlin (docs/training.md), which are not in this repository.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from skimage.data import stereo_motorcycle

from srntt_pipeline.api import (
    RGB,
    SCALE,
    Making,
    SuperResolveParams,
    bicubic,
    make_hr,
    make_lr,
    read_rgb,
    super_resolve,
)
from srntt_pipeline.evaluation.protocols import PROTOCOLS

FIGURE = Path(__file__).with_name("images") / "references.jpg"
BOX = (slice(164, 324), slice(344, 584))  # rows and columns of HR: the part that is shown
_DPI = 100


def panels(network: Path, sisr: Path) -> dict[str, RGB]:
    """Return what is shown, uint8 [H, W, 3], by its title."""
    left, reference, _ = stereo_motorcycle()
    making = Making("pillow", SCALE)
    hr = make_hr(left, making)
    lr = make_lr(hr, making)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, image in (("lr", lr), ("reference", reference)):
            Image.fromarray(image).save(folder / f"{name}.png")
        references = {sisr: [], network: [folder / "reference.png"]}
        made = {}
        for number, (checkpoint, given) in enumerate(references.items()):
            out = folder / f"sr{number}.png"
            super_resolve(folder / "lr.png", given, checkpoint, out, SuperResolveParams())
            made[checkpoint] = read_rgb(out)
    sr = {
        "bicubic": bicubic(lr, making),
        "no reference": made[sisr],
        "SRNTT-ℓ2": made[network],
    }
    measured = {
        f"{title}: {PROTOCOLS['luma'].measure(hr, image)[0]:.2f} dB": image[BOX]
        for title, image in sr.items()
    }
    blocks = np.repeat(np.repeat(lr, SCALE, axis=0), SCALE, axis=1)
    first, second, third = measured.items()
    return dict([("reference", reference), ("LR", blocks[BOX]), first,
                 second, third, ("HR", hr[BOX])])  # fmt: skip


def draw(shown: dict[str, RGB]) -> None:
    """Write the figure, two rows of three."""
    figure = Figure(figsize=(14.4, 7.0), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(2, 3).flat, shown.items(), strict=True):
        axes.imshow(image, interpolation="nearest", aspect="equal")
        axes.set_title(title, fontsize=26)
        axes.set_axis_off()
    figure.savefig(FIGURE, dpi=_DPI, pil_kwargs={"quality": 88, "optimize": True})


if __name__ == "__main__":
    draw(panels(*map(Path, sys.argv[1:])))
