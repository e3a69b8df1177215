"""The timeline of a case as inline SVG: who called what, who slept, and what had come by each moment.

A pure function of the case's line, and small, since a page has thousands. It is drawn on a grid of characters: a row for each
thread, and a place for each thing that happened, in order and not to scale. The same calls with all their times stand as text
beside it; how it looks, and the words that explain it once a page, are in `templates/drawing.html`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup, escape

from reports import svg
from reports.decode import POLL_CODES, signal_name
from reports.lines import Case, Observed, Signal, Step
from reports.visible import visible

CELL, LINE = 7, 16
"""The grid: the width of a character and the height of a row, in px."""

COLUMNS, SLEEPERS = 144, 9
"""How many columns of calls are drawn at most, the last ones, and how many sleepers, the first ones."""

NAME = 24
"""The longest name that is drawn, in characters."""

PERIOD = 4
"""Up to so many calls that come again and again in one order are drawn as one."""

CASE, CHILD = "case", "child"
"""The rows of what the case calls itself, and of what it has children call."""

TIMES = "\N{MULTIPLICATION SIGN}"

# How native names what isn't a system call under test. A moment is from a fence to the fetch of its signals.
_FENCE, _FETCH, _OF_CHILD = "fence", "drain_signals", "child: "
_NO_ACTS = (_FENCE, "getsockname", "if_index")
_QUERIES = ("SIOCOUTQ", "SIOCINQ", "SO_MEMINFO", "F_GETFL")


class _Event(NamedTuple):
    """A call of the case, or several alike, or a moment: its `row` is None, and `signals` are what was fetched at it."""

    t_ns: int
    row: str | None
    label: str
    signals: str = ""


class _Sleep(NamedTuple):
    """A call of another thread; `began` and `ended` are None where the record doesn't say."""

    call: str
    began: int | None
    ended: int | None

    @property
    def words(self) -> str:
        """What became of it, "recv slept from 12 µs, returned at 15 µs"."""
        since = f" slept from {_time(self.began)}," if self.began is not None else ""
        return f"{self.call}{since} {'never returned' if self.ended is None else f'returned at {_time(self.ended)}'}"


def timeline(case: Case) -> Markup | None:
    """The drawing, or None where no call was recorded."""
    observed = case.observed
    steps = observed.steps if observed else ()
    if not observed or not steps:
        return None
    own = observed.pid if any(step.tid == observed.pid for step in steps) else steps[0].tid
    events = _last(_events([step for step in steps if step.tid == own], observed))
    return _drawn(events, _sleeps(step for step in steps if step.tid != own))


# What happened


def _sleeps(steps: Iterable[Step]) -> list[_Sleep]:
    """The calls of other threads, in the order in which they began; a call's first step is its begin."""
    made: list[_Sleep] = []
    begun: dict[int, int] = {}
    for step in steps:
        if step.result is None and step.errno is None:
            begun[step.tid] = len(made)
            made.append(_Sleep(_clean(step.call), step.t_ns, None))
        elif step.tid in begun:
            number = begun.pop(step.tid)
            made[number] = made[number]._replace(ended=step.t_ns)
        else:
            made.append(_Sleep(_clean(step.call), None, step.t_ns))
    return made


def _events(steps: Sequence[Step], observed: Observed) -> list[_Event]:
    """What the case did, and its moments; what it asked at a moment isn't drawn apart.

    A moment ends when its signals are fetched, and begins with the fence before that. Where a case has fetched signals by
    itself too, the last fetch is that of the only moment; of several the record doesn't say whose it was, and none is drawn.
    """
    fetches = [number for number, step in enumerate(steps) if step.call == _FETCH]
    moments = list(observed.moments)
    if len(fetches) != len(moments):
        fetches, moments = fetches[-1:], moments if len(moments) == 1 else []
    signals = {at: _in_words(found, observed) for at, found in groupby(observed.signals, lambda signal: signal.at)}
    made: list[_Event] = []
    begin = 0
    for moment, fetch in zip(moments, fetches, strict=False):
        asked = next((number for number in range(fetch, begin, -1) if steps[number].call == _FENCE), fetch)
        made += _calls(steps[begin:asked])
        t_ns = steps[fetch].t_ns
        made.append(_Event(t_ns, None, f"{_clean(moment)} {_time(t_ns)}", signals.get(moment, "")))
        begin = fetch + 1
    return made + _calls(steps[begin:])


