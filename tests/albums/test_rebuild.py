import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline import layout
from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.rebuild import rebuild_cufed5
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK, write_bytes
from srntt_pipeline.layout import read_test_set
from srntt_pipeline.outputs import open_output

# What a manifest does not know: the counts of pairs that were not chosen, and the features.
OWN = ("match_counts.png", "work/")


def rebuild(source, albums, out, allow_missing=False, workers=1):
    return rebuild_cufed5(
        source / "manifests", albums, out, allow_missing=allow_missing, workers=workers
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_own(files):
    return {name: content for name, content in files.items() if not name.startswith(OWN)}


def photos_in_use(dataset):
    """Who needs each photo, from the CSV files alone: names of pairs, names of groups."""
    pairs, groups = {}, {}
    for row in rows(dataset / "manifests" / "train.csv"):
        for photo in (row["hr_photo"], row["ref_photo"]):
            pairs.setdefault((row["album"], photo), set()).add(row["name"])
    for row in rows(dataset / "manifests" / "test.csv"):
        groups.setdefault((row["album"], row["photo"]), set()).add(row["group"])
    return pairs, groups


def change_a_pixel(path):
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    path.with_suffix(".png").rename(path)  # lossless, under the old name


@pytest.fixture
def photos(cufed, copy_of):
    """A copy of the albums to spoil."""
    return copy_of(cufed)


# Nothing is missing


def test_images_manifests_and_summary_are_the_originals_to_the_byte(
    cufed, original, tmp_path, contents
):
    report = rebuild(original, cufed, tmp_path / "out")
    rebuilt = contents(tmp_path / "out")
    assert rebuilt == without_own(contents(original))
    assert sum(name.startswith("train/") for name in rebuilt) == 24
    assert report == json.loads((original / "summary.json").read_text())


def test_deleted_images_come_back_in_place(cufed, original, copy_of, contents):
    copy = copy_of(original)
    shutil.rmtree(copy / "train")
    shutil.rmtree(copy / "test")
    rebuild(copy, cufed, copy)
    assert contents(copy) == contents(original)


def test_two_workers_rebuild_the_same_bytes(cufed, original, tmp_path, contents):
    rebuild(original, cufed, tmp_path / "out", workers=2)
    assert contents(tmp_path / "out") == without_own(contents(original))


def test_the_name_survives_where_the_albums_folder_has_another(photos, original, tmp_path):
    photos = photos.rename(tmp_path / "elsewhere")
    rebuild(original, photos, tmp_path / "out")
    assert read_test_set(tmp_path / "out").name == read_test_set(original).name == "ours"


def test_no_feature_is_computed(cufed, original, tmp_path):
    """In a process of its own, where importing them or OpenCV's SIFT would be an error."""
    code = (
        "import sys; from pathlib import Path; import cv2; del cv2.SIFT_create\n"
        "from srntt_pipeline.albums.rebuild import rebuild_cufed5\n"
        "source, albums, out = map(Path, sys.argv[1:])\n"
        "rebuild_cufed5(source, albums, out, allow_missing=False, workers=1)\n"
        "assert not [name for name in sys.modules if name.startswith('srntt_pipeline.albums.') "
        "and name.split('.')[2] in ('sift', 'counts', 'crops', 'build')]\n"
    )
    arguments = map(str, (original / "manifests", cufed, tmp_path / "out"))
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_a_single_album_is_found_by_its_own_name(cufed, build_params, tmp_path, contents):
    album = cufed / "images" / "0_cat@N01"
    build_cufed5(album, tmp_path / "one", build_params, workers=1)
    for albums in (album, album.parent):
        out = tmp_path / f"from {albums.name}"
        rebuild(tmp_path / "one", albums, out)
        assert contents(out) == without_own(contents(tmp_path / "one"))


def test_a_killed_rebuild_goes_on_to_the_same_bytes(cufed, original, tmp_path, contents):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from srntt_pipeline.albums.rebuild import rebuild_cufed5\n"
        "left, rename = 15, os.replace\n"
        "def rename_or_die(old, new):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if not left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    rename(old, new)\n"
        "os.replace = rename_or_die\n"
        "source, albums, out = map(Path, sys.argv[1:])\n"
        "rebuild_cufed5(source, albums, out, allow_missing=False, workers=1)\n"
    )
    out = tmp_path / "out"
    arguments = map(str, (original / "manifests", cufed, out))
    killed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.glob("t*/*/*.png")}
    kept = {path: time for path, time in kept.items() if MARK not in path.parts}
    assert 0 < len(kept) < 30
    rebuild(original, cufed, out)
    assert contents(out) == without_own(contents(original))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_what_another_manifest_made_is_gone(cufed, original, tmp_path, contents):
    out = tmp_path / "out"
    stale = [out / "train/input/99.png", out / "test/CUFED5/9_0.png", out / "match_counts.png"]
    with open_output(out, "dataset") as output:
        output.claim(stale)
        for path in stale:
            write_bytes(path, b"stale")
    rebuild(original, cufed, out)
    assert contents(out) == without_own(contents(original))


