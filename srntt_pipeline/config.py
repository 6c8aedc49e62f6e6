"""The parameters: one typed section per stage, read from a params file or from options.

This module alone reads params files. What a section of `Params` holds decides bytes; where and how
parallel a stage runs (workers, device, cluster) is never in there, so it never invalidates a
result; `cluster_config` has a file of its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model, model_validator

from srntt_pipeline.errors import InputError
from srntt_pipeline.metrics import METRICS
from srntt_pipeline.params_files import find_params
from srntt_pipeline.recipes import RECIPES, Recipe, get_recipe
from srntt_pipeline.sections import (
    MOST_COUNT,
    ONE_OR_MORE,
    Headings,
    Section,
    SectionType,
    Seed,
    validate,
)
from srntt_pipeline.yaml_files import read_yaml

BICUBIC = "bicubic"  # the upscaler that needs no file

LARGEST_PX = 16_384  # side of an image: 268 megapixels
# How a folder of images is read as a test set: as groups of HR and its references, or as HR alone.
SetLayout = Literal["auto", "groups", "images"]
Refine = Literal["none", "relu3_1", "relu1_1"]
MOST_EXAMPLES = 50  # images of a figure
_MOST_VERSIONS = 1024  # of a reference: scales × rotations × shifts (paper: 9)


if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[tuple(METRICS)]


class DemoAlbumsParams(Section):
    """`demo_albums`: albums of virtual photographs, from photographs that come with libraries."""

    photos_min: int = Field(
        8, ge=2, le=1000, description="Make at least so many photographs in an album."
    )
    photos_max: int = Field(
        12, ge=2, le=1000, description="Make at most so many photographs in an album."
    )
    long_side_px: int = Field(
        400, ge=64, le=4096, description="Make virtual photographs of this long side, px."
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _range(self) -> "DemoAlbumsParams":
        if self.photos_min > self.photos_max:
            raise ValueError("photos_min is above photos_max")
        return self


class Matching(Section):
    """What a match of two photos' SIFT features is (part of `build`)."""

    ratio: float = Field(
        0.75,
        gt=0,
        lt=1,
        description="Accept a match whose distance is below this times that of the second best "
        "(Lowe's ratio test).",
    )
    mutual: bool = Field(
        False, description="Count only matches that are each other's nearest neighbour."
    )
    verify: Literal["none", "homography", "fundamental"] = Field(
        "none",
        description="Count only matches that agree with one geometry, fitted by MAGSAC: a "
        "`homography` (planes, turned cameras) or a `fundamental` matrix (rigid scenes).",
    )
    verify_px: float = Field(
        3.0,
        gt=0,
        le=100,
        description="With --verify: accept matches up to this distance from the geometry, px.",
    )


