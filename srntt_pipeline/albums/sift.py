"""SIFT features of photos, kept in one HDF5 file per album.

OpenCV's SIFT descriptors hold whole numbers 0…255, so they are stored as bytes and squared
distances between them are exact in float32.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.manifest import Rejected
from srntt_pipeline.albums.photos import Album, PhotoChecks, read_photo
from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.files import fingerprint, sha256
from srntt_pipeline.hdf5 import add_dataset, is_intact, sealed_file
from srntt_pipeline.images import RGB


@dataclass(frozen=True)
class SiftFeatures:
    """Features of a photo: keypoints `xy` float32 [N, 2], px, and `descriptors` uint8 [N, 128]."""

    xy: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PhotoRecord:
    """A usable photo of an album: its file name, SHA-256, size at working size and features."""

    name: str
    sha256: str
    height: int
    width: int
    features: SiftFeatures


def to_grey(image: RGB) -> npt.NDArray[np.uint8]:
    """Return what `cv2.imread(png, cv2.IMREAD_GRAYSCALE)` gives for an RGB image, uint8 [H, W].

    That is libpng's luma, cut off rather than rounded as cvtColor's is. Counts differ by a few with
    it, and those known of the released CUFED5 (PNG files) are made this way.
    """
    weighted = image.astype(np.int32) @ np.array([9797, 19234, 3737], np.int32)
    return (weighted >> 15).astype(np.uint8)


def detect(image: RGB, most: int = 0) -> SiftFeatures:
    """Return the SIFT features of `image`, uint8 [H, W, 3]: OpenCV's defaults on its grey version.

    `most` > 0 keeps that many of highest contrast.
    """
    grey = to_grey(image)
    keypoints, descriptors = cv2.SIFT.create(nfeatures=most).detectAndCompute(grey, None)
    if descriptors is None:
        return SiftFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    xy = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    return SiftFeatures(xy, descriptors.astype(np.uint8))


@dataclass(frozen=True)
class SiftJob:
    """Features of all photos of `album`, to be written to `path`."""

    album: Album
    checks: PhotoChecks
    most: int
    path: Path


def extract_album(job: SiftJob) -> None:
    """Write the features of an album's photos, and the photos rejected, unless they are there.

    They are there when the file was made from the same photo files by the same parameters and
    OpenCV version; a damaged file is made anew.
    """
    made_from = _should_be_made_from(job)
    if _made_from(job.path) == made_from:
        return
    album = job.album
    rejected: list[tuple[str, str]] = []
    with sealed_file(job.path) as file:
        for name in album.photos:
            try:
                photo, digest = read_photo(album.folder / name, job.checks)
            except UnusableImage as error:
                rejected.append((name, error.reason))
                continue
            features = detect(photo, job.most)
            group = file.create_group(f"{len(file):05d}")
            group.attrs.update(
                {"name": name, "sha256": digest, "height": photo.shape[0], "width": photo.shape[1]}
            )
            for key, values in vars(features).items():
                add_dataset(group, key, values)
        file.attrs["album"] = album.name
        file.attrs["rejected"] = json.dumps(rejected)
        file.attrs["made_from"] = made_from


def is_extracted(job: SiftJob) -> bool:
    """Tell whether `extract_album` would find its work done."""
    return _made_from(job.path) == _should_be_made_from(job)


def _should_be_made_from(job: SiftJob) -> str:
    folder = job.album.folder
    return fingerprint(
        {
            "opencv": cv2.__version__,
            "checks": vars(job.checks),
            "most": job.most,
            "photos": {name: _file_state(folder / name) for name in job.album.photos},
        }
    )


def _file_state(path: Path) -> str:
    try:
        return sha256(path.read_bytes())
    except OSError as error:
        return str(error.strerror)


def _made_from(path: Path) -> str | None:
    if not is_intact(path):
        return None
    with h5py.File(path) as file:
        return str(file.attrs["made_from"])


def read_album(path: Path) -> list[PhotoRecord]:
    """Return the usable photos of an album with their features, by file name."""
    with h5py.File(path) as file:
        return [_record(file[key], file[key].attrs) for key in file]


def _record(group: h5py.Group, attrs: Mapping[str, Any]) -> PhotoRecord:
    features = SiftFeatures(group["xy"][:], group["descriptors"][:])
    return PhotoRecord(
        attrs["name"], attrs["sha256"], int(attrs["height"]), int(attrs["width"]), features
    )


def read_rejected(path: Path) -> list[Rejected]:
    """Return the photos of an album that were rejected, with reasons."""
    with h5py.File(path) as file:
        album = str(file.attrs["album"])
        return [Rejected(album, *row) for row in json.loads(file.attrs["rejected"])]


def read_hashes(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each usable photo of an album, by file name."""
    with h5py.File(path) as file:
        return {file[key].attrs["name"]: file[key].attrs["sha256"] for key in file}
