"""Pictures for the tests of the page: of one image, each of another brightness."""

from pathlib import Path

from PIL import Image

from srntt_pipeline.evaluation.detail import Detail
from srntt_pipeline.evaluation.page_data import Picture, Shown
from srntt_pipeline.evaluation.previews import write_webp

DETAIL = Detail(left=48, top=24, width=36, height=24)
KINDS = (
    ("LR", "input", ""),
    ("Bicubic", "output", ""),
    ("SRNTT, L1", "output", "L1"),
    ("HR", "truth", ""),
    ("L1", "reference", ""),
)


def write_pictures(out: Path, hr, name: str) -> Shown:
    """Write the pictures of HR, uint8 [H, W, 3], below `out`: PNG, previews, details."""
    pictures = []
    for number, (label, kind, reference) in enumerate(KINDS):
        view = hr[::4, ::4] if kind == "input" else hr // (number + 1)
        path = Path("images", str(number), f"{name}.png")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(view).save(out / path)
        copies = {}
        if kind != "input":
            copies["preview"] = Path("page/previews", str(number), f"{name}.webp")
            write_webp(out / copies["preview"], view[::2, ::2], "", 80)
            copies["detail"] = Path("page/details", str(number), f"{name}.webp")
            write_webp(out / copies["detail"], DETAIL.of(view), "", None)
        pictures.append(
            Picture(label, path, kind, f"{20 + number}.00 dB", view.shape[:2], reference, **copies)
        )
    return Shown(name, pictures, detail=DETAIL)
