"""Cards beside checkpoints: what weights are and where they come from, as JSON and as a page."""

from pathlib import Path
from typing import Any

from srntt_pipeline.files import write_bytes, write_json
from srntt_pipeline.text import markdown

CARD, PAGE = "card.json", "card.md"


def write(out: Path, card: dict[str, Any]) -> None:
    """Write `card` to `out` as card.json and card.md; it names `method` and `checkpoint`."""
    write_json(out / CARD, card)
    write_bytes(out / PAGE, _markdown(card).encode())


def _markdown(card: dict[str, Any]) -> str:
    lines = [f"# {markdown(card['method'])}", "", f"Weights: `{card['checkpoint']}`.", ""]
    lines += ["| | |", "|---|---|"]
    for name, value in card.items():
        if isinstance(value, dict):
            lines += [f"| {name}.{key} | {_shown(inner)} |" for key, inner in value.items()]
        else:
            lines.append(f"| {name} | {_shown(value)} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        # A value that is a mapping itself, in parentheses.
        told = {k: f"({_shown(v)})" if isinstance(v, dict) else _shown(v) for k, v in value.items()}
        return ", ".join(f"{markdown(str(key))} {text}" for key, text in told.items()) or "–"
    return "–" if value in (None, "", []) else markdown(str(value))