# Photos that are missing or changed


def spoil(dataset, photos):
    """Remove a photo of training pairs and change one pixel of a test photo; return both."""
    pairs, groups = photos_in_use(dataset)
    gone = min(pairs)
    changed = min(groups, key=lambda photo: (len(groups[photo]), photo))
    assert len(groups[changed]) == 1
    (photos / gone[0] / gone[1]).unlink()
    change_a_pixel(photos / changed[0] / changed[1])
    return gone, changed


NAMES = {
    "case of the suffix": lambda path: path.with_suffix(".JPG"),
    "all of it": lambda path: path.parents[1] / "new" / path.parent.name / f"x{path.stem}.JPE",
}


@pytest.mark.parametrize("how", NAMES)
def test_photos_under_other_names_are_found_by_their_hash(
    original, photos, tmp_path, contents, caplog, how
):
    for path in sorted(photos.rglob("*.jpg"))[::2]:
        new = NAMES[how](path)
        new.parent.mkdir(parents=True, exist_ok=True)
        path.rename(new)
    rebuild(original, photos, tmp_path / "out")
    expected = without_own(contents(original))
    assert without_own(contents(tmp_path / "out")) == expected
    (line,) = [line for line in caplog.messages if "found by hash" in line]
    assert "not where the manifest says" in line


def test_names_spelled_in_other_ways_by_another_system_are_found(
    cufed, build_params, tmp_path, contents, copy_of
):
    """`é` is one letter here and two there, in albums as in photos."""
    albums = copy_of(cufed, "composed")
    spellings = [unicodedata.normalize(form, "été ") for form in ("NFC", "NFD")]
    assert len(set(spellings)) == 2
    for form, root in zip(spellings, (albums, copy_of(cufed, "decomposed")), strict=True):
        for path in sorted(root.rglob("*.jpg")):
            path.rename(path.with_name(form + path.name))
        for folder in sorted((root / "images").iterdir()):
            folder.rename(folder.with_name(form + folder.name))
    build_cufed5(albums, tmp_path / "built", build_params, workers=1)
    rebuild(tmp_path / "built", tmp_path / "decomposed", tmp_path / "out")
    expected = without_own(contents(tmp_path / "built"))
    assert without_own(contents(tmp_path / "out")) == expected


def test_a_photo_that_is_nowhere_is_still_missing(original, photos, tmp_path):
    first = min(photos.rglob("*.jpg"))
    first.unlink()
    os.mkfifo(first)
    with pytest.raises(InputError, match=r"1 photo of .* missing or changed"):
        rebuild(original, photos, tmp_path / "out")
    (row,) = rows(tmp_path / "out" / "manifests" / "missing.csv")
    assert (row["photo"], row["problem"]) == (first.name, "unreadable (not a regular file)")


def test_photos_are_named_with_the_samples_they_cost(original, photos, tmp_path, caplog):
    pairs, _ = photos_in_use(original)
    gone, changed = spoil(original, photos)
    with pytest.raises(InputError) as error:
        rebuild(original, photos, tmp_path / "out")
    assert f"cost {len(pairs[gone])} of 12 training pairs and 1 of 2 test" in str(error.value)
    assert "--allow-missing" in str(error.value)
    noun = "training pair" if len(pairs[gone]) == 1 else "training pairs"
    told = [record.getMessage() for record in caplog.records]
    assert f"{'/'.join(gone)}: missing ({len(pairs[gone])} {noun})" in told
    assert f"{'/'.join(changed)}: changed (1 test group)" in told
    listed = rows(tmp_path / "out" / "manifests" / "missing.csv")
    assert {(row["album"], row["photo"]): row["problem"] for row in listed} == {
        gone: "missing",
        changed: "changed",
    }
    assert not list((tmp_path / "out").rglob("*.png"))


