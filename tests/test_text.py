"""Texts that others wrote, shown where they could do something."""

import os
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.text import latex, markdown, printable, short_name, shortened, tally, valid

HOSTILE = st.text(st.characters() | st.sampled_from("\\{}~^&%#_$\n\r\x1b\u202e[]*<>|`"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("IMG 01 (copy).jpg", "IMG 01 (copy).jpg"),
        ("Löwe, 東京, שלום, 👩‍👩‍👧", "Löwe, 東京, שלום, 👩‍👩‍👧"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("a\nOK: all is well\r", r"a\nOK: all is well\r"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("a\x00\x7f\x85\u2028\ufeff", r"a\x00\x7f\x85\u2028\ufeff"),
        ("not UTF-8: \udcff", r"not UTF-8: \udcff"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown


@settings(deadline=None, max_examples=200)
@given(HOSTILE)
def test_nothing_printable_steers_a_terminal_or_ends_a_line(text):
    shown = printable(text)
    assert shown.splitlines() in ([], [shown])
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs")]
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()
    assert printable(shown) == shown


def test_name_that_is_not_utf8_is_text():
    assert valid("Löwe\n😀") == "Löwe\n😀"
    assert valid(os.fsdecode(b"L\xf6we")) == r"L\udcf6we"


def test_long_names_lose_their_middle():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abc…fg"
    assert [len(shortened("x" * 300, most)) for most in (3, 4, 40)] == [3, 4, 40]
    assert short_name(f"{'x' * 300}\n.jpg").endswith(r"\n.jpg")


@settings(deadline=None, max_examples=300)
@given(HOSTILE)
def test_latex_runs_nothing_of_a_text(text):
    escaped = latex(text)
    assert "\n" not in escaped
    assert "\r" not in escaped
    # Without the commands that we write, no sign is left that LaTeX takes for more than itself.
    ours = (
        r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}"
        r"|\\[{}&%#_$]|\{[\[\]*]\}"
        r"|\\ensuremath\{(?:-|\\(?:times|ell|uparrow|downarrow|rightarrow|geq|leq|beta))\}"
    )
    assert not set(re.sub(ours, "", escaped)) & set("\\{}~^&%#_$<>|[]*")


def test_latex_says_what_the_text_says():
    assert latex("a_b & 50 % of {x} #1 $~^") == (
        r"a\_b \& 50 \% of \{x\} \#1 \$\textasciitilde{}\textasciicircum{}"
    )
    assert latex("26.05…26.31, ×4, LR↑, SRNTT-ℓ2") == (
        r"26.05--26.31, \ensuremath{\times}4, LR\ensuremath{\uparrow}, SRNTT-\ensuremath{\ell}2"
    )


@settings(deadline=None, max_examples=300)
@given(HOSTILE)
def test_markdown_shows_a_text_as_it_is(text):
    escaped = markdown(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[|~$<>]", escaped)
    assert not re.search(r"&(?!lt;|gt;|amp;)", escaped)
    back = re.sub(r"\\([\\`*_\[|~$#+=-])", r"\1", escaped)
    for sign, entity in (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;")):
        back = back.replace(entity, sign)
    assert back == printable(text)


def test_markdown_leaves_numbers_and_the_names_of_methods_readable():
    assert [markdown(text) for text in ("-0.89", "+1.20", "- a", "# a")] == [
        "-0.89", "+1.20", r"\- a", r"\# a"
    ]  # fmt: skip
    assert markdown("SRNTT-l2 (SISR) #1a2b3c, HR (warp)") == "SRNTT-l2 (SISR) #1a2b3c, HR (warp)"


def test_last_lines_tell_what_was_made_and_what_was_there():
    assert tally("shards", 14, 14) == "shards: 14 made, 0 reused"
    assert tally("images", 0, 1234) == "images: 0 made, 1,234 reused"
