"""Pictures where a curve says more than a verdict: write space, the accept queue, the signal queue, and what cases cost.

A pure function of runs. What is drawn is recorded: a picture is made of every case that has its facts, whatever its clause is
called, and says of which clauses it is made. Families and kernels that showed the same are drawn once, and named together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from typing import Generic, NamedTuple, TypeVar

from markupsafe import Markup

from reports import svg
from reports.fields import Json
from reports.lines import Case
from reports.matrix import together
from reports.pages import Stand
from reports.visible import visible

LONGEST, LARGEST, PANELS = 200, 1 << 40, 24
"""A series of more steps, or with a larger number, isn't drawn, nor are more panels."""

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 26, 58, 32, 34
"""A panel and its margins, in px at full size."""

PORTIONS = ((1 / 4, "¼"), (1 / 2, "½"), (2 / 3, "⅔"), (1.0, "1"), (2.0, "2"))
"""Portions of the send buffer at which something happens, and how they are written."""

FATES = {"connecting": "SYN dropped", "refused": "EAGAIN", "reset": "ECONNRESET"}
"""What became of connections beyond the queue's end, by the fact that counts them."""

DASHES, NAMED = 4, 13
"""How many kinds of lines there are for kernels that differ, and how high the name of one is, in px."""

FROM, TO, PARTS = 4, 10, 8
"""Case times are counted from 10^4 to 10^10 ns, in so many classes for each power of ten."""

SHOWN = 70
"""How much of the slowest case's name stands in the picture, in characters."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture with its caption, the clauses whose cases it shows, and the same data as a table."""

    title: str
    caption: str
    drawing: Markup
    clauses: tuple[str, ...]
    columns: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]


def pictures(stands: Sequence[Stand]) -> list[Picture]:
    """The pictures for which there is data in the runs."""
    made = (write_space(stands), accept_queue(stands), signal_queue(stands), case_times(stands))
    return [picture for picture in made if picture]


# What runs showed, together where it is the same


class _Group(NamedTuple, Generic[T]):
    """What some runs showed alike, and what these runs are called together."""

    shown: tuple[T, ...]
    kernels: str


class _Panel(NamedTuple, Generic[T]):
    """What the runs showed of families that are alike in all of them."""

    families: str
    groups: tuple[_Group[T], ...]


def _panels(stands: Sequence[Stand], read: Callable[[Case], T | None]) -> tuple[list[_Panel[T]], tuple[str, ...]]:
    """What `read` finds in the runs' cases, by families; and the clauses of these cases."""
    found: dict[str, dict[int, list[T]]] = {}
    clauses: dict[str, None] = {}
    for stand in stands:
        for case in stand.run.cases:
            if case.family and case.clause and (data := read(case)) is not None:
                found.setdefault(case.family, {}).setdefault(stand.number, []).append(data)
                clauses[case.clause] = None
    alike: dict[tuple[tuple[tuple[T, ...], tuple[int, ...]], ...], list[str]] = {}
    for family, runs in found.items():
        groups = together({number: tuple(shown) for number, shown in runs.items()})
        alike.setdefault(tuple((shown, tuple(numbers)) for shown, numbers in groups), []).append(family)
    names = _kernel_names(stands)
    panels = [
        _Panel(", ".join(families), tuple(_Group(shown, _in_short(numbers, names)) for shown, numbers in groups))
        for groups, families in list(alike.items())[:PANELS]
    ]
    return panels, tuple(clauses)


def _apart(panels: Iterable[_Panel[T]]) -> list[_Panel[T]]:
    """A panel for each group, where several can't be drawn over each other."""
    return [_Panel(panel.families, (group,)) for panel in panels for group in panel.groups]


def _kernel_names(stands: Sequence[Stand]) -> dict[int, str]:
    """What each run's kernel is called in short: its version, "6.12", unless another's is the same or it isn't Linux."""
    versions: dict[int, str] = {}
    for stand in stands:
        kernel = stand.run.head.kernel
        version = re.match(r"\d+\.\d+", kernel.release) if kernel.implementation == "Linux" else None
        versions[stand.number] = version[0] if version else stand.name
    count = Counter(versions.values())
    return {
        stand.number: stand.name if count[versions[stand.number]] > 1 else versions[stand.number] for stand in stands
    }