def _calls(steps: Iterable[Step]) -> list[_Event]:
    """Calls as events, what is repeated as one."""
    calls = [step for step in steps if _is_act(step)]
    names = [_named(step) for step in calls]
    made: list[_Event] = []
    at = 0
    while at < len(names):
        period, times = 1, 1
        for each in range(1, PERIOD + 1):
            found = _times(names, at, each)
            if found > 1 and found * each > period * times:
                period, times = each, found
        label = _clean(" ".join(name for _, name in names[at : at + period]))
        at += period * times
        made.append(_Event(calls[at - 1].t_ns, names[at - 1][0], f"{label}{TIMES}{times}" if times > 1 else label))
    return made


def _is_act(step: Step) -> bool:
    """Whether a call may change something: what only asks is left to the text."""
    asks = step.call in ("ioctl", "getsockopt", "fcntl") and any(query in step.arguments for query in _QUERIES)
    return step.call not in _NO_ACTS and not asks


def _times(names: Sequence[tuple[str, str]], at: int, period: int) -> int:
    """How often the `period` names from `at` on stand one after the other."""
    times = 1
    while names[at + times * period : at + (times + 1) * period] == names[at : at + period]:
        times += 1
    return times


def _named(step: Step) -> tuple[str, str]:
    """The row and the label of a call: its name, with the errno where it failed. All of epoll's calls are one."""
    call = step.call.removeprefix(_OF_CHILD)
    name = "epoll" if call.startswith("epoll_") else call
    return CHILD if step.call != call else CASE, f"{name} {step.errno}" if step.errno else name


def _in_words(signals: Iterable[Signal], observed: Observed) -> str:
    """Signals in order, "POLL_IN SIGURG"."""
    names = (
        POLL_CODES.get(signal.code, "signal") if signal.signo == observed.signal else signal_name(signal.signo)
        for signal in signals
    )
    runs = [(name, len(list(same))) for name, same in groupby(names)]
    return _clean(" ".join(f"{name}{TIMES}{times}" if times > 1 else name for name, times in runs))


def _last(events: Sequence[_Event]) -> list[_Event]:
    """The last events for which there is room; where others came before them, a mark says so."""
    room, number = COLUMNS, len(events)
    while number and room > 0:
        number -= 1
        room -= max(len(events[number].label), len(events[number].signals)) + 1
    return [_Event(events[number].t_ns, CASE, "…"), *events[number + 1 :]] if number else list(events)


def _clean(name: str) -> str:
    """A name of a record as it is drawn: on one line, and not endless."""
    name = " ".join(visible(name[: 2 * NAME]).split())
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def _time(t_ns: int) -> str:
    """A time since the case began: whole µs, or ms from ten of them on."""
    return f"{t_ns // 1000} µs" if t_ns < 10_000_000 else f"{t_ns / 1_000_000:.1f} ms"


# Drawing


class _Row:
    """A row of text on the grid. A label ends at its column: what the record has of a call is when it returned."""

    def __init__(self, name: str, used: bool = True) -> None:
        self.text = name
        self.used = used
        self.y = 0
        self.calls = ""
        self._drawn_to = 0

    def place(self, label: str) -> int:
        """The first column at which a label may end, with a space before it."""
        return len(self.text) + 1 + len(label) if label else 0

    def put(self, column: int, label: str = "") -> None:
        """Write a label that ends at a column; without one, what follows comes after the column."""
        self.text = self.text.ljust(column - len(label)) + label

    def call(self, column: int, label: str) -> None:
        """Write a label that ends at a column, on a line of its own."""
        self.put(column, label)
        begin = (column - len(label)) * CELL
        self.calls += f"m{begin - self._drawn_to} 0" if self.calls else f"M{begin} {self.y + LINE}"
        self.calls += f"h{len(label) * CELL}"
        self._drawn_to = column * CELL


