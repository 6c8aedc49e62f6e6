"""Showing text that others wrote, such as file names: nothing in it steers who shows it."""

import re
import unicodedata

# Control codes, codes that turn the direction of text or cannot be seen, halves of characters, and
# line ends. Joiners stay: scripts and emoji need them.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"


def printable(text: str, keep: str = "") -> str:
    r"""Return `text` with each character that is not seen as an escape: `\n`, `\x1b`, `\u202e`.

    Characters in `keep` stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in keep or _is_seen(character) else _escape(character)
        for character in text
    )


def _is_seen(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _UNSEEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def valid(name: str) -> str:
    """Return the name of a file or folder as text: bytes that are not UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, most: int) -> str:
    """Return `text` with no more than `most` characters (at least 3): its middle becomes `…`."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def tally(things: str, made: int, of: int) -> str:
    """Return how a command's last line tells what it made of `of` things, and what was there."""
    return f"{things}: {made:,} made, {of - made:,} reused"


def short_name(name: str, most: int = 40) -> str:
    """Return a name as pictures show it: printable, of one line, its middle left out if long."""
    return shortened(printable(name), most)


# What Markdown takes for more than text in a line, or at its start; HTML is part of Markdown.
_MARKDOWN = re.compile(r"[\\`*_\[<>&|~$]|^[#+=-](?![0-9])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def markdown(text: str) -> str:
    """Return `text` such that Markdown, and the HTML that is made of it, shows it as it is."""
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), printable(text))


# pdflatex knows these by other names, or in no font that it has without a package.
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    # After the end of a row these would be options of it.
    "[": "{[}", "]": "{]}", "*": "{*}",
    "…": "--", "–": "--", "—": "---", "−": r"\ensuremath{-}", "×": r"\ensuremath{\times}",
    "ℓ": r"\ensuremath{\ell}", "↑": r"\ensuremath{\uparrow}", "↓": r"\ensuremath{\downarrow}",
    "→": r"\ensuremath{\rightarrow}", "≥": r"\ensuremath{\geq}", "≤": r"\ensuremath{\leq}",
    "β": r"\ensuremath{\beta}",
}  # fmt: skip
_LATEX_TABLE = str.maketrans(_LATEX)


def latex(text: str) -> str:
    """Return `text` such that LaTeX sets it as it is, and runs nothing that it says.

    Letters beyond these and Latin ones need lualatex or xelatex, and a font that has them.
    """
    return printable(text).translate(_LATEX_TABLE)
