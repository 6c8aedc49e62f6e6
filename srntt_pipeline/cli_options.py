"""What the commands of `cli` have in common: their order in help, and options by kind.

The options that set parameters are made from the sections of `config`, which hold their defaults
and descriptions, so a command, its DVC stage and a params file always speak of the same keys.
"""

import functools
import operator
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from srntt_pipeline import config
from srntt_pipeline.cluster import cluster
from srntt_pipeline.parallel import default_workers
from srntt_pipeline.params_files import packaged_params
from srntt_pipeline.sections import OPTIONS, Section, validate
from srntt_pipeline.training import CACHE_GIB

Command = Callable[..., None]
PATH = click.Path(path_type=Path)
MACHINE = "Machine"  # the heading of options that change no result


class Option(click.Option):
    """An option with the heading that it stands under in help."""

    def __init__(self, *names: Any, heading: str = OPTIONS, **kind: Any) -> None:
        """Make it; `kind`: as click.Option takes it."""
        super().__init__(*names, **kind)
        self.heading = heading


class Headed(click.Command):
    """A command whose help has its options under headings: first those without, last `MACHINE`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        headed: dict[str, list[tuple[str, str]]] = {OPTIONS: []}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record and not isinstance(option, click.Argument):
                headed.setdefault(getattr(option, "heading", OPTIONS), []).append(record)
        headed[MACHINE] = headed.pop(MACHINE, [])
        for heading, records in headed.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class Pipeline(click.Group):
    """The commands in the order of the pipeline, not of the alphabet."""

    command_class = Headed

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands as they were defined."""
        return list(self.commands)


