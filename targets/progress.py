"""How far a run is, as its growing record says: how many cases are planned, which runs, and what came of the others.

Reads what a target writes while it writes, so nothing here trusts it: a line that can't be understood says nothing.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections import Counter
from pathlib import Path

from reports import status
from reports.lines import OUTCOMES
from reports.record import LINE_LIMIT

CHUNK = 1024 * 1024


class Progress:
    """The account of one record while it grows."""

    def __init__(self) -> None:
        self.planned: int | None = None
        self.counts: Counter[str] = Counter()
        self._began = 0.0
        self._running: dict[str, None] = {}
        self._rest = b""

    @property
    def running(self) -> list[str]:
        """The cases that have begun and haven't ended: one for each of pytest's workers."""
        return list(self._running)

    def feed(self, data: bytes) -> None:
        """Take what has been added to the record."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            self._rest = b""
        for line in lines:
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(said, dict):
                self._take(said)

    def _take(self, line: dict[str, object]) -> None:
        case, planned, outcome = line.get("case"), line.get("planned"), line.get("outcome")
        if line.get("type") == "run" and isinstance(planned, list):
            self.planned = len(planned)
            self._began = time.monotonic()
        elif line.get("type") == "start" and isinstance(case, str):
            self._running[case] = None
        elif line.get("type") == "case" and isinstance(case, str) and outcome in OUTCOMES:
            self._running.pop(case, None)
            self.counts[status.counted_as(line)] += 1

    def in_words(self) -> str:
        """The account so far, "120 of 6386: 118 passed, 2 skipped"."""
        return status.in_words(self.counts, self.planned or 0)

    def time_left(self) -> str:
        """How long the rest will take, "; about 40 s left"; empty while that can't be told."""
        return status.time_left(self.counts, self.planned or 0, time.monotonic() - self._began)


class Tail:
    """What has been added to a file since one last looked. The file belongs to a target, and may be anything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def read(self) -> bytes:
        """At most CHUNK bytes; nothing where there is no regular file."""
        data = read_regular(self._path, CHUNK, self._at) or b""
        self._at += len(data)
        return data


def read_regular(path: Path, limit: int, offset: int = 0) -> bytes | None:
    """At most `limit` bytes of a regular file; None where there is none: a link is not followed, a pipe not waited for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        os.lseek(fd, offset, os.SEEK_SET)
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(limit)
    finally:
        os.close(fd)