class BuildParams(Matching):
    """`build`: from photo albums to a CUFED5-style data set (paper section 4)."""

    headings: ClassVar[Headings] = {
        "Photos": ("name", "long_side_px", "max_megapixels"),
        "Matches": ("sift_features", *Matching.model_fields),
        "Levels": ("levels", "levels_by", "bands"),
        "Training crops": ("crop_px", "crops_per_pair", "crop_matches", "train_pairs"),
        "Test set and split": (
            "test_groups",
            "test_albums",
            "near_duplicate_bits",
            "near_duplicate_share",
            "keep_near_duplicates",
            "seed",
        ),
    }

    name: str = Field("", description="Name the data set in tables; empty: as the albums folder.")
    long_side_px: int = Field(
        500,
        ge=64,
        le=LARGEST_PX,
        description="Shrink photos to this long side, px (CUFED5's test set: 500).",
    )
    max_megapixels: float = Field(
        100,
        gt=0,
        le=1000,
        description="Reject photos of more megapixels before they are decoded.",
    )
    sift_features: int = Field(
        0,
        ge=0,
        le=10**6,
        description="Keep at most so many SIFT features of a photo, those of the highest "
        "contrast; 0: all.",
    )
    levels: int = Field(
        4, ge=1, le=9, description="Make so many similarity levels; L1 is the most similar."
    )
    levels_by: Literal["bands", "quantiles"] = Field(
        "bands",
        description="Make levels by bands of match counts, or by quantiles within each album.",
    )
    bands: tuple[Annotated[int, Field(le=MOST_COUNT)], ...] | None = Field(
        None,
        max_length=9,
        description="Set the least match counts of L1, L2, …; default: 160, halved from level to "
        "level.",
    )
    crop_px: int = Field(
        160, ge=16, le=LARGEST_PX, description="Cut training crops of this side, px."
    )
    crops_per_pair: int = Field(
        2,
        ge=1,
        le=10_000,
        description="Cut at most so many training crops from one pair of photos.",
    )
    crop_matches: int = Field(
        5,
        ge=1,
        le=MOST_COUNT,
        description="Use only crops that share at least so many matches with their reference crop.",
    )
    near_duplicate_bits: int = Field(
        16,
        ge=0,
        le=64,
        description="Suspect a near-duplicate where the perceptual hashes (64 bits) of two photos "
        "differ in at most so many bits.",
    )
    near_duplicate_share: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Call suspects near-duplicates where at least this share of the keypoints of "
        "the one with fewer keypoints match.",
    )
    keep_near_duplicates: bool = Field(
        False, description="Keep photos in training that are near-duplicates of test photos."
    )
    train_pairs: int = Field(
        13761,
        ge=0,
        le=MOST_COUNT,
        description="Make at most so many training pairs (paper: 13,761).",
    )
    test_groups: int = Field(
        126, ge=0, le=MOST_COUNT, description="Make at most so many test groups (paper: 126)."
    )
    test_albums: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Keep this share of the albums for the test set, at least one album.",
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _bands(self) -> "BuildParams":
        if self.crop_px % 4:
            raise ValueError(f"crop_px must be a multiple of 4, the scale; {self.crop_px} is not")
        if self.crop_px > self.long_side_px:
            raise ValueError("crop_px is above long_side_px: no photo would hold a crop")
        if self.bands is None:
            return self
        if len(self.bands) != self.levels:
            raise ValueError(f"bands has {len(self.bands)} counts for levels = {self.levels}")
        if any(low >= high for high, low in zip(self.bands, self.bands[1:], strict=False)):
            raise ValueError(f"bands must fall from L1 on; got {list(self.bands)}")
        if self.bands[-1] < 0:
            raise ValueError("bands are counts of matches, so not negative")
        return self

    @property
    def matching(self) -> Matching:
        """What decides whether two features match, alone."""
        return Matching.model_validate(self.model_dump(include=set(Matching.model_fields)))

    @property
    def level_bands(self) -> tuple[int, ...]:
        """Least match count of each level, L1 first."""
        return self.bands or tuple(160 >> level for level in range(self.levels))