def _in_short(numbers: Sequence[int], names: Mapping[int, str]) -> str:
    """Several kernels, "5.10 to 7.2" where none of those between is missing."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{names[numbers[0]]} to {names[numbers[-1]]}"
    return ", ".join(names[number] for number in numbers)


def _series(facts: Mapping[str, Json], *names: str) -> tuple[tuple[int, ...], ...]:
    """Facts that are series of one length, step by step; nothing where they aren't."""
    columns = [column for name in names if isinstance(column := facts.get(name), list)]
    lengths = {len(column) for column in columns}
    if len(columns) < len(names) or len(lengths) > 1 or not 0 < min(lengths) <= LONGEST:
        return ()
    steps = tuple(zip(*columns, strict=True))
    return steps if all(_number(value) is not None for step in steps for value in step) else ()


def _number(value: Json) -> int | None:
    """An integer that can be drawn."""
    return value if type(value) is int and 0 <= value < LARGEST else None


def _numbers(values: Iterable[int]) -> str:
    return " ".join(map(str, values))


def _arranged(panels: Iterable[tuple[str, Markup]]) -> Markup:
    """Panels with what each is called."""
    return Markup("").join(
        Markup('<figure class="panel"><figcaption>{}</figcaption>{}</figure>').format(visible(name), drawing)
        for name, drawing in panels
    )


# Write space


class _Space(NamedTuple):
    """A send buffer that was filled and drained: (charge, room) at each step, and with them how many signals had come."""

    sndbuf: int
    up: tuple[tuple[int, ...], ...]
    refused: str
    down: tuple[tuple[int, ...], ...]


def _space(case: Case) -> _Space | None:
    moments = case.observed.moments if case.observed else {}
    filled, drained = moments.get("filled", {}), moments.get("drained", {})
    up, down = _series(filled, "charges", "room"), _series(drained, "charges", "room", "signalled")
    sndbuf, refused = _number(filled.get("socket.sndbuf")), filled.get("send")
    return _Space(sndbuf, up, refused, down) if up and down and sndbuf and isinstance(refused, str) else None


def write_space(stands: Sequence[Stand]) -> Picture | None:
    """Charge against POLLOUT, POLL_OUT and the refusal, from an empty send buffer to a full one and back."""
    panels, clauses = _panels(stands, _space)
    if not panels:
        return None
    table = [
        (
            panel.families,
            kernels,
            str(space.sndbuf),
            _numbers(charge for charge, _ in space.up),
            _most(space.up),
            f"{space.up[-1][0]}, {space.refused}",
            _numbers(charge for charge, _, _ in space.down),
            _most(space.down),
            _numbers(charge for charge, _, signals in space.down if signals) or "never",
        )
        for panel in panels
        for (space, *_), kernels in panel.groups
    ]
    return Picture(
        title="Write space",
        caption="The charge of a send buffer, as a portion of SO_SNDBUF, while it is filled packet by packet until a send is "
        "refused, and given back piece by piece. A full dot: poll reports POLLOUT. An open dot: it doesn't. A cross: the send "
        "that was refused. A triangle: POLL_OUT was signalled. Of further kernels only the dots where that changes are drawn.",
        drawing=_arranged((_title(panel), _draw_space(panel)) for panel in panels),
        clauses=clauses,
        columns=(
            "Families",
            "Kernels",
            "SO_SNDBUF",
            "Charged as it fills",
            "POLLOUT up to",
            "Refused at",
            "Charged as it drains",
            "POLLOUT from",
            "POLL_OUT at",
        ),
        table=tuple(table),
    )


def _most(steps: Sequence[tuple[int, ...]]) -> str:
    """The largest charge with room."""
    return str(max((step[0] for step in steps if step[1]), default="never"))


def _title(panel: _Panel[T]) -> str:
    """A panel's families, and its kernels where they showed the same."""
    return f"{panel.families} · {panel.groups[0].kernels}" if len(panel.groups) == 1 else panel.families


