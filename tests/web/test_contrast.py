"""The contrast of the console's colours (WCAG 2.2), computed from its tokens in both themes."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.web.site import read

GROUNDS: Final = ("bg", "surface", "sunken", "raised")
KINDS: Final = ("image", "video", "audio", "text", "data", "model", "doc", "folder", "other")
SERIES: Final = tuple(f"s{n}" for n in range(1, 9))
MEANT: Final = (
    ".input",
    ".find",
    "svg.edge",
    ".dag > svg",
    ".sheet > svg",
    ".cut-line",
    ".rail i",
)
"""What is seen by its line alone: fields, edges of graphs, marks. A hairline only divides."""

TEXT: Final = 4.5
SHAPE: Final = 3.0
"""The least contrast of a text, and of a line, a mark or a focus (1.4.3, 1.4.11)."""


def pairs() -> Iterator[tuple[str, str, float]]:
    """Yield each pair of a colour and its ground, and the least contrast between them."""
    for ground in GROUNDS:
        yield from ((text, ground, TEXT) for text in ("text", "text-2", "text-3"))
        yield "line-strong", ground, SHAPE
        yield focus(), ground, SHAPE
    for ground in ("bg", "surface", "raised", "accent-soft"):
        yield "accent", ground, TEXT
    yield from (("text", "accent-soft", TEXT), ("text-2", "accent-soft", TEXT))
    yield from (("on-accent", "accent", TEXT), ("on-accent", "accent-hover", TEXT))
    yield from (("surface", "bad", TEXT), ("surface", "text", TEXT), ("text", "pressed", TEXT))
    for state in ("ok", "warn", "bad"):
        yield from ((state, on, TEXT) for on in ("bg", "surface", "raised", f"{state}-soft"))
        yield "text", f"{state}-soft", TEXT
    for kind in KINDS:
        yield from ((f"m-{kind}", ground, TEXT) for ground in ("surface", "sunken"))
    for series in SERIES:
        yield from ((series, ground, SHAPE) for ground in ("bg", "surface", "sunken"))


def focus() -> str:
    """Return the token of the outline that marks the focus on everything."""
    rule = re.search(
        r"^:focus-visible \{ outline: 2px solid var\(--([\w-]+)\)", _sheet(), re.MULTILINE
    )
    assert rule
    return rule[1]


def _sheet() -> str:
    return read("css/console.css")


def tokens(theme: str) -> dict[str, str]:
    """Return the colour of each token in a theme, as six hex digits."""
    texts = dict(
        re.findall(r"--([\w-]+):\s*((?:light-dark\([^;]*\)|[^;]+));", read("css/tokens.css"))
    )
    found = {name: resolved(text, texts, theme) for name, text in texts.items()}
    return {name: text for name, text in found.items() if text}


def resolved(text: str, texts: Mapping[str, str], theme: str) -> str:
    """Return six hex digits, or "" for a token that is no plain colour."""
    if both := re.fullmatch(r"light-dark\((#\w+), (#\w+)\)", text):
        text = both[1 if theme == "light" else 2]
    if other := re.fullmatch(r"var\(--([\w-]+)\)", text):
        return resolved(texts[other[1]], texts, theme)
    digits = re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", text)
    return (
        ""
        if not digits
        else digits[1]
        if len(digits[1]) == 6
        else "".join(2 * c for c in digits[1])
    )


def luminance(colour: str) -> float:
    """Return the relative luminance of six hex digits."""
    parts = (int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_contrast_of_the_standard() -> None:
    assert contrast("000000", "ffffff") == pytest.approx(21)
    assert contrast("777777", "ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_lines_focus_and_series_stand_out_from_their_grounds(theme: str) -> None:
    colours = tokens(theme)
    found = {(a, b): contrast(colours[a], colours[b]) for a, b, _ in pairs()}

    assert {(a, b): found[a, b] for a, b, least in pairs() if found[a, b] < least} == {}


def test_every_series_of_the_tokens_is_checked() -> None:
    named = re.findall(r"--(s\d+):", read("css/tokens.css"))
    kinds = re.findall(r"--m-(\w+):", read("css/tokens.css"))

    assert (sorted(named), sorted(kinds)) == (sorted(SERIES), sorted(KINDS))


@pytest.mark.parametrize("selector", MEANT)
def test_a_line_that_means_something_has_the_strong_colour(selector: str) -> None:
    rules = re.findall(rf"^{re.escape(selector)} \{{([^}}]*)\}}", _sheet(), re.MULTILINE)

    assert any("var(--line-strong)" in rule for rule in rules)
    assert not any("var(--line)" in rule for rule in rules)