class MatchParams(Section):
    """What LR↑ is matched with, and by which encoder (part of `swaps`)."""

    heading: ClassVar[str] = "Matching"
    headings: ClassVar[Headings] = {
        "Encoder and upscaler": (
            "encoder_weights",
            "encoder_seed",
            "encoder_precision",
            "upscaler",
        ),
        "Versions of the references": ("scales", "rotations_deg", "shifts_px"),
    }

    encoder_weights: str = Field(
        "imagenet",
        min_length=1,
        description="Encode by this VGG19: `imagenet` (torchvision's, downloaded), `random`, or a "
        "file of torchvision's VGG19 parameters, whole or cut off after conv3_1. `caffe:FILE`: "
        "Caffe's, for BGR of 0…255 (`caffe-rgb:FILE`: for RGB), under the same names, or "
        "MatConvNet's .mat.",
    )
    encoder_seed: int = Field(0, ge=0, lt=2**63, description="Seed a `random` encoder.")
    upscaler: str = Field(
        BICUBIC,
        min_length=1,
        description="Enlarge LR to LR↑ and Ref↓ to Ref↓↑ by this: `bicubic` (paper), or a "
        "checkpoint of `sisr` (released code).",
    )
    matching: Literal["patches", "learnt", "flow-dis", "flow-raft"] = Field(
        "patches",
        description="Match an LR patch with the best of all `patches` by VGG19's maps (paper "
        "3.1); with the best by maps that a network learnt (`learnt`, of `matching_checkpoint`); "
        "or with the patch that optical flow leads to (Table 2, SRNTT-flow): OpenCV's DIS "
        "(`flow-dis`) or torchvision's RAFT (`flow-raft`). Flow uses no scales, rotations and "
        "shifts. The maps that are swapped in are always VGG19's.",
    )
    matching_checkpoint: str = Field(
        "",
        description="Find `learnt` matches by the extractor of this checkpoint, of `ttsr` or "
        "`ttsr-rec`.",
    )
    flow_weights: str = Field(
        "raft_large",
        min_length=1,
        description="Use this RAFT: `raft_large` or `raft_small` (torchvision's, downloaded), or "
        "a file of torchvision's parameters of either.",
    )
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field(
        (1.0, 0.7, 1.4),
        min_length=1,
        max_length=_MOST_VERSIONS,
        description="Match references at these scales too.",
    )
    rotations_deg: tuple[Annotated[float, Field(ge=-180, le=180)], ...] = Field(
        (0.0, -20.0, 20.0),
        min_length=1,
        max_length=_MOST_VERSIONS,
        description="Match references turned by these angles, degrees.",
    )
    shifts_px: tuple[Annotated[int, Field(ge=0, le=3)], ...] = Field(
        (0,),
        min_length=1,
        max_length=4,
        description="Match references shifted by these, px, each down with each right: relu3_1 "
        "sees a grid of 4 px.",
    )
    refine: Refine = Field(
        "relu3_1",
        description="Match on relu3_1's grid of 4 px (`none`, paper); or to the pixel: take the "
        "best of -3…3 px around the best on the grid, by relu3_1 at every pixel (`relu3_1`), and "
        "then the best of -1…1 px around that by relu1_1 (`relu1_1`). Optical flow is rounded to "
        "the grid (`none`) or to the pixel.",
    )
    refine_best: int = Field(
        1,
        ge=1,
        le=16,
        description="Refine so many of the best places on the grid, and keep the best of all.",
    )
    encoder_precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Compute VGG19's convolutions in this precision. `bfloat16` changes maps by "
        "0.3 % of their norm, and so some matches: a line says how many, measured on some pairs. "
        "Choose it where the processor has AMX.",
    )
    precision: Literal["float32", "tf32", "float16", "bfloat16"] = Field(
        "float32",
        description="Compute the products of matching in this precision. Others than `float32` "
        "change matches: a line says how many, measured on some pairs. `tf32` needs CUDA.",
    )

    @model_validator(mode="after")
    def _versions(self) -> "MatchParams":
        versions = len(self.scales) * len(self.rotations_deg) * len(self.shifts_px) ** 2
        if versions > _MOST_VERSIONS:
            raise ValueError(
                f"scales, rotations_deg and shifts_px make {versions} versions of each reference; "
                f"the most is {_MOST_VERSIONS}"
            )
        return self

    @model_validator(mode="after")
    def _learnt(self) -> "MatchParams":
        if self.matching == "learnt" and not self.matching_checkpoint:
            raise ValueError(
                "matching is learnt, but matching_checkpoint names no checkpoint; name one of ttsr "
                "or ttsr-rec"
            )
        if self.matching != "learnt" and self.matching_checkpoint:
            raise ValueError(
                f"matching_checkpoint is given, but matching is {self.matching}; set it to learnt, "
                "or leave the checkpoint out"
            )
        return self

    @property
    def by_flow(self) -> bool:
        """Whether optical flow tells where matches are; else patches are compared."""
        return self.matching.startswith("flow")

    @property
    def networks(self) -> set[str]:
        """The keys that name networks in use beside the encoder."""
        used = {
            "upscaler": self.upscaler != BICUBIC,
            "matching_checkpoint": self.matching == "learnt",
            "flow_weights": self.matching == "flow-raft",
        }
        return {name for name, in_use in used.items() if in_use}


class SwapParams(MatchParams):
    """`swaps`: encoder and augmented references of the feature swap (paper 3.1, 3.4)."""

    headings: ClassVar[Headings] = {
        "Shards": ("references", "pairs_per_shard", "store", "maps_dtype", "maps_codec")
    }

    references: Literal["ref", "lr"] = Field(
        "ref",
        description="Match a pair with its reference (`ref`), or with its LR image alone, at its "
        "own size (`lr`, the paper's SISR setting).",
    )
    pairs_per_shard: int = Field(
        256,
        ge=1,
        le=MOST_COUNT,
        description="Put at most so many training pairs into one HDF5 shard; with `maps`, at most "
        "64 MB too.",
    )
    store: Literal["correspondence", "maps"] = Field(
        "correspondence",
        description="Store the `correspondence`, from which training rebuilds swapped maps, or "
        "the `maps` too: a thousand times the size, but training only reads them.",
    )
    maps_dtype: Literal["float16", "float32"] = Field(
        "float16", description="Store maps in this type; float16 keeps three digits."
    )
    maps_codec: Literal["none", "lzf", "gzip"] = Field(
        "none", description="Compress stored maps: `none` is read fastest, `gzip` is smallest."
    )

    @property
    def storing(self) -> dict[str, str]:
        """What decides a shard's bytes beside its correspondences."""
        if self.store == "correspondence":
            return {"store": self.store}
        return {"store": self.store, "dtype": self.maps_dtype, "codec": self.maps_codec}

    @property
    def matched_by(self) -> dict[str, Any]:
        """What decides correspondences beside the networks and the images."""
        # Left out at their default: shards made before they were parameters are of these too.
        names = {"references", "matching", "encoder_precision"}
        changed = self.model_dump(mode="json", include=names, exclude_defaults=True)
        if self.refine != "none":
            changed["refine"] = self.refine
        if self.by_flow:
            return changed
        if self.refine != "none":
            changed["refine_best"] = self.refine_best
        return changed | self.model_dump(
            mode="json", include={"scales", "rotations_deg", "shifts_px", "precision"}
        )


