"""The model card beside a checkpoint: what the weights are and what they came from.

It holds no times, so that equal runs write equal cards.
"""

import subprocess
from pathlib import Path
from typing import Any

import srntt_pipeline
from srntt_pipeline import cards
from srntt_pipeline.checkpoints import CheckpointInfo
from srntt_pipeline.files import file_sha256, fingerprint
from srntt_pipeline.models import entry
from srntt_pipeline.training.job import Job, described

_PACKAGE = Path(srntt_pipeline.__file__).parent


def write_card(
    out: Path,
    checkpoint: Path,
    job: Job,
    info: CheckpointInfo,
    best: tuple[Path, CheckpointInfo],
    **facts: Any,
) -> None:
    """Write `card.json` and `card.md` to `out`.

    `checkpoint` and `info`: of the last step; `best`: the same of the best validation; `facts` are
    shown as they are.
    """
    card = {
        "method": entry(job.model).row,
        "model": job.model,
        "recipe": info.recipe,
        "checkpoint": checkpoint.name,
        "weights_sha256": file_sha256(checkpoint),
        "software": info.software,
        "git_commit": source_commit(),
        "step": info.step,
        "phases_end_at_step": {phase.name: phase.stop for phase in job.phases},
        "phases": described(job.phases),
        "best": {
            "checkpoint": best[0].relative_to(out).as_posix(),
            "weights_sha256": file_sha256(best[0]),
            "step": best[1].step,
            **best[1].metrics,
        },
        **job.sources.split.card,
        "made_from": job.made_from_sha256,
        "manifest_sha256": _manifest_hash(job.dataset),
        "data_sha256": job.sources.data_hash,
        "swaps": _swaps(job),
        "content_sha256": job.start.info.weights_sha256 if job.start else None,
        "params": job.params.model_dump(mode="json"),
        "sizes": info.model_dump(mode="json")["sizes"],
        "metrics": info.metrics,
        **facts,
    }
    cards.write(out, card)


def source_commit(folder: Path = _PACKAGE) -> str | None:
    """Return the commit of the checkout that the package runs from.

    With `-dirty` where tracked files differ; None for a package that is installed, also into a
    folder of somebody's repository.
    """
    # Of a repository that does not track the package, the commit says nothing about it.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says in `folder`; None where it refuses, or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _swaps(job: Job) -> dict[str, Any] | None:
    if job.sources.shards is None:
        return None
    return {
        "made_from": job.sources.shards.made_from,
        "index_sha256": file_sha256(job.sources.shards.folder / "index.json"),
        "encoder": job.sources.shards.encoder.as_dict(),
        "params": job.sources.shards.params.model_dump(mode="json"),
    }


def _manifest_hash(dataset: Path) -> str | None:
    """Return the hash of a data set's manifests/ folder; None where there is none."""
    files = sorted((dataset / "manifests").glob("*.*"))
    return fingerprint([[path.name, file_sha256(path)] for path in files]) if files else None