def test_allow_missing_builds_the_rest_under_its_own_names(original, photos, tmp_path, contents):
    pairs, groups = photos_in_use(original)
    gone, changed = spoil(original, photos)
    out = tmp_path / "out"
    report = rebuild(original, photos, out, allow_missing=True)
    lost = {f"train/{side}/{name}.png" for name in pairs[gone] for side in ("input", "ref")}
    lost |= {f"test/CUFED5/{group}_{k}.png" for group in groups[changed] for k in range(3)}
    images = {n: c for n, c in contents(original).items() if n.startswith(("train/", "test/"))}
    rebuilt = {n: c for n, c in contents(out).items() if n.startswith(("train/", "test/"))}
    # Of the file of pairs those lines are left whose groups are.
    lines = images.pop("test/CUFED5_pairs.txt").decode().splitlines(keepends=True)
    left = [line for line in lines if f"test/CUFED5/{line.split()[0]}" not in lost]
    assert rebuilt.pop("test/CUFED5_pairs.txt").decode() == "".join(left)
    assert rebuilt == {name: images[name] for name in images.keys() - lost}
    assert 0 < len(lost) < len(images)
    # The tables are those of what is there, and say so.
    kept = [row["name"] for row in rows(out / "manifests" / "train.csv")]
    assert kept == sorted({row["name"] for row in rows(original / "manifests" / "train.csv")}
                          - pairs[gone])  # fmt: skip
    origin = json.loads((out / "manifests" / "origin.json").read_text())
    whole = (original / "manifests" / "origin.json").read_bytes()
    assert origin["rebuilt_from"]["sha256"]["origin.json"] == hashlib.sha256(whole).hexdigest()
    assert (report["train_pairs"], report["name"]) == (len(kept), "ours (incomplete)")
    assert read_test_set(out).name == "ours (incomplete)"
    assert "rebuilt without 2 photos" in report["warnings"][0]


def test_what_is_rebuilt_without_photos_can_be_rebuilt_again(original, photos, tmp_path, contents):
    spoil(original, photos)
    rebuild(original, photos, tmp_path / "part", allow_missing=True)
    rebuild(tmp_path / "part", photos, tmp_path / "again")
    part, again = contents(tmp_path / "part"), contents(tmp_path / "again")
    assert part.pop("manifests/missing.csv")
    assert again == part


def test_photos_put_back_make_it_whole(cufed, original, photos, tmp_path, contents):
    spoil(original, photos)
    rebuild(original, photos, tmp_path / "out", allow_missing=True)
    rebuild(original, cufed, tmp_path / "out")
    assert contents(tmp_path / "out") == without_own(contents(original))


def test_a_manifest_never_loses_its_own_rows(original, photos, copy_of, contents):
    copy = copy_of(original)
    spoil(original, photos)
    with pytest.raises(InputError, match="name another OUT"):
        rebuild(copy, photos, copy, allow_missing=True)
    assert contents(copy) == contents(original) | {
        "manifests/missing.csv": (copy / "manifests" / "missing.csv").read_bytes()
    }


def test_an_album_that_has_gone_is_told_photo_by_photo(original, photos, tmp_path):
    album = rows(original / "manifests" / "train.csv")[0]["album"]
    shutil.rmtree(photos / album)
    with pytest.raises(InputError, match="missing or changed cost"):
        rebuild(original, photos, tmp_path / "out")
    listed = rows(tmp_path / "out" / "manifests" / "missing.csv")
    used = {photo for of, photo in photos_in_use(original)[0] if of == album}
    assert {row["photo"] for row in listed} == used


# Bad input