class EvaluateParams(Section):
    """`evaluate`: what is measured, and how (paper section 5)."""

    headings: ClassVar[Headings] = {
        "Test set": ("layout", "lr", "ref_folder", "references", "max_images", "released"),
        "Measuring": ("protocol", "metric", "lpips_weights", "dists_weights", "seed"),
    }

    protocol: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        ("luma", "paper-urban100", "rgb"),
        min_length=1,
        max_length=1000,
        description="Measure PSNR and SSIM by these protocols; --list-protocols explains each.",
    )
    references: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (),
        max_length=1000,
        description="Evaluate with these references: HR (warp), L1, L2, … (or 1, 2, … where no "
        "level is known), LR, all, paper-all (L1 … L4, of a set with more), stitched, "
        "stitched-masa, best, random. Default: those that the protocols measure and the data set "
        "has; HR (warp) only where there are references, paper-all on the released CUFED5, 1 "
        "where no image has a 2.",
    )
    metric: Annotated[tuple[MetricName, ...], ONE_OR_MORE] = Field(
        (),
        max_length=1000,
        description="Metrics beside PSNR and SSIM: "
        + "; ".join(f"{metric.name} ({metric.meaning})" for metric in METRICS.values())
        + ".",
    )
    lpips_weights: str = Field(
        "",
        description="Read torchvision's AlexNet for lpips from this file; empty: downloaded once.",
    )
    dists_weights: str = Field(
        "", description="Read torchvision's VGG16 for dists from this file; empty: downloaded once."
    )
    max_images: int = Field(
        0, ge=0, le=MOST_COUNT, description="Evaluate only the first so many images; 0: all."
    )
    lr: str = Field(
        "",
        description="Take the LR images of this folder as they are, whatever kernel a protocol "
        "names; files are named as HR images or groups. Empty: LR is made from HR.",
    )
    ref_folder: str = Field(
        "",
        description="Find the references of the HR image NAME in this folder: NAME, NAME_ref, "
        "NAME_1 …, or a folder NAME. Empty: beside HR, or where Sun80 and WR-SR have them.",
    )
    layout: SetLayout = Field(
        "auto",
        description="Read the test set as `groups` of an HR image GGG_0 and its references GGG_1, "
        "GGG_2, …, or as HR `images` without references beside them; `auto`: as the names say.",
    )
    released: Literal["CUFED5", "Sun80", "Urban100"] | None = Field(
        None,
        description="State that these are the released images of that set. The paper's numbers "
        "stand beside those alone. Default: where an image is known by its pixels.",
    )
    seed: Seed = 0


class TablesParams(Section):
    """`tables`: the paper's tables and Figure 5 from evaluations (paper section 5)."""

    protocol: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (),
        max_length=1000,
        description="Protocols of the rows in Markdown, LaTeX and HTML; default: of each data set "
        "the one that is nearest to the paper's. The CSV has all.",
    )
    only_ours: bool = Field(
        False, description="Leave out the paper's rows for which there is no number of ours."
    )
    images: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (),
        max_length=MOST_EXAMPLES,
        description="Images of Figure 5, by name; default, and of a data set that has none of "
        "these: those over whose methods PSNR scatters most.",
    )
    max_images: int = Field(
        3, ge=0, le=MOST_EXAMPLES, description="How many images Figure 5 chooses; 0: no Figure 5."
    )
    methods: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (), max_length=1000, description="Methods of Figure 5, in this order; default: all."
    )
    detail: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (),
        max_length=1000,
        description="What Figure 5 enlarges of an image, IMAGE=WIDTHxHEIGHT+LEFT+TOP in px of HR; "
        "default: the square with most gradient in which the methods differ most.",
    )


class SuperResolveParams(Section):
    """`super_resolve`: one LR image with references at hand."""

    reference_long_side_px: int = Field(
        0,
        ge=0,
        le=LARGEST_PX,
        description="Shrink references to this long side, px; 0: that of the SR image.",
    )