def _draw_space(panel: _Panel[_Space]) -> Markup:
    spaces = [(shown[0], kernels) for shown, kernels in panel.groups]
    highest = max(max(step[0] for step in (*space.up, *space.down)) / space.sndbuf for space, _ in spaces)
    turn = max(len(space.up) for space, _ in spaces)
    steps = turn + max(len(space.down) for space, _ in spaces)
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(step: float) -> float:
        return round(LEFT + 6 + (across - 6) * step / steps, 1)

    def y(portion: float) -> float:
        return round(TOP + down * (1 - portion / max(highest, 1.1)), 1)

    parts = [svg.text(2, 10, "charge / SO_SNDBUF")]
    for portion, sign in PORTIONS:
        if portion <= max(highest, 1):
            parts += [
                svg.path("g", f"M{LEFT} {y(portion)}H{WIDTH - RIGHT}"),
                svg.text(LEFT - 5, y(portion) + 4, sign, "e"),
            ]
    parts += [svg.path("a", f"M{LEFT} {TOP}V{y(0)}H{WIDTH - RIGHT}"), svg.text(LEFT - 5, y(0) + 4, "0", "e")]
    parts.append(svg.text(x(turn / 2), y(0) + 16, "filled, step by step", "m"))
    parts.append(svg.text(x((turn + steps) / 2), y(0) + 16, "drained, step by step", "m"))
    labels = []
    for number, (space, kernels) in enumerate(spaces):
        kind = number % DASHES
        up = [(x(turn - len(space.up) + step), y(charge / space.sndbuf)) for step, (charge, _) in enumerate(space.up)]
        fall = [(x(turn + step), y(charge / space.sndbuf)) for step, (charge, *_) in enumerate(space.down)]
        points = [*zip(up, space.up, strict=True), *zip(fall, space.down, strict=True)]
        if number:  # of the further kernels the line, and the dots on both sides of where room went and came back
            points = [pair for each in pairwise(points) if each[0][1][1] != each[1][1][1] for pair in each]
        signals = [point for point, step in zip(fall, space.down, strict=True) if step[2]]
        parts.append(svg.path(f"l l{kind}", svg.line([*up, *fall]), f"{panel.families}: {kernels}"))
        parts.append(svg.path(f"d d{kind}", svg.dots(point for point, _ in points)))
        parts.append(svg.path(f"h d{kind}", svg.dots(point for point, step in points if not step[1])))
        parts.append(svg.path("x", "".join(f"M{px - 4:g} {py - 11:g}l8 8m0-8l-8 8" for px, py in up[-1:])))
        parts.append(svg.path("t", "".join(f"M{px:g} {py - 6:g}l5-9h-10z" for px, py in signals)))
        if not number or space.refused != spaces[number - 1][0].refused:
            labels.append(svg.text(up[-1][0] - 8, up[-1][1] - 4, space.refused, "e"))
        if not number:
            labels += [svg.text(px + 8, py - 7, "POLL_OUT") for px, py in signals[:1]]
    if len(spaces) > 1:
        for number, (_, kernels) in enumerate(spaces):
            at = HEIGHT - 4 + NAMED * number
            parts += [svg.path(f"l l{number % DASHES}", f"M{LEFT} {at - 4}h30"), svg.text(LEFT + 36, at, kernels)]
    words = "; ".join(
        f"{kernels}: POLLOUT up to {_most(space.up)} of {space.sndbuf} bytes, {space.refused} at {space.up[-1][0]}, "
        f"POLL_OUT at {_numbers(step[0] for step in space.down if step[2]) or 'no charge'}"
        for space, kernels in spaces
    )
    return svg.image(
        WIDTH, HEIGHT + (NAMED * len(spaces) if len(spaces) > 1 else 0), f"{panel.families}: {words}", [*parts, *labels]
    )


# The accept queue


class _Queue(NamedTuple):
    """Connections that were offered to a listener: how many were connected, how many had another fate, and which."""

    backlog: int
    established: int
    others: int
    fate: str
    accepted: int


def _queue(case: Case) -> _Queue | None:
    moments = case.observed.moments if case.observed else {}
    full, drained = moments.get("full", {}), moments.get("drained", {})
    fate = next((name for name in FATES if name in full), None)
    backlog, established, accepted = (
        _number(value) for value in (full.get("backlog"), full.get("established"), drained.get("accepted"))
    )
    others = _number(full[fate]) if fate else None
    if fate is None or backlog is None or established is None or others is None or accepted is None:
        return None
    return _Queue(backlog, established, others, FATES[fate], accepted) if established + others <= LONGEST else None


