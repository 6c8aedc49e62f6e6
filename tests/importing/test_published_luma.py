"""Published weights on images of Urban100, against what others measured of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.evaluation.protocols import get_protocol
from srntt_pipeline.import_weights import import_weights
from srntt_pipeline.maps import to_image, to_tensor
from srntt_pipeline.models.luma import luma

FILES = {
    "srcnn": ("srcnn/x4.mat",),
    "scn": ("scn/weights_srnet_x2_52.mat", "scn/weights_srnet_x2_310.mat"),
    "lapsrn": ("lapsrn/LapSRN_x4.mat",),
}
IMAGES = ("img_001", "img_012", "img_046", "img_092")
WANTED = {
    "srcnn": (26.351, 23.212, 23.087, 17.559),
    "scn": (26.526,),
    "lapsrn": (27.086, 23.469, 23.319, 18.191),
}
TOLERANCE = {"srcnn": 0.001, "scn": 0.02, "lapsrn": 0.001}
PROTOCOL = get_protocol("matlab-replicate")  # luma in 8 bits, 4 px cut


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    inner = np.s_[4:-4, 4:-4]
    return float(10 * np.log10(255**2 / np.mean((one[inner] - other[inner]) ** 2)))


EACH = [
    pytest.param(method, name, psnr, id=f"{method}-{name}")
    for method, values in WANTED.items()
    for name, psnr in zip(IMAGES, values, strict=False)
]


@pytest.mark.parametrize(("method", "name", "wanted"), EACH)
def test_published_weights_make_the_published_images(
    shared: Path, tmp_path: Path, method: str, name: str, wanted: float
) -> None:
    files = [shared / "weights" / "published" / file for file in FILES[method]]
    model = load_checkpoint(import_weights(method, files, tmp_path)).model
    lr, hr = (
        np.asarray(Image.open(shared / "data" / folder / f"{name}.png").convert("RGB"))
        for folder in ("urban100_lr_x4", "urban100")
    )
    with torch.inference_mode():
        sr = model(to_tensor(lr)[None])[0]
    y = (255 * luma(torch.stack([sr, to_tensor(hr)]))[:, 0]).clamp(0, 255).round().numpy()
    assert psnr(*y) == pytest.approx(wanted, abs=TOLERANCE[method])
    # As the pipeline measures it: of an image of 8 bits, whose colours are clipped.
    measured = PROTOCOL.measure(hr, to_image(sr))[0]
    assert measured == pytest.approx(wanted, abs=max(0.01, TOLERANCE[method]))
