"""What has no number, and why: noted by `evaluate` in notes.json, told by `tables`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NotRun:
    """What a method was not run on, and why; empty for all references, or all images."""

    method: str
    reference: str
    image: str
    reason: str