def _drawn(events: Sequence[_Event], sleeps: Sequence[_Sleep]) -> Markup:
    """Rows from the top: the moments, the case, its children, the sleepers, the signals."""
    shown = sleeps[:SLEEPERS]
    head, case, bars = _Row(""), _Row(CASE), [_Row(sleep.call) for sleep in shown]
    child = _Row(CHILD, used=any(event.row == CHILD for event in events))
    others = _Row(f"and {len(sleeps) - len(shown)} more", used=len(sleeps) > len(shown))
    told = _Row("signals", used=any(event.signals for event in events))
    rows = [row for row in (head, case, child, *bars, others, told) if row.used]
    for number, row in enumerate(rows):
        row.y = number * LINE
    foot = len(rows) * LINE
    column = max(len(row.text) for row in rows)
    for row in (head, case, child, told):
        row.put(column)

    moments = ""
    spans: dict[tuple[int, bool], int] = {}
    for _, number, event in _in_order(events, shown):
        column += 1
        if isinstance(event, bool):
            spans[number, event] = column * CELL
        elif event.row:
            row = case if event.row == CASE else child
            column = max(column, row.place(event.label))
            row.call(column, event.label)
        else:
            column = max(column, head.place(event.label), told.place(event.signals))
            head.put(column, event.label)
            told.put(column, event.signals)
            case.put(column)
            child.put(column)
            moments += f"M{column * CELL + 3} 4V{foot}"
    width = (column + 1) * CELL

    made = [_text(row) for row in rows if row.text.strip()] + [
        svg.path("c", case.calls + child.calls),
        svg.path("m", moments),
    ]
    for number, (sleep, row) in enumerate(zip(shown, bars, strict=True)):
        began, ended = spans.get((number, False)), spans.get((number, True))
        bar = f"M{began} {row.y + 8}H{ended or width}" if began else ""
        made.append(svg.path("s", bar + (f"M{ended} {row.y + 3}v10" if ended else ""), sleep.words))
    words = escape("; ".join(["Timeline", *(sleep.words for sleep in shown), *_told(events)]))
    return Markup(
        f'<div class="tl" tabindex="0"><svg role="img" width="{width}" height="{foot + 2}" aria-label="{words}">'
        f"{''.join(made)}</svg></div>"
    )


def _in_order(events: Sequence[_Event], sleeps: Sequence[_Sleep]) -> list[tuple[int, int, _Event | bool]]:
    """By time, with its number, each event, and of each sleeper whether its call had ended."""
    happened: list[tuple[int, int, _Event | bool]] = []
    for number, sleep in enumerate(sleeps):
        happened += [(sleep.began, number, False)] if sleep.began is not None else []
        happened += [(sleep.ended, number, True)] if sleep.ended is not None else []
    happened += [(event.t_ns, number, event) for number, event in enumerate(events)]
    return sorted(happened, key=lambda item: item[0])


def _told(events: Iterable[_Event]) -> list[str]:
    """The moments in words, with the signals of each."""
    return [f"{event.label}: {event.signals or 'no signal'}" for event in events if not event.row]


def _text(row: _Row) -> str:
    text = row.text.strip()
    place = f' x="{(len(row.text) - len(row.text.lstrip())) * CELL}"' if row.text[0] == " " else ""
    length = f' textLength="{len(text) * CELL}"' if " " in text else ""
    return f'<text{place} y="{row.y + 12}"{length}>{escape(text)}</text>'
