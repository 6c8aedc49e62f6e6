"""SIFT features of photos, kept in one HDF5 file per block of an album's photos.

Their descriptors hold whole numbers 0…255, so they are stored as bytes.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.manifest_rows import Rejected
from srntt_pipeline.albums.photos import Album, PhotoChecks, take_photo
from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.files import file_sha256, fingerprint
from srntt_pipeline.hdf5 import add_dataset, intact_text, sealed_file
from srntt_pipeline.images import RGB
from srntt_pipeline.portable import portable
from srntt_pipeline.sift import SiftFeatures, detect, to_grey


@dataclass(frozen=True)
class PhotoRecord:
    """A usable photo of an album: file name, SHA-256, size at working size, perceptual hash.

    `phash` (16 hexadecimal digits) is the same for a photo and a recompressed or brighter copy of
    it, give or take a few bits; `turned` holds those of its seven other orientations. `profile`
    names the colour profile that the photo was converted from. `place` is where the features lie
    in `file`.
    """

    name: str
    sha256: str
    height: int
    width: int
    phash: str
    turned: str
    profile: str
    place: str
    file: Path


@dataclass(frozen=True)
class AlbumIndex:
    """What is known of an album's photos, but for their features, which are read when wanted."""

    album: str
    photos: tuple[PhotoRecord, ...]
    rejected: tuple[Rejected, ...]


def perceptual_hashes(image: RGB) -> list[str]:
    """Return OpenCV's PHash of `image`, uint8 [H, W, 3], in eight orientations.

    Each has 16 hexadecimal digits: upright, then turned by 90°, 180°, 270° counter-clockwise, then
    those of its mirror image.
    """
    grey = to_grey(image)
    turns = [np.rot90(side, turn) for side in (grey, grey[:, ::-1]) for turn in range(4)]
    with portable():
        return [cv2.img_hash.pHash(np.ascontiguousarray(turn)).tobytes().hex() for turn in turns]


def mirrored(descriptors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the descriptors, uint8 [N, 128], of the mirror image's keypoints, in their order.

    A keypoint's frame is turned to its main gradient: the mirror image swaps the frame's two sides,
    its rows of cells, and the sign of every gradient's direction in it.
    """
    cells = descriptors.reshape(-1, 4, 4, 8)  # row, column, direction
    return cells[:, ::-1][..., -np.arange(8) % 8].reshape(-1, 128)


@dataclass(frozen=True)
class SiftJob:
    """Features of the photos of `album`, a block of an album's, to be written to `path`."""

    album: Album
    checks: PhotoChecks
    most: int
    path: Path


def extract(job: SiftJob) -> AlbumIndex:
    """Write the features of a block's photos, and the photos rejected, unless they are there.

    They are there when the file was made from the same photo files by the same parameters and
    OpenCV version; a damaged file is made anew. Returns what `read_index` reads of it.
    """
    made_from = _fingerprint(job)
    if intact_text(job.path, "made_from") == made_from:
        return read_index([job.path])
    photos: list[PhotoRecord] = []
    rejected: list[tuple[str, str]] = []
    with sealed_file(job.path) as file:
        for name in job.album.photos:
            try:
                photo = take_photo(job.album.folder / name, job.checks)
            except UnusableImage as error:
                rejected.append((name, error.reason))
                continue
            pixels = photo.pixels
            height, width = pixels.shape[:2]
            place = f"{len(photos):05d}"
            upright, *turned = perceptual_hashes(pixels)
            photos.append(
                PhotoRecord(
                    name, photo.sha256, height, width, upright, "".join(turned), photo.profile,
                    place, job.path,
                )
            )  # fmt: skip
            for key, values in vars(detect(pixels, job.most)).items():
                add_dataset(file, f"{place}/{key}", values)
        stored = [{k: v for k, v in vars(photo).items() if k != "file"} for photo in photos]
        # One string, not attributes: those end at 64 KiB, which long reasons can pass.
        index = {"album": job.album.name, "photos": stored, "rejected": rejected}
        add_dataset(file, "index", json.dumps(index, ensure_ascii=False))
        file.attrs["made_from"] = made_from
    return read_index([job.path])


def is_extracted(job: SiftJob) -> bool:
    """Tell whether the features are there, whole, and made from these photos in this way."""
    return intact_text(job.path, "made_from") == _fingerprint(job)


def _fingerprint(job: SiftJob) -> str:
    return fingerprint(
        {
            "format": 3,  # raise it when features come out otherwise
            "opencv": cv2.__version__,
            "checks": vars(job.checks),
            "most": job.most,
            "photos": {name: _file_state(job.album.folder / name) for name in job.album.photos},
        }
    )


def _file_state(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        return str(error.strerror)


def read_index(paths: Iterable[Path]) -> AlbumIndex:
    """Return what `extract` wrote to the files of an album's blocks: usable photos, and the rest.

    The photos are in the order of the blocks, and within one in that of the files' names.
    """
    album, photos, rejected = "", [], []
    for path in paths:
        with h5py.File(path) as file:
            index = json.loads(file["index"][()])
        album = index["album"]
        photos += [PhotoRecord(**photo, file=path) for photo in index["photos"]]
        rejected += [Rejected(album, *row) for row in index["rejected"]]
    return AlbumIndex(album, tuple(photos), tuple(rejected))


def read_features(photos: Sequence[PhotoRecord]) -> list[SiftFeatures]:
    """Return the features of `photos`, of one album or of several."""
    with ExitStack() as stack:
        files = {
            path: stack.enter_context(h5py.File(path))
            for path in dict.fromkeys(photo.file for photo in photos)
        }
        groups = [files[photo.file][photo.place] for photo in photos]
        return [SiftFeatures(group["xy"][:], group["descriptors"][:]) for group in groups]
