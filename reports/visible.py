"""Text from a record as it may be shown: what would hide, reorder or command is spelled out, and nothing is endless.

A record holds what a kernel and a command line said. Terminal commands, marks that reverse the direction of writing and
characters of no width would let it show something else than it holds.
"""

from __future__ import annotations

import re

LIMIT = 16 * 1024
"""The longest single text that is shown, in bytes of UTF-8."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad"  # controls but tab and newline, the soft hyphen
    "\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufeff\uffa0\ufff0-\uffff"
    "\ud800-\udfff"  # halves of a pair, which can't be written as UTF-8
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def visible(text: str, limit: int = LIMIT) -> str:
    """The text with every unseen character as an escape of Python's, `\\u202e`; cut off at `limit` bytes with a note."""
    shown = _UNSEEN.sub(_escape, text)
    if len(shown) * 4 <= limit:
        return shown
    data = shown.encode()
    if len(data) <= limit:
        return shown
    return data[:limit].decode(errors="ignore") + f" … [cut off here: {len(data) - limit} bytes more]"


def one_line(text: str) -> str:
    """Text of a record as a single line: visible, with its line ends and tabs spelled out too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("ascii", "backslashreplace").decode() if match[0] > "\x7f" else f"\\x{ord(match[0]):02x}"