class StudyParams(Section):
    """`study`: pairs of SR images that participants compare (paper section 5.2)."""

    references: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (),
        max_length=1000,
        description="Show these reference levels, such as L1; default: all that the method was "
        "evaluated with.",
    )
    protocol: str = Field(
        "",
        description="Show the pictures of this protocol; empty: the evaluation's first.",
    )
    pairs: int = Field(
        40, ge=1, le=1000, description="Show each participant so many pairs, or all that there are."
    )
    repeats: int = Field(
        4,
        ge=0,
        le=300,
        description="Show so many of these pairs again with sides changed; at most a third of the "
        "pairs.",
    )
    checks: int = Field(
        4,
        ge=0,
        le=1000,
        description="Show so many pairs of HR and bicubic, whose answer is known, or all that "
        "there are.",
    )
    plans: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Put so many orders of pairs into the page without a server; each is for one "
        "participant.",
    )
    most_participants: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Take at most so many participants on the server.",
    )
    seed: Seed = 0


class StudyReportParams(Section):
    """`study_report`: Figure 6 from votes (paper section 5.2)."""

    least_right: float = Field(
        0.75,
        ge=0,
        le=1,
        description="Count participants who have at least this share of the checks right.",
    )
    resamples: int = Field(
        2000,
        ge=100,
        le=100_000,
        description="Make intervals from so many bootstrap resamples of the participants.",
    )
    seed: Seed = 0


class _Recipes(Section):
    """`train`: a section for each recipe that a network can be trained by."""


# A recipe brings its section with it: `train.srntt`, `train.edsr`, …
_sections: dict[str, Any] = {name: (recipe, recipe()) for name, recipe in RECIPES.items()}
TrainSections = create_model(
    "TrainSections", __base__=_Recipes, __doc__=_Recipes.__doc__, **_sections
)


class Params(Section):
    """A whole params file; every section and key is optional."""

    demo_albums: DemoAlbumsParams = DemoAlbumsParams()
    build: BuildParams = BuildParams()
    swaps: SwapParams = SwapParams()
    train: TrainSections = TrainSections()
    evaluate: EvaluateParams = EvaluateParams()
    tables: TablesParams = TablesParams()
    super_resolve: SuperResolveParams = SuperResolveParams()
    study: StudyParams = StudyParams()
    study_report: StudyReportParams = StudyReportParams()


def as_stored(swaps: Any) -> Any:
    """Return parameters of swaps from a file as that file means them, before they are checked.

    Files of before refinement do not name it: their matches are on the grid.
    """
    if isinstance(swaps, dict) and "refine" not in swaps:
        return {**swaps, "refine": "none"}
    return swaps


def read_params(path: Path | str) -> Params:
    """Read a params file (YAML), or the one of that name that comes with the package.

    These are `laptop`, `cufed` and the other names that `--help` lists; a file of yours that is
    called so goes first. Raises InputError with one line that names the file, the key, and what
    was probably meant; where there is no such file, one that lists the names.
    """
    path = find_params(Path(path))
    content = read_yaml(path, "params file")
    if isinstance(content, dict):
        _check_moved(content, path)
        content = _named(content)
        content["train"] = _named(content.get("train", {}))
    return validate(Params, content or {}, str(path))


def _named(sections: Any) -> Any:
    """Return `sections` with those that have no keys, which YAML reads as None, as empty ones."""
    # DVC wants each section that it tracks to be named.
    if not isinstance(sections, dict):
        return {} if sections is None else sections
    return {name: {} if section is None else section for name, section in sections.items()}


def _check_moved(content: Mapping[str, Any], path: Path) -> None:
    """Raise InputError that says where a key is now, for files older than the recipes."""
    train = content.get("train")
    keys = train if isinstance(train, dict) else {}
    moved = [key for key in keys if key not in RECIPES and key in RECIPES["srntt"].model_fields]
    if moved:
        raise InputError(
            f"{path}: train.{moved[0]} is now train.srntt.{moved[0]}: below train, each recipe has "
            f"a section of its own ({', '.join(RECIPES)})"
        )
    if "upscaler" in content:
        raise InputError(f"{path}: the section upscaler is now train.sisr")


def recipe_params(params: Params, name: str) -> Recipe:
    """Return the section of the recipe of that name; raise InputError where there is none."""
    section: Recipe = getattr(params.train, get_recipe(name).recipe)
    return section


def override(section: SectionType, given: Sequence[str]) -> SectionType:
    """Return `section` with what is `given` as KEY=VALUE; lists as A,B. Raises InputError."""
    values = section.model_dump()
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{text}: expected KEY=VALUE")
        values[key] = value.split(",") if isinstance(values.get(key), tuple) else value
    return validate(type(section), values, " ".join(given))