def accept_queue(stands: Sequence[Stand]) -> Picture | None:
    """Connections offered against their fate, for each backlog."""
    panels, clauses = _panels(stands, _queue)
    if not panels:
        return None
    apart = _apart(panels)
    return Picture(
        title="The accept queue",
        caption="Connections that were offered one after the other while nobody accepted. A full dot: connected, and later "
        "accepted. An open dot: not connected.",
        drawing=_arranged((_title(panel), _draw_queue(panel)) for panel in apart),
        clauses=clauses,
        columns=("Families", "Kernels", "Backlog", "Offered", "Connected", "Not connected", "Accepted"),
        table=tuple(
            (
                panel.families,
                kernels,
                str(queue.backlog),
                str(queue.established + queue.others),
                str(queue.established),
                f"{queue.others}, {queue.fate}",
                str(queue.accepted),
            )
            for panel in apart
            for shown, kernels in panel.groups
            for queue in shown
        ),
    )


def _draw_queue(panel: _Panel[_Queue]) -> Markup:
    queues = panel.groups[0].shown
    most = max(queue.established + queue.others for queue in queues)
    row, left = 22, 62
    step = min(20.0, (WIDTH - left - 84) / max(most, 1))
    parts = [svg.text(left - 10, 12, "backlog", "e"), svg.text(left, 12, "offered, in order")]
    for number, queue in enumerate(queues, 1):
        at = 10 + number * row
        points = [(round(left + 4 + each * step, 1), float(at)) for each in range(queue.established + queue.others)]
        parts.append(svg.text(left - 10, at + 4, str(queue.backlog), "e"))
        parts.append(svg.path("b", svg.dots(points)))
        parts.append(svg.path("k", svg.dots(points[queue.established :])))
        if queue.others:
            parts.append(svg.text(points[-1][0] + 10, at + 4, queue.fate))
    words = "; ".join(
        f"backlog {queue.backlog}: {queue.established} connected, {queue.others} not: {queue.fate}, {queue.accepted} accepted"
        for queue in queues
    )
    return svg.image(WIDTH, 22 + len(queues) * row, f"{_title(panel)}: {words}", parts)


# The signal queue


class _Signals(NamedTuple):
    """Events at a limit of pending signals: (events, told in full, SIGIO) at each step."""

    limit: int
    steps: tuple[tuple[int, ...], ...]


def _signals(case: Case) -> _Signals | None:
    for facts in case.observed.moments.values() if case.observed else ():
        steps = _series(facts, "events", "in_full", "sigio")
        limit = _number(facts.get("limit"))
        if steps and limit:
            return _Signals(limit, steps)
    return None


def signal_queue(stands: Sequence[Stand]) -> Picture | None:
    """Events against the signals that came of them, where a limit of pending signals is reached."""
    panels, clauses = _panels(stands, _signals)
    if not panels:
        return None
    apart = _apart(panels)
    return Picture(
        title="The signal queue",
        caption="Events on an armed socket while nobody fetched signals, against the signals that were then fetched, where "
        "the limit of pending signals (RLIMIT_SIGPENDING) is reached.",
        drawing=_arranged((_title(panel), _draw_signals(panel)) for panel in apart),
        clauses=clauses,
        columns=("Families", "Kernels", "Limit", "Events", "Signals told in full", "Plain SIGIO"),
        table=tuple(
            (panel.families, kernels, str(one.limit), *(_numbers(column) for column in zip(*one.steps, strict=True)))
            for panel in apart
            for (one, *_), kernels in panel.groups
        ),
    )


def _draw_signals(panel: _Panel[_Signals]) -> Markup:
    limit, steps = panel.groups[0].shown[0]
    most = max(max(step) for step in (*steps, (limit, 1)))
    across, down = WIDTH - LEFT - RIGHT - 14, HEIGHT - TOP - BOTTOM

    def place(events: float, count: float) -> tuple[float, float]:
        return round(LEFT + across * events / most, 1), round(TOP + down * (1 - count / most), 1)

    zero, top = place(0, 0), place(0, limit)
    parts = [svg.path("g", f"M{LEFT} {top[1]:g}H{WIDTH - 10}" + svg.line([zero, place(most, most)]))]
    parts += [svg.path("a", f"M{LEFT} {TOP}V{zero[1]:g}H{WIDTH - 10}")]
    parts += [svg.text(LEFT - 5, place(0, tick)[1] + 4, str(tick), "e") for tick in sorted({0, limit})]
    parts += [
        svg.text(place(tick, 0)[0], zero[1] + 14, str(tick), "m") for tick in sorted({steps[0][0], limit, steps[-1][0]})
    ]
    parts.append(svg.text(place(most / 2, 0)[0], zero[1] + 29, "events", "m"))
    parts.append(svg.text(2, 10, "signals"))
    for number, (name, column) in enumerate((("told in full", 1), ("plain SIGIO", 2))):
        points = [place(step[0], step[column]) for step in steps]
        parts += [svg.path(f"l l{number}", svg.line(points), name), svg.path("d", svg.dots(points))]
        parts += [svg.path("h", svg.dots(points))] if number else []
        parts.append(svg.text(points[-1][0] + 6, points[-1][1] + 4, name))
    parts.append(svg.text(place(most, most)[0] + 6, place(most, most)[1] + 4, "one each"))
    parts.append(svg.text(LEFT + 4, top[1] - 4, f"limit {limit}"))
    words = "; ".join(f"{events} events: {full} told in full, {sigio} SIGIO" for events, full, sigio in steps)
    return svg.image(WIDTH, HEIGHT, f"{_title(panel)}, limit {limit}: {words}", parts)


