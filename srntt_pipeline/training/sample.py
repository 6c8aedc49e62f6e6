"""The picture of a validation pair, by which a person sees how far a training is."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from srntt_pipeline.images import RGB, SCALE, resize
from srntt_pipeline.maps import to_image
from srntt_pipeline.text import short_name

_FONT_PX, _LINE, _GAP = 14, 19, 8  # px


def picture(name: str, lr: Tensor, up: Tensor, sr: Tensor, hr: Tensor, ref: RGB | None) -> RGB:
    """Return LR, LR↑ by bicubic, SR, HR and the reference beside each other, uint8 [H, W, 3].

    Each has its name above it, outputs their PSNR too (dB: RGB, no border, of 8 bits); below
    stands the pair's `name`. `lr` [3, h, w]; `up`, `sr` and `hr` [3, 4h, 4w], clipped to [0, 1];
    `ref` uint8 [R, S, 3], shown no higher than HR.
    """
    truth = to_image(hr)
    images = [("LR", "", to_image(lr).repeat(SCALE, 0).repeat(SCALE, 1))]
    for label, tensor in (("bicubic", up), ("SR", sr)):
        image = to_image(tensor)
        images.append((label, _db(truth, image), image))
    images.append(("HR", "", truth))
    if ref is not None:
        images.append(("reference", "", _no_higher(ref, truth.shape[0])))
    font = ImageFont.load_default(_FONT_PX)
    columns = [
        max(image.shape[1], *(round(font.getlength(text)) for text in texts))
        for *texts, image in images
    ]
    below = f"validation pair {short_name(name)}"
    width = max(sum(columns) + _GAP * (len(images) + 1), round(font.getlength(below)) + 2 * _GAP)
    height = 2 * _GAP + 3 * _LINE + max(image.shape[0] for *_, image in images)
    sheet = Image.new("RGB", (width, height), "white")
    draw, left = ImageDraw.Draw(sheet), _GAP
    for (label, value, image), column in zip(images, columns, strict=True):
        for line, text in enumerate((label, value)):
            draw.text((left, _GAP + line * _LINE), text, fill="black", font=font)
        sheet.paste(Image.fromarray(image), (left, _GAP + 2 * _LINE))
        left += column + _GAP
    draw.text((_GAP, height - _LINE - _GAP // 2), below, fill="black", font=font)
    return np.asarray(sheet)


def _db(hr: RGB, image: RGB) -> str:
    if np.array_equal(hr, image):
        return "identical"
    return f"{peak_signal_noise_ratio(hr, image):.2f} dB"


def _no_higher(image: RGB, height: int) -> RGB:
    if image.shape[0] <= height:
        return image
    return resize(image, height, max(round(image.shape[1] * height / image.shape[0]), 1))
