"""Demo albums: virtual photographs of the photographs that come with libraries.

Each photograph that ships inside scikit-image, scikit-learn or matplotlib is a scene. An album
holds virtual photographs of its scene, from near-identical to hardly alike, and some of other
scenes, so that every similarity from near-identical to unrelated occurs without a download.
"""

import importlib.util
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from srntt_pipeline.config import DemoAlbumsParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import write_bytes
from srntt_pipeline.images import RGB, read_rgb
from srntt_pipeline.outputs import open_output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.portable import portable
from srntt_pipeline.seeds import generator
from srntt_pipeline.text import tally

log = logging.getLogger(__name__)

# Where colour photographs with fine texture lie in the packages; the two views of the motorcycle
# are a stereo pair, so one scene.
SCENES: dict[str, tuple[tuple[str, str], ...]] = {
    "astronaut": (("skimage", "data/astronaut.png"),),
    "cat": (("skimage", "data/chelsea.png"),),
    "coffee": (("skimage", "data/coffee.png"),),
    "flower": (("sklearn", "datasets/images/flower.jpg"),),
    "galaxies": (("skimage", "data/hubble_deep_field.jpg"),),
    "motorcycle": (
        ("skimage", "data/motorcycle_left.png"),
        ("skimage", "data/motorcycle_right.png"),
    ),
    "officer": (("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),),
    "rocket": (("skimage", "data/rocket.jpg"),),
    "temple": (("sklearn", "datasets/images/china.jpg"),),
}


@dataclass(frozen=True)
class DemoAlbumJob:
    """The album of one scene, to be written to the folder `out`."""

    scene: str
    out: Path
    params: DemoAlbumsParams

    @property
    def photos(self) -> list[Path]:
        """The photographs that it gives."""
        return [self.out / f"{index:02d}.jpg" for index in range(len(_plan(self)))]


def demo_albums(out: Path, params: DemoAlbumsParams, *, workers: int) -> int:
    """Write the demo albums to `out`, one folder per scene; return the number of photographs.

    What is there already is not written again, so a killed run resumes. Raises InputError when
    `out` holds anything else.
    """
    jobs = [DemoAlbumJob(scene, out / scene, params) for scene in SCENES]
    photos = [photo for job in jobs for photo in job.photos]
    with open_output(out, "albums") as output:
        output.claim(photos)
        output.remove_others(photos, list(SCENES))
        made = sum(
            run_all(write_album, jobs, workers=workers, description="Demo albums", unit="albums")
        )
    log.info("Wrote %d albums to %s; %s", len(SCENES), out, tally("photographs", made, len(photos)))
    return len(photos)


def _plan(job: DemoAlbumJob) -> list[tuple[str, float]]:
    """Return the scene and the strength of change of each photograph of an album.

    Most show its own scene, from near-identical to hardly alike; some show another.
    """
    params = job.params
    rng = generator(params.seed, "album", job.scene)
    count = int(rng.integers(params.photos_min, params.photos_max, endpoint=True))
    strangers = max(1, count // 5)
    others = [scene for scene in SCENES if scene != job.scene]
    rng.shuffle(others)  # no scene twice: two strangers of one scene would make a related pair
    own = [(job.scene, index / max(1, count - strangers - 1)) for index in range(count - strangers)]
    return own + [(others[index], 0.5) for index in range(-strangers, 0)]


def write_album(job: DemoAlbumJob) -> int:
    """Write the photographs of one album that are not there yet, each whole or not at all.

    Returns how many.
    """
    params, made = job.params, 0
    for index, (path, (scene, strength)) in enumerate(zip(job.photos, _plan(job), strict=True)):
        sources = SCENES[scene]
        source = read_rgb(_packaged(*sources[index % len(sources)]))
        photo_rng = generator(params.seed, "photo", job.scene, index)
        with portable():
            photo = virtual_photo(source, params.long_side_px, strength, photo_rng)
        quality = int(photo_rng.integers(88 - round(10 * strength), 96))
        content = io.BytesIO()
        Image.fromarray(photo).save(content, "JPEG", quality=quality, subsampling="4:4:4")
        # Made anew in any case: it takes no longer than to find out what is there.
        if not path.is_file() or path.read_bytes() != content.getvalue():
            write_bytes(path, content.getvalue())
            made += 1
    return made


def _packaged(package: str, file: str) -> Path:
    """Return where a package keeps a file, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f"the package {package} is not installed; run make install")
    return Path(spec.origin).parent / file


def virtual_photo(source: RGB, long_side: int, strength: float, rng: np.random.Generator) -> RGB:
    """Photograph `source` anew, uint8 [H, W, 3]: another view, other light, another lens.

    `strength` 0…1 scales how far crop, rotation, perspective, exposure, white balance and blur go.
    """
    height, width = source.shape[:2]
    scale = long_side / max(height, width)
    size = round(width * scale), round(height * scale)
    corners = _view(width, height, strength, rng)
    # Twice the size, then averaged: the lens's low-pass, without which fine texture would alias.
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * 2 * np.array(size, np.float32)
    warp = cv2.getPerspectiveTransform(corners.astype(np.float32), frame.astype(np.float32))
    large = cv2.warpPerspective(
        source, warp, (2 * size[0], 2 * size[1]),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    shrunk = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    photo = np.asarray(shrunk, np.float64) / 255
    blur = strength * rng.uniform(0, 1.2)
    if blur > 0.3:
        photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), blur))
    exposure = 2 ** (strength * rng.uniform(-1.2, 0.5))
    white_balance = 1 + strength * rng.uniform(-0.18, 0.18, 3)
    light = np.clip(photo**2.2 * exposure * white_balance, 0, 1) ** (1 / 2.2)
    return np.rint(light * 255).astype(np.uint8)


def _view(
    width: int, height: int, strength: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return the four corners [4, 2] (x, y) of the view in the scene, clockwise from top left."""
    part = rng.uniform(0.94 - 0.52 * strength, 0.96 - 0.4 * strength)
    half = part * np.array([width, height]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners += rng.uniform(-1, 1, (4, 2)) * half * (0.02 + 0.36 * strength)
    angle = np.deg2rad(rng.uniform(-1, 1) * (2 + 48 * strength))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    room = np.array([width, height]) / 2 - half
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
    return np.asarray(corners @ turn.T + centre)