def test_an_edited_table_is_refused_with_the_hash_that_would_accept_it(
    cufed, original, copy_of, tmp_path, contents
):
    copy = copy_of(original)
    table, origin = copy / "manifests" / "train.csv", copy / "manifests" / "origin.json"
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(InputError, match=r"train\.csv is not the table that origin\.json") as error:
        rebuild(copy, cufed, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert digest in str(error.value)
    content = json.loads(origin.read_text())
    content["sha256"]["train.csv"] = digest
    origin.write_text(json.dumps(content))
    rebuild(copy, cufed, tmp_path / "out")
    assert len(list((tmp_path / "out" / "train" / "input").iterdir())) == 11
    assert (tmp_path / "out" / "manifests" / "train.csv").read_bytes() == table.read_bytes()


def test_a_box_outside_its_photo_is_refused(cufed, original, copy_of, tmp_path):
    copy = copy_of(original)
    table, origin = copy / "manifests" / "train.csv", copy / "manifests" / "origin.json"
    text = table.read_text().splitlines()
    column = text[0].split(",").index("hr_y_px")
    cells = text[1].split(",")
    cells[column] = "140"
    table.write_text("\n".join([text[0], ",".join(cells), *text[2:]]) + "\n")
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    content = json.loads(origin.read_text())
    content["sha256"]["train.csv"] = digest
    origin.write_text(json.dumps(content))
    with pytest.raises(InputError, match="is not inside the photo"):
        rebuild(copy, cufed, tmp_path / "out")


def test_another_pillow_is_warned_of(cufed, original, copy_of, tmp_path, caplog):
    copy = copy_of(original)
    origin = copy / "manifests" / "origin.json"
    content = json.loads(origin.read_text())
    content["versions"]["pillow"] = "9.9.9"
    origin.write_text(json.dumps(content))
    rebuild(copy, cufed, tmp_path / "out")
    assert [r.getMessage() for r in caplog.records if "Pillow 9.9.9" in r.getMessage()]


def test_out_inside_the_albums_is_refused(original, photos):
    with pytest.raises(InputError, match="lies inside"):
        rebuild(original, photos, photos / "out")


def test_folders_that_are_not_there_are_refused(cufed, original, tmp_path):
    with pytest.raises(InputError, match="none: no such folder"):
        rebuild(original, tmp_path / "none", tmp_path / "out")
    with pytest.raises(InputError, match="no such folder"):
        rebuild(tmp_path / "none", cufed, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"origin\.json is missing"):
        rebuild_cufed5(tmp_path / "empty", cufed, tmp_path / "out", allow_missing=False, workers=1)


def test_colours_are_those_of_the_version_that_built(
    cufed, build_params, tmp_path, copy_of, other_profile, contents
):
    """Photos become sRGB and the origin counts them; a manifest from before leaves them alone."""
    albums = copy_of(cufed, "tagged")
    photos = sorted(albums.rglob("*.jpg"))
    for path in photos[1:]:
        Image.open(path).save(path, quality=95, icc_profile=other_profile)
    Image.open(photos[0]).save(photos[0], quality=95, icc_profile=b"no profile" * 20)
    report = build_cufed5(albums, tmp_path / "built", build_params, workers=1)
    origin = json.loads((tmp_path / "built" / "manifests" / "origin.json").read_text())
    broken = "broken profile, taken as sRGB"
    assert origin["profiles"] == {"Colours turned": len(photos) - 1, broken: 1}
    (warning,) = [line for line in report["warnings"] if "colour profile" in line]
    assert photos[0].name in warning

    del origin["profiles"]
    before = copy_of(tmp_path / "built" / "manifests", "before")
    (before / "origin.json").write_text(json.dumps(origin))
    for source, converted in ((tmp_path / "built" / "manifests", True), (before, False)):
        out = tmp_path / f"out {converted}"
        rebuild_cufed5(source, albums, out, allow_missing=False, workers=1)
        row = next(row for row in rows(source / "test.csv") if row["photo"] != photos[0].name)
        photo = Image.open(albums / row["album"] / row["photo"]).convert("RGB")
        pixels = np.asarray(photo.resize((160, round(photo.height * 160 / photo.width)), 1))
        image = np.asarray(Image.open(out / layout.group_file(row["group"], int(row["k"]))))
        assert (np.abs(image.astype(int) - pixels).mean() > 20) == converted
