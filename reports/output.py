"""Writing a report to a file: whole or not at all, and never over something that isn't a report of its kind.

Owns the way to the disk for every form. Knows no form's content.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

HEAD = 1024
"""How much of an existing file is shown to the form that is to replace it, in bytes."""


class OutputError(Exception):
    """A report can't be written; the message is one sentence: which file, what, and what to do."""


def write_text(path: Path, text: str, kind: str, is_kind: Callable[[bytes], bool]) -> None:
    """Write `text` to `path` by way of a temporary file beside it. Missing directories are made.

    A file that is there is replaced only if it is empty, or `is_kind` knows its first bytes. Raises OutputError.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            _check(path, target, kind, is_kind)
        try:
            with temporary.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: it can't be written: {error.strerror}; name another file") from None


def _check(path: Path, target: Path, kind: str, is_kind: Callable[[bytes], bool]) -> None:
    if not target.is_file():
        raise OutputError(f"{path}: it isn't a regular file; name another file")
    with target.open("rb") as file:
        head = file.read(HEAD)
    if head and not is_kind(head):
        raise OutputError(
            f"{path}: it is there and isn't {kind}, so it isn't replaced; name another file, or remove it"
        )
