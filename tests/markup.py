"""A page taken apart, for the tests of what makes pages: whole or not, and its text, tags, ids and links."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "input", "hr", "col"}
"""Elements without an end."""

UNENDED = {"li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "option"}
"""Elements whose end tag HTML lets one leave out: what follows ends them."""


class Page(HTMLParser):
    """A page taken apart: its tags are checked for balance, its text and ids are kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while (last := self.open.pop()) != tag:
            assert last in UNENDED

    def handle_data(self, data: str) -> None:
        self.text += data
