"""The command `srntt-pipeline`: parse, validate, call one function, report. No logic.

Functions are imported when their command runs: `--help` need not wait for PyTorch.
"""

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import srntt_pipeline
from srntt_pipeline import config
from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.cli_options import (
    PATH,
    Command,
    Pipeline,
    cache_option,
    checkpoint_encoder_option,
    checkpoint_files_options,
    device_option,
    loop_options,
    memory_option,
    option_of,
    parameters,
    refuse,
    workers_options,
)
from srntt_pipeline.console import reporting, say, say_line
from srntt_pipeline.importing import IMPORTERS, Importer
from srntt_pipeline.recipes import RECIPES, Recipe
from srntt_pipeline.training import CACHE_GIB

if typing.TYPE_CHECKING:
    from srntt_pipeline.network_files import NetworkFiles


@click.group(cls=Pipeline, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(srntt_pipeline.__version__)
def cli() -> None:
    """From photo albums to super-resolution tables (SRNTT, CVPR 2019).

    \b
    photo albums
      → build-cufed5      data set with similarity levels L1, L2, …
      → precompute-swaps  VGG19 feature correspondences in HDF5 shards
      → train             checkpoint
      → evaluate          PSNR/SSIM tables, picture grids, HTML page

    Each command reads files and writes files, goes on where it was stopped, and shows its defaults
    with --help. `dvc repro` runs them all. Exit codes: 0 done, 2 bad input or usage, 1 internal
    error, 130 or 143 stopped by Ctrl-C or SIGTERM.
    """


def main() -> None:
    """Run the command line."""
    with reporting():
        cli()


@cli.command()
@click.argument("out", type=PATH)
@parameters(config.DemoAlbumsParams, "demo_albums")
@workers_options
def demo_albums(out: Path, params: config.DemoAlbumsParams, workers: int) -> None:
    """Make photo albums to try the pipeline on, without a download.

    Writes to OUT one folder per photograph that comes with scikit-image, scikit-learn or
    matplotlib, with virtual photographs of it and of others: other views, light and lenses.

    Example:  srntt-pipeline demo-albums albums
    """
    from srntt_pipeline.albums.demo import demo_albums as run

    run(out, params, workers=workers)


def _shard(ctx: click.Context, parameter: click.Parameter, text: str | None) -> ArrayPart | None:
    return None if text is None else ArrayPart.parse(text)


@cli.command()
@click.argument("albums", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--manifest",
    type=PATH,
    metavar="FOLDER",
    help="Rebuild from the manifests/ of a data set: the same photos, boxes and parameters.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="With --manifest: go on without what needs photos that are missing or changed.",
)
@click.option(
    "--shard",
    metavar="K/N",
    callback=_shard,
    help="Make only the Kth part of features and counts; other parts can run at the "
    "same time elsewhere.",
)
@click.option("--merge", is_flag=True, help="Build from what all parts left in OUT/work.")
@parameters(config.BuildParams, "build")
@workers_options
@device_option
def build_cufed5(
    albums: Path,
    out: Path,
    manifest: Path | None,
    allow_missing: bool,
    params: config.BuildParams,
    workers: int,
    device: str,
    shard: ArrayPart | None,
    merge: bool,
) -> None:
    """Build a CUFED5-style data set from photo albums.

    ALBUMS holds one folder per album, nested or not (JPEG, PNG, WebP, TIFF, BMP). Writes to OUT
    train/input, train/ref and test/CUFED5 (PNG), manifests/ (CSV), summary.json, match_counts.png
    and contact_sheet.png; work/ keeps SIFT features and match counts for later runs. With
    --manifest, the same images are cut again from the photos that a manifest names.

    Example:  srntt-pipeline build-cufed5 photos dataset --levels-by quantiles
    """
    if manifest:
        from srntt_pipeline.albums.rebuild import rebuild_cufed5

        own = "with --manifest, whose origin.json holds the parameters"
        refuse(["params_file", "shard", "merge", *config.BuildParams.model_fields], own)
        rebuild_cufed5(manifest, albums, out, allow_missing=allow_missing, workers=workers)
        return
    refuse(["allow_missing"], "without --manifest")
    if shard:
        from srntt_pipeline.albums.prepare import prepare_part

        refuse(["merge"], "with --shard: first all parts, then --merge")
        prepare_part(albums, out, params, shard, workers=workers, device=device)
    else:
        from srntt_pipeline.albums.build import build_cufed5 as run

        run(albums, out, params, workers=workers, device=device, merge=merge)


@cli.command()
@click.argument("dataset", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--shard",
    metavar="K/N",
    callback=_shard,
    help="Make only the Kth of every N shard files; other parts can run at the same "
    "time elsewhere.",
)
@click.option("--merge", is_flag=True, help="Write the index over what all parts left in OUT.")
@parameters(config.SwapParams, "swaps")
@workers_options
@device_option
@memory_option
def precompute_swaps(
    dataset: Path,
    out: Path,
    params: config.SwapParams,
    workers: int,
    device: str,
    max_memory: int,
    shard: ArrayPart | None,
    merge: bool,
) -> None:
    """Match the training pairs' VGG19 features and store the swaps.

    Reads DATASET/train, writes to OUT HDF5 shards of correspondences, with --store maps
    of swapped maps too, and index.json. The ImageNet weights are downloaded once, unless
    --encoder-weights names a file or `random`.

    Example:  srntt-pipeline precompute-swaps dataset swaps --encoder-weights vgg19.pth
    """
    from srntt_pipeline.swaps.precompute import precompute_swaps as run

    if shard:
        refuse(["merge"], "with --shard: first all parts, then --merge")
    run(
        dataset,
        out,
        params,
        workers=workers,
        device=device,
        max_memory=max_memory,
        part=shard,
        merge=merge,
    )


_AFTER_RECIPE = (
    "name the recipe first: SRNTT is trained by `srntt-pipeline train srntt DATASET SWAPS OUT`"
)


class Recipes(Pipeline):
    """Recipes of training; what is none of them is refused with what to write instead."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the recipe; raise UsageError for options before it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(f"{error.option_name}: {_AFTER_RECIPE}", ctx) from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return the command of a recipe; raise UsageError for another word."""
        if args and args[0] not in self.commands:
            known = ", ".join(self.commands)
            told = f"{args[0]}: no such recipe (known: {known}); {_AFTER_RECIPE}"
            raise click.UsageError(told, ctx)
        return super().resolve_command(ctx, args)


@cli.group(cls=Recipes, subcommand_metavar="RECIPE DATASET [SWAPS] OUT [OPTIONS]")
def train() -> None:
    """Train a network by a recipe: SRNTT, or what it is compared with.

    Each recipe has its own options: `srntt-pipeline train RECIPE --help`.

    Example:  srntt-pipeline train srntt dataset swaps model --variant srntt
    """


def _add_recipe(name: str, recipe: type[Recipe]) -> None:
    """Add `train NAME`: SWAPS, and options of theirs, where some phase is fed with maps."""
    with_maps = recipe.takes("maps")

    def command(
        dataset: Path,
        out: Path,
        params: Recipe,
        swaps: Path | None = None,
        cache_gib: float = CACHE_GIB,
        **options: Any,
    ) -> None:
        from srntt_pipeline.training.loop import train as run

        run(params, dataset, out, swaps, cache_bytes=int(cache_gib * 2**30), **options)

    command.__doc__ = f"""Train {name}: {recipe.summary()}

    Reads DATASET/train{" and SWAPS" if with_maps else ""}; writes to OUT the checkpoint
    (.safetensors and .json, called as the network) and its card (card.json, card.md), loss.csv,
    validation.csv, metrics.json, dvclive/ with curves and pictures, and resume/, from which a
    stopped run goes on.

    Example:  srntt-pipeline train {name} dataset {"swaps " if with_maps else ""}model --steps 2000
    """
    decorators: list[Any] = [
        click.argument("dataset", type=PATH),
        *([click.argument("swaps", type=PATH)] if with_maps else []),
        click.argument("out", type=PATH),
        parameters(recipe, f"train.{name}"),
        *([_content_option(recipe)] if recipe().start() else []),
        loop_options,
        device_option,
        *([checkpoint_encoder_option, cache_option] if with_maps else []),
    ]
    decorated: Any = command
    for decorate in reversed(decorators):
        decorated = decorate(decorated)
    train.command(name)(decorated)


def _content_option(recipe: type[Recipe]) -> Callable[[Command], Command]:
    start = recipe().start()
    model = start.model if start else ""
    words = f"Start from a checkpoint that `train {model}` wrote, of equal size."
    if not model:
        words = "Start from the SR image that this checkpoint of a network on LR alone makes."
    return click.option("--content", type=PATH, metavar="CHECKPOINT", help=words)


for _name, _recipe in RECIPES.items():
    _add_recipe(_name, _recipe)


def _list_protocols(ctx: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from srntt_pipeline.evaluation.protocols import PROTOCOLS

        for protocol in PROTOCOLS.values():
            say(f"{protocol.name}\n  {protocol.words}. {protocol.meaning}")
        ctx.exit()


@cli.command()
@click.argument("dataset", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--method",
    "methods",
    metavar="SOURCE",
    multiple=True,
    help="Measure this beside bicubic; repeat for more: a checkpoint; a folder of "
    "checkpoints; NAME=FOLDER of SR images made elsewhere; [NAME=]package.module:Class; or "
    "the name of an installed entry point of the group srntt_pipeline.methods, such as selfex "
    "and landmark (docs/adding.md).",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=PATH,
    multiple=True,
    help="Measure a checkpoint that train wrote: the short form of --method.",
)
@parameters(config.EvaluateParams, "evaluate")
@click.option(
    "--list-protocols",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_protocols,
    help="Explain the protocols and exit.",
)
@workers_options
@device_option
@checkpoint_files_options
def evaluate(
    dataset: Path,
    out: Path,
    methods: tuple[str, ...],
    checkpoints: tuple[Path, ...],
    params: config.EvaluateParams,
    workers: int,
    device: str,
    files: "NetworkFiles",
) -> None:
    """Measure PSNR and SSIM on a test set, and draw what they mean.

    DATASET is in CUFED5 layout (built here or downloaded; its root or its test/CUFED5), in that of
    Sun80 or WR-SR, or a folder of HR images (Urban100), with references elsewhere (--ref-folder)
    or none. Writes to OUT table.csv, table.md, comparisons.csv (paired
    tests), per_image.csv, index.html, metrics.json, plots/, grids/ and images/. What an earlier run
    left there is used again, be it of other methods or protocols.

    Example:  srntt-pipeline evaluate dataset results --method model --method theirs=their_images
    """
    from srntt_pipeline.evaluation.evaluate import evaluate as run

    run(
        dataset,
        out,
        params,
        methods=[*methods, *checkpoints],
        workers=workers,
        device=device,
        files=files,
    )


@cli.command()
@click.argument("results", type=PATH, nargs=-1, required=True)
@click.option("-o", "--out", type=PATH, required=True, help="Write the tables to this folder.")
@parameters(config.TablesParams, "tables")
def tables(results: tuple[Path, ...], out: Path, params: config.TablesParams) -> None:
    """Assemble the paper's Tables 1-3 and Figures 5 and 7, ours beside the paper's.

    RESULTS are folders that evaluate wrote, of one data set or several, or a folder of such
    folders. Writes to OUT table1, table2, table3 and figure7 as .csv, .md, .tex and .html,
    comparisons.csv and metrics.json, and figure5/, details of images by each method, as .png and
    .pdf. A cell that cannot be filled says why.

    Example:  srntt-pipeline tables results/cufed5 results/urban100 -o tables
    """
    from srntt_pipeline.evaluation.paper_tables import paper_tables

    paper_tables(results, out, params)


@cli.command()
@click.argument("lr", type=PATH)
@click.option("--ref", "refs", type=PATH, multiple=True, help="Add a reference; repeat for more.")
@click.option("--checkpoint", type=PATH, required=True, help="Use the checkpoint that train wrote.")
@click.option(
    "-o", "--out", type=PATH, required=True, help="Write the SR image to this file (PNG)."
)
@parameters(config.SuperResolveParams, "super_resolve")
@device_option
@memory_option
@checkpoint_files_options
def super_resolve(
    lr: Path,
    refs: tuple[Path, ...],
    checkpoint: Path,
    out: Path,
    params: config.SuperResolveParams,
    device: str,
    max_memory: int,
    files: "NetworkFiles",
) -> None:
    """Enlarge the image LR by 4, with the texture of reference photos.

    LR may have any size from 3 px a side on. The network may be any that train wrote; without
    --ref, LR is its own reference where it needs one.

    Example:  srntt-pipeline super-resolve small.png --ref a.jpg --ref b.jpg --checkpoint model -o
    large.png
    """
    from srntt_pipeline.methods.super_resolve import super_resolve as run

    run(
        lr, refs, checkpoint, out, params, device=device, files=files, max_memory=max_memory
    )  # fmt: skip


@cli.command()
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@parameters(config.Matching, "build")
@click.option(
    "--long-side-px",
    type=click.IntRange(16, config.LARGEST_PX),
    help="Shrink both images to this.",
)
def count_matches(a: Path, b: Path, params: config.Matching, long_side_px: int | None) -> None:
    """Print the number of best SIFT matches of image A in image B.

    Grey images, OpenCV's SIFT defaults, Lowe's ratio test: the count that levels are made of.

    Example:  srntt-pipeline count-matches 001_0.png 001_1.png
    """
    from srntt_pipeline.albums.counts import count_matches as run

    say(str(run(a, b, params, long_side_px or 0)))


@cli.command()
@click.argument("sample")
@click.option("-o", "--out", type=PATH, required=True, help="Write the picture to this file (PNG).")
@click.option("--ref", "refs", type=PATH, multiple=True, help="Add a reference; repeat for more.")
@click.option(
    "--swaps",
    type=PATH,
    help="Read these swaps, as precompute-swaps wrote them: SAMPLE names a pair.",
)
@click.option("--dataset", type=PATH, help="With --swaps: read the data set that they are of.")
@parameters(config.MatchParams, "swaps")
@device_option
def show_match(
    sample: str,
    out: Path,
    refs: tuple[Path, ...],
    swaps: Path | None,
    dataset: Path | None,
    params: config.MatchParams,
    device: str,
) -> None:
    """Draw what the patches of an image were matched with.

    SAMPLE is an HR image, which is downscaled and matched with each --ref; or, with --swaps and
    --dataset, the name of a training pair. The picture shows LR↑ and the references, where each
    patch was found, its score and version, and an image rebuilt from the patches that were found.

    Example:  srntt-pipeline show-match 001_0.png --ref 001_1.png --ref 001_2.png -o match.png
    """
    from srntt_pipeline.swaps.show import show_match as run

    if swaps:
        own = "with --swaps, which tell how they were matched"
        known = set(config.MatchParams.model_fields) - {"upscaler"}  # its file may have moved
        refuse(["refs", "params_file", *known], own)
    run(sample, out, params, refs=refs, swaps=swaps, dataset=dataset, device=device)


@cli.group("import-weights", cls=Pipeline, subcommand_metavar="METHOD FILES… -o OUT")
def import_weights() -> None:
    """Make a checkpoint of weights that others published.

    Nothing in their files is run. What is written is used like what train writes; its card and its
    JSON tell the files that it comes from.

    Example:  srntt-pipeline import-weights sisr upscale.npz -o upscaler
    """


def _add_importer(known: Importer) -> None:
    """Add `import-weights NAME`: its files, and for a network on maps encoder and upscaler."""

    def command(out: Path, **given: Any) -> None:
        from srntt_pipeline.import_weights import import_weights as run

        files = [given.pop(name) for name in places]
        run(known.name, files, out, **given)

    places = [f"file_{number}" for number in range(len(known.files))]
    example = " ".join(name.lower() for name in known.files)
    with_maps = known.swaps is not None
    encoder = " --encoder-weights caffe:vgg19.mat" * with_maps
    command.__doc__ = f"""{known.help}

    Writes to OUT the checkpoint (.safetensors and .json, called as the network) and its card.

    Example:  srntt-pipeline import-weights {known.name} {example} -o model{encoder}
    """
    fields = config.SwapParams.model_fields
    options: list[Any] = [
        *(
            click.argument(place, type=PATH, metavar=name)
            for place, name in zip(places, known.files, strict=True)
        ),
        click.option("-o", "--out", type=PATH, required=True, help="Write to this folder."),
    ]
    if with_maps:
        encoder = str(fields["encoder_weights"].description)
        words = f"Name the VGG19 that it was trained with. {encoder}"
        options.append(click.option("--encoder-weights", metavar="TEXT", help=words))
        options.append(option_of("upscaler", fields["upscaler"]))
    decorated: Any = command
    for decorate in reversed(options):
        decorated = decorate(decorated)
    import_weights.command(known.name)(decorated)


for _importer in IMPORTERS.values():
    _add_importer(_importer)


@cli.group(cls=Pipeline)
def manifest() -> None:
    """Verify, compare and count manifests.

    A manifest is the manifests/ folder of a data set: its rows are the data set, its images are cut
    from the photos as they say (build-cufed5 --manifest).

    Example:  srntt-pipeline manifest verify dataset
    """


@manifest.command("verify")
@click.argument("dataset", type=PATH)
@click.option("--albums", type=PATH, help="Check the photos too, and cut the images again.")
@workers_options
def manifest_verify(dataset: Path, albums: Path | None, workers: int) -> None:
    """Check a data set against its manifest.

    DATASET is a data set built here, or the manifests/ folder of one, of which the tables alone are
    checked. Prints a line per finding, or OK.

    Example:  srntt-pipeline manifest verify dataset --albums photos
    """
    from srntt_pipeline.albums.verify import verify as run

    say(run(dataset, albums=albums, workers=workers, say=say_line))


@manifest.command("diff")
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
def manifest_diff(a: Path, b: Path) -> None:
    """Tell how two manifests differ.

    A and B are manifests/ folders. The first line says whether they are identical; then come
    parameters, versions and counts that differ, rows only in one, and changed rows. Rows are
    compared by photos and boxes, not by their running names.

    Example:  srntt-pipeline manifest diff old/manifests new/manifests
    """
    from srntt_pipeline.albums.diff import diff_manifests as run

    say(run(a, b))


@manifest.command("stats")
@click.argument("manifests", type=PATH)
@click.option("-o", "--out", type=PATH, help="Write all of it to this file (CSV).")
def manifest_stats(manifests: Path, out: Path | None) -> None:
    """Count what a manifest holds, by level, event and album.

    MANIFESTS is the manifests/ folder of a data set. Prints the first lines of each table: training
    pairs, test references, their matches, photos, and how far their crops overlap.

    Example:  srntt-pipeline manifest stats dataset/manifests -o stats.csv
    """
    from srntt_pipeline.albums.stats import manifest_stats as run

    say(run(manifests, out))


@cli.group(cls=Pipeline)
def shards() -> None:
    """Describe, verify and convert swap shards.

    Swap shards are the folder that precompute-swaps writes; docs/formats.md describes the files.

    Example:  srntt-pipeline shards info swaps
    """


@shards.command("info")
@click.argument("swaps", type=PATH)
def shards_info(swaps: Path) -> None:
    """Tell what made swap shards and what they weigh.

    Prints encoder, parameters, size (also against maps stored in full), scores, and which versions
    of the references were matched.

    Example:  srntt-pipeline shards info swaps
    """
    from srntt_pipeline.swaps.info import shards_info as run

    say(run(swaps))


@shards.command("verify")
@click.argument("swaps", type=PATH)
@click.option("--dataset", type=PATH, help="Check that the swaps are of the images in there.")
def shards_verify(swaps: Path, dataset: Path | None) -> None:
    """Check swap shards.

    Checksums, the index, shapes and ranges of every pair. Prints a line per finding, or OK.

    Example:  srntt-pipeline shards verify swaps --dataset dataset
    """
    from srntt_pipeline.swaps.verify import verify_shards as run

    say(run(swaps, dataset=dataset, say=say_line))


@shards.command("convert")
@click.argument("swaps", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--dataset", type=PATH, required=True, help="Read the data set that the swaps are of."
)
@click.option("--store", type=click.Choice(["correspondence", "maps"]), required=True)
@click.option(
    "--maps-dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True
)
@click.option(
    "--maps-codec", type=click.Choice(["none", "lzf", "gzip"]), default="none", show_default=True
)
@workers_options
@device_option
@checkpoint_encoder_option
def shards_convert(swaps: Path, out: Path, **options: Any) -> None:
    """Make shards with swapped maps from shards of correspondences, or the other way round.

    Writes to OUT what precompute-swaps with these options would, without matching again.

    Example:  srntt-pipeline shards convert swaps swaps-maps --dataset dataset --store maps
    """
    from srntt_pipeline.swaps.convert import convert_shards as run

    run(swaps, out, **options)


@cli.group("user-study", cls=Pipeline)
def user_study() -> None:
    """Ask people which SR image has the higher resolution.

    The paper's user study (section 5.2, Figure 6), in the order of the commands: pairs of pictures
    out of an evaluation, votes on a page, with a server or without, and a report of them.

    Example:  srntt-pipeline user-study serve study
    """


@user_study.command("make")
@click.argument("results", type=PATH)
@click.argument("study", type=PATH)
@click.option("--method", metavar="NAME", required=True, help="Compare the images of this method.")
@click.option(
    "--against",
    metavar="NAME",
    multiple=True,
    required=True,
    help="Compare them with this method; repeat for more. Names are those of table.csv.",
)
@parameters(config.StudyParams, "study")
def user_study_make(
    results: Path, study: Path, method: str, against: tuple[str, ...], params: config.StudyParams
) -> None:
    """Make a user study of an evaluation's images.

    RESULTS is a folder that evaluate wrote. Writes to STUDY study.json, pictures/ and index.html,
    which is the page for those who have no server: participants download their votes.

    Example:  srntt-pipeline user-study make results study --method SRNTT --against SCN --against
    MDSR
    """
    from srntt_pipeline.study.make import make_study

    make_study(results, study, params, method=method, against=against)


@user_study.command("serve")
@click.argument("study", type=PATH)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Listen on this address; 0.0.0.0 lets other machines in.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
def user_study_serve(study: Path, host: str, port: int) -> None:
    """Serve a user study until Ctrl-C.

    STUDY is a folder that user-study make wrote; votes go to votes.sqlite there. Started again, it
    goes on. It needs the extra `study` of this package.

    Example:  srntt-pipeline user-study serve study --port 8000
    """
    from srntt_pipeline.study.serve import serve_study as run

    run(study, host=host, port=port)


@user_study.command("collect")
@click.argument("study", type=PATH)
@click.argument("votes", type=PATH, nargs=-1, required=True)
def user_study_collect(study: Path, votes: tuple[Path, ...]) -> None:
    """Put downloaded votes to a study's others.

    VOTES are files that participants downloaded from STUDY/index.html, or folders of them. What is
    there already is not stored twice.

    Example:  srntt-pipeline user-study collect study votes-of-anna.json votes-of-ben.json
    """
    from srntt_pipeline.study.collect import collect_votes as run

    run(study, votes)


@user_study.command("report")
@click.argument("study", type=PATH)
@click.argument("out", type=PATH)
@parameters(config.StudyReportParams, "study_report")
def user_study_report(study: Path, out: Path, params: config.StudyReportParams) -> None:
    """Make Figure 6 of a user study's votes.

    Writes to OUT figure6.csv, .png and .pdf, scores.csv (Bradley-Terry), agreement.csv,
    participants.csv, votes.csv and index.html. The server may run meanwhile.

    Example:  srntt-pipeline user-study report study report
    """
    from srntt_pipeline.study.report import study_report as run

    run(study, out, params)
