"""The few elements of SVG that reports are drawn with. Words are a record's: they are escaped here, and unseen characters shown."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from reports.visible import visible


def path(name: str, marks: str, title: str = "") -> Markup:
    """One path of a class, with what it is called; nothing where it has no marks."""
    said = f"><title>{_shown(title)}</title></path>" if title else "/>"
    return Markup(f'<path class="{name}" d="{marks}"{said}' if marks else "")


def text(x: float, y: float, words: str, name: str = "") -> Markup:
    """Text of a class at a place; the class says where of the text that is."""
    return Markup(
        f'<text{f" class={chr(34)}{name}{chr(34)}" if name else ""} x="{x:g}" y="{y:g}">{_shown(words)}</text>'
    )


def image(width: float, height: float, words: str, parts: Iterable[Markup]) -> Markup:
    """An image that scales with the width it is given; `words` say what it shows to who doesn't see it."""
    opening = f'<svg role="img" viewBox="0 0 {width:g} {height:g}" aria-label="{_shown(words)}">'
    return Markup(opening + "".join(parts) + "</svg>")


def line(points: Iterable[tuple[float, float]]) -> str:
    """The marks of a line through these points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def dots(points: Iterable[tuple[float, float]]) -> str:
    """The marks of dots, which a stroke with round ends makes of them."""
    return "".join(f"M{x:g} {y:g}h0" for x, y in points)


def _shown(words: str) -> str:
    return str(escape(visible(words)))