# What cases cost


def case_times(stands: Sequence[Stand]) -> Picture | None:
    """How long cases took, from set-up to leak check, on each target."""
    rows = []
    for stand in stands:
        timed = sorted(
            (
                (case.duration_ns, case.case, case.clause or "")
                for case in stand.run.cases
                if case.duration_ns and case.duration_ns > 0
            ),
            reverse=True,
        )
        if timed:
            rows.append((stand.name, timed))
    if not rows:
        return None
    return Picture(
        title="Case times",
        caption="How many cases took how long, from set-up to leak check, on a logarithmic scale; all heights are to one scale. "
        "The upright line is the median, the dot the slowest case. Cases far to the right wait for a timer of the kernel's.",
        drawing=_draw_times(rows),
        clauses=tuple(dict.fromkeys(timed[0][2] for _, timed in rows if timed[0][2])),
        columns=("Target", "Cases", "Median", "99 of 100 within", "In all", "Slowest", "Its case"),
        table=tuple(
            (
                name,
                str(len(timed)),
                _duration(timed[len(timed) // 2][0]),
                _duration(timed[len(timed) // 100][0]),
                _duration(sum(duration for duration, _, _ in timed)),
                _duration(timed[0][0]),
                timed[0][1],
            )
            for name, timed in rows
        ),
    )


def _draw_times(rows: Sequence[tuple[str, Sequence[tuple[int, str, str]]]]) -> Markup:
    left, row, high, classes = 110, 50, 30, (TO - FROM) * PARTS
    across = 2 * WIDTH - left - 20

    def x(duration: float) -> float:
        return round(left + across * min(max((log10(duration) - FROM) / (TO - FROM), 0), 1), 1)

    counts = [
        Counter(min(max(int((log10(one[0]) - FROM) * PARTS), 0), classes - 1) for one in timed) for _, timed in rows
    ]
    most = max(count for counted in counts for count in counted.values())
    foot = len(rows) * row + 8
    parts = [svg.path("g", "".join(f"M{x(10**power):g} 4V{foot}" for power in range(FROM, TO + 1)))]
    parts += [svg.text(x(10**power), foot + 14, _duration(10**power), "m") for power in range(FROM, TO + 1)]
    for number, ((name, timed), counted) in enumerate(zip(rows, counts, strict=True), 1):
        base = number * row
        marks = f"M{left} {base}"
        for each in range(classes):
            height = base - round(high * counted[each] / most, 1)
            marks += f"V{height:g}H{left + across * (each + 1) / classes:g}"
        parts.append(svg.path("f", f"{marks}V{base}z", name))
        parts.append(svg.path("n", f"M{x(timed[len(timed) // 2][0]):g} {base + 3}v-{high + 6}"))
        parts.append(svg.text(left - 8, base - 3, name[:18], "e"))
        slowest = re.sub(r".*::", "", timed[0][1])[-SHOWN:]
        parts.append(svg.text(left + across, base - high - 6, f"{slowest}: {_duration(timed[0][0])}", "e"))
        parts.append(
            svg.path("s", svg.dots([(x(timed[0][0]), base - 3.0)]), f"{timed[0][1]}: {_duration(timed[0][0])}")
        )
    words = "; ".join(f"{name}: median {_duration(timed[len(timed) // 2][0])}" for name, timed in rows)
    return svg.image(2 * WIDTH, foot + 20, f"Case times; {words}", parts)


def _duration(ns: int) -> str:
    """A duration in the unit that suits it, "310 µs"."""
    for unit, size in (("s", 10**9), ("ms", 10**6)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1000:.3g} µs"