def parameters(model: type[Section], section: str) -> Callable[[Command], Command]:
    """Add `--params` and an option for each field of `model`; pass the section as `params`.

    An option beats the file's `section`, which beats the defaults.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, params_file: Path | None, **options: Any) -> None:
            file = config.read_params(params_file) if params_file else config.Params()
            found = operator.attrgetter(section)(file)
            values = found.model_dump(include=set(model.model_fields))
            for name in model.model_fields:
                given = options.pop(name)
                if given is not None:
                    values[name] = given
            params = validate(model, values, "options")
            command(*args, params=params, **options)

        fields = model.shown_fields()
        for name, heading in reversed(model.headings_of_fields().items()):
            run = option_of(name, fields[name], heading)(run)
        return click.option(
            "--params",
            "params_file",
            type=PATH,
            metavar="FILE|NAME",
            help=f"Take parameters from the section `{section}` of this file (YAML), or of one "
            f"that comes with the package: {', '.join(packaged_params())}.",
        )(run)

    return decorate


def option_of(name: str, field: Any, heading: str = OPTIONS) -> Callable[[Any], Any]:
    """Return the click option of a parameter; pydantic converts and checks its text."""
    option = functools.partial(click.option, cls=Option, heading=heading, default=None)
    flag = "--" + name.replace("_", "-")
    default = field.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    words = f"{field.description}" + ("" if default in (None, "", ()) else f"  [{shown}]")
    annotation = field.annotation
    optional = [part for part in typing.get_args(annotation) if part is not type(None)]
    if type(None) in typing.get_args(annotation) and len(optional) == 1:
        (annotation,) = optional
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if annotation is bool:
        return option(f"{flag}/--no-{flag[2:]}", name, help=words)
    if typing.get_origin(annotation) is typing.Literal:
        choice = click.Choice(typing.get_args(annotation))
        return option(flag, name, type=choice, help=words)
    if "tuple" in str(annotation):
        # Twice the option is one list too: --protocol A --protocol B.
        return option(flag, name, multiple=True, callback=_split, metavar="A,B,…", help=words)
    kind = {int: "INTEGER", float: "NUMBER"}.get(annotation, "TEXT")
    return option(flag, name, metavar=kind, help=words)


def _split(
    ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> list[str] | None:
    if not texts:
        return None
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def refuse(names: Iterable[str], where: str) -> None:
    """Refuse those options that were given although they mean nothing here."""
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name in names
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)} cannot be given {where}")


machine_option = functools.partial(click.option, cls=Option, heading=MACHINE)


def workers_options(command: Command) -> Command:
    """Add `--workers`, `--cluster` and `--cluster-config`; the command runs on that cluster."""

    @functools.wraps(command)
    def run(*args: Any, address: str | None, cluster_config: Path | None, **options: Any) -> None:
        with cluster(address, cluster_config):
            command(*args, **options)

    for option in (
        machine_option(
            "--cluster-config",
            type=PATH,
            metavar="FILE",
            help="With --cluster slurm: start the jobs that this file describes (YAML).  "
            "[SRNTT_CLUSTER_CONFIG]",
        ),
        machine_option(
            "--cluster",
            "address",
            metavar="ADDRESS|slurm",
            help="Use the workers of a Dask scheduler (tcp://…), or of jobs started on SLURM, "
            "instead of processes here.  [SRNTT_CLUSTER]",
        ),
        machine_option(
            "--workers",
            type=click.IntRange(min=1, max=1024),
            default=default_workers,
            help="Use so many processes; the results are the same for any number.  "
            "[SRNTT_WORKERS, or all cores]",
        ),
    ):
        run = option(run)
    return run


def device_option(command: Command) -> Command:
    """Add `--device`."""
    return machine_option(
        "--device",
        default="auto",
        show_default=True,
        help="Compute on this device: auto, cpu, cuda or cuda:N; auto is SRNTT_DEVICE, or "
        "CUDA where there is one.",
    )(command)


def memory_option(command: Command) -> Command:
    """Add `--max-memory`, passed in bytes."""
    return machine_option(
        "--max-memory",
        type=click.FloatRange(min=1.5, max=2**20),
        default=2,
        show_default=True,
        metavar="GIB",
        callback=lambda ctx, parameter, value: int(value * 2**30),
        help="Take at most so much memory in a process, GiB, at least 1.5; images that "
        "need more are refused.",
    )(command)


def checkpoint_encoder_option(command: Command) -> Command:
    """Add `--encoder-weights` where a file must be found again, not chosen."""
    return click.option(
        "--encoder-weights",
        metavar="FILE",
        help="Read the VGG19 weights from this file, if they have moved since swaps were computed.",
    )(command)


def checkpoint_files_options(command: Command) -> Command:
    """Add options for networks' files that must be found again, not chosen; pass `files`."""

    @functools.wraps(command)
    def run(
        *args: Any,
        encoder_weights: str | None,
        upscaler: str | None,
        matching_checkpoint: str | None,
        flow_weights: str | None,
        **options: Any,
    ) -> None:
        from srntt_pipeline.network_files import NetworkFiles

        files = NetworkFiles(encoder_weights, upscaler, matching_checkpoint, flow_weights)
        command(*args, files=files, **options)

    for name, what in (
        ("flow-weights", "RAFT's weights"),
        ("matching-checkpoint", "the network that finds matches"),
        ("upscaler", "the upscaler"),
    ):
        words = f"Read {what} from this file, if it has moved since swaps were computed."
        run = click.option(f"--{name}", metavar="FILE", help=words)(run)
    return checkpoint_encoder_option(run)


def cache_option(command: Command) -> Command:
    """Add `--cache-gib`."""
    return machine_option(
        "--cache-gib",
        type=click.FloatRange(min=0, max=2**20),
        default=CACHE_GIB,
        show_default=True,
        help="Keep swapped maps in this much memory, GiB; the rest is rebuilt at every use.",
    )(command)


def loop_options(command: Command) -> Command:
    """Add `--devices`, `--loader-workers` and `--overwrite`."""
    for option in (
        click.option(
            "--overwrite",
            is_flag=True,
            help="Replace another run in OUT, such as one of other parameters; it stays "
            "until this one has saved its own.",
        ),
        machine_option(
            "--loader-workers",
            type=click.IntRange(min=0, max=1024),
            default=0,
            show_default=True,
            help="Prepare batches in so many processes for each device; the batches are the same.",
        ),
        machine_option(
            "--devices",
            type=click.IntRange(min=1, max=1024),
            default=1,
            show_default=True,
            help="Train in so many processes, each on its own device and on an equal share of "
            "each batch. torchrun and srun start theirs themselves.",
        ),
    ):
        command = option(command)
    return command
