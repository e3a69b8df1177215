"""The pages in Debian's Chromium: links, keyboard, colour schemes, narrow windows, scripts off, print, and hostile records.

Each test's pages are watched: an error, a dialog, a window or a request for anything but the page itself fails the test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from reports.__main__ import main
from reports.visible import visible
from tests.browser import BrowserMissing, View, accessibility, chromium, view
from tests.records import (
    MODULE,
    POLL_AFTER_RESET,
    Line,
    case_line,
    clause_line,
    end_line,
    function_line,
    node,
    observed,
    path_line,
    run_line,
    start_line,
    step,
    write,
)
from tests.states import HALF_CLOSED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

RESET, HALF, REFUSED, STATE = (
    "error.reset.established",
    "output.space.half",
    "reset.refused.is_an_error",
    "state.tcp.half_closed",
)
VERDICT = "at reset: socket.poll lacks RDHUP"
NARROW = 360


class Made(NamedTuple):
    """A command that makes a page, OUT, OLD and NEW standing for the page and two records; and words that the page shows."""

    arguments: tuple[str, ...]
    words: str


PAGES = {
    "diff": Made(("diff", "OLD", "NEW", "--html", "OUT"), VERDICT),
    "handbook": Made(("handbook", "OUT", "OLD", "NEW"), "readable"),
    "html": Made(("html", "OUT", "OLD", "NEW"), VERDICT),
}


class Look(Protocol):
    """Opens a page in the browser."""

    def __call__(
        self, path: Path, *, fragment: str = "", dark: bool = False, width: int = 1280, scripts: bool = True
    ) -> Page: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    try:
        with chromium() as started:
            yield started
    except BrowserMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """A way to open pages, none of which has caused trouble when the test ends."""
    views: list[View] = []

    def opened(path: Path, *, fragment: str = "", dark: bool = False, width: int = 1280, scripts: bool = True) -> Page:
        views.append(view(browser, path, fragment=fragment, dark=dark, width=width, scripts=scripts))
        return views[-1].page

    yield opened
    for seen in views:
        seen.page.context.close()
    assert [trouble for seen in views for trouble in seen.troubles] == []


CLAUSES: dict[str, Line] = {
    RESET: {"level": "must", "families": ["tcp4", "tcp6"]},
    HALF: {"level": "observed", "families": ["udp4"], "module": "suites/async_io/test_space.py", "claims": ["A11"]},
    REFUSED: {"level": "should", "families": ["tcp4"]},
    STATE: {"level": "must", "families": ["tcp4"]},
}
"""Clauses of two documents."""
DOCUMENTS = {"E10": "000: how a socket's events reach processes", "A11": "001: signal-driven I/O"}
DEVIATION = {"cause": "tracker#1042", "reason": "A reset is a hangup here too."}


def functions(run: str) -> list[Line]:
    """Functions of which there is something to be said, and each state that one can have."""
    return [
        function_line("tcp_reset", run, documents=["000"]),
        function_line(
            "sk_error_report", run, **{"is": "inline"}, documents=["000"], found={"sk_error_report": "no symbol"}
        ),
        function_line("sock_def_error_report", run, documents=["000", "001"]),
        function_line("sock_wake_async", run, documents=["001"], unreached="no socket is asked to wait"),
        function_line("send_sigio", run, now=["send_sigio_new"], since=["6.1"], why="fs/fcntl.c"),
        function_line("do_sync_read", run, documents=["002"], now=[], since=["3.16"], why="fs/read_write.c", found={}),
        function_line("kill_fasync", run, documents=["001"], found={"kill_fasync": "untraceable"}),
    ]


STEPS: dict[str, Line] = {
    "r2": {
        "as_stated": False,
        "steps": [
            step("tcp_reset", "elsewhere"),
            step("sk_error_report", "not called"),
            step("sock_def_error_report", "untraceable"),
            step("sk_wake_async", "gone"),
            step("send_sigio", "replaced", "send_sigio_new", ["f"] * 20),
        ],
    }
}
"""What the functions of the path came to in the second run, if not as in the first."""


def run_of(run: str, target: str, release: str, outcomes: Sequence[str]) -> list[Line]:
    """A run of those clauses, the cases of which, one for each family, came out like this, in order."""
    cases = [
        (node(name.rpartition(".")[2], family, clause.get("module", MODULE)), name)
        for name, clause in CLAUSES.items()
        for family in clause["families"]
    ]
    kernel = run_line([])["kernel"] | {"release": release}
    trace = {"ok": True, "how": "ftrace's function_graph"}
    lines = [run_line([case for case, _ in cases], run, target=target, kernel=kernel, trace=trace), *functions(run)]
    for claim, document in DOCUMENTS.items():
        lines.append({"type": "statement", "run": run, "id": claim, "says": "An RST wakes.", "document": document})
    lines += [clause_line(name, name.rpartition(".")[2], run, **clause) for name, clause in CLAUSES.items()]
    for (case, name), outcome in zip(cases, outcomes, strict=True):
        lines.append(start_line(case, run))
        changes: Line = {"clause": name, "level": CLAUSES[name]["level"]}
        if name == STATE:
            changes |= {"observed": HALF_CLOSED, "expected": None}
        if outcome in ("FAIL", "RECORDED"):
            changes |= {"verdict": VERDICT, "observed": observed(**{"socket.poll": POLL_AFTER_RESET & ~0x2000})}
            changes |= {"deviation": DEVIATION} if outcome == "RECORDED" else {}
        elif outcome != "PASS":
            changes |= {"reason": f"why it is {outcome}"}
        if outcome != "MISS":
            lines += [path_line(case, run, clause=name, **STEPS.get(run, {}))] if outcome != "SKIP" else []
            lines.append(case_line(case, outcome.replace("RECORDED", "FAIL"), run, **changes))
    return [
        *lines,
        end_line(run) | {"counts": dict(Counter(outcome.replace("RECORDED", "FAIL") for outcome in outcomes))},
    ]


OLD = run_of("r1", "uml-5.10", "5.10.251-uml", ["PASS", "FAIL", "PASS", "RECORDED", "PASS"])
NEW = run_of("r2", "host", "6.12.107+deb13-amd64", ["MISS", "PASS", "ERROR", "RECORDED", "SKIP"])


def make(command: str, folder: Path, old: Sequence[Line] = OLD, new: Sequence[Line] = NEW) -> Path:
    """The page that a command makes of two records."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"OUT": folder / f"{command}.html"}
    files |= {name: write(folder / f"{name}.jsonl", lines) for name, lines in (("OLD", old), ("NEW", new))}
    assert main([str(files.get(argument, argument)) for argument in PAGES[command].arguments]) < 2
    return files["OUT"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The page of each command, of harmless records."""
    folder = tmp_path_factory.mktemp("pages")
    return {command: make(command, folder) for command in PAGES}


def open_all(page: Page) -> None:
    """Open all that is closed."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")


def in_view(page: Page, anchor: str) -> bool:
    """Whether the place of an anchor is shown, and its top is in the window."""
    place = page.locator(f'[id="{anchor}"]')
    box = place.bounding_box()
    return place.is_visible() and box is not None and -1 <= box["y"] < 800


def shown(page: Page) -> list[str]:
    """The clauses whose rows are shown."""
    return page.locator("table.matrix tbody th[scope=row] a:visible").all_inner_texts()


# Every page


@pytest.mark.parametrize("command", PAGES)
def test_every_link_leads_to_a_place_on_the_page(look: Look, pages: Mapping[str, Path], command: str) -> None:
    """No link leads elsewhere, and no two places have the same name."""
    page = look(pages[command])
    astray = page.evaluate(
        """() => [...document.links].map((link) => link.getAttribute("href")).filter((to) => !to.startsWith("#") ||
          !(document.getElementById(to.slice(1)) || document.getElementById(decodeURIComponent(to.slice(1)))))"""
    )
    twice = page.evaluate(
        """() => [...document.querySelectorAll("[id]")].map((one) => one.id).filter((id, n, all) => all.indexOf(id) < n)"""
    )

    assert (astray, twice) == ([], [])


@pytest.mark.parametrize("width", [NARROW, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("command", PAGES)
def test_axe_minds_nothing(look: Look, pages: Mapping[str, Path], command: str, dark: bool, width: int) -> None:
    """No rule of axe-core's is broken, and all text stands out at least 4.5 to 1, with everything open."""
    assert "\n".join(accessibility(look(pages[command], dark=dark, width=width))) == ""


@pytest.mark.parametrize("command", PAGES)
def test_both_colour_schemes_are_served(look: Look, pages: Mapping[str, Path], command: str) -> None:
    """Dark text on a light ground, or the other way round."""
    lightness = """() => ["backgroundColor", "color"].map((name) =>
      Math.max(...getComputedStyle(document.body)[name].match(/[0-9.]+/g).slice(0, 3).map(Number)))"""
    ground, ink = look(pages[command]).evaluate(lightness)
    dark_ground, dark_ink = look(pages[command], dark=True).evaluate(lightness)

    assert ink < 64 < 192 < ground
    assert dark_ground < 64 < 192 < dark_ink


@pytest.mark.parametrize("command", PAGES)
def test_narrow_window_needs_no_sideways_scrolling(look: Look, pages: Mapping[str, Path], command: str) -> None:
    """At 360 px, with everything open."""
    page = look(pages[command], width=NARROW)
    open_all(page)

    assert page.evaluate("document.scrollingElement.scrollWidth") == NARROW


@pytest.mark.parametrize("command", PAGES)
def test_without_scripts_everything_can_be_read(look: Look, pages: Mapping[str, Path], command: str) -> None:
    """All that is closed opens by itself, all text is there, and no control stands about that does nothing."""
    page = look(pages[command], scripts=False)
    for _ in range(page.locator("details").count()):
        closed = page.locator("details:not([open]) > summary:visible")
        if closed.count():
            closed.first.click()

    assert page.locator("details:not([open])").count() == 0
    assert page.get_by_text(PAGES[command].words).locator("visible=true").count()
    assert page.locator("input:visible, select:visible, button:visible").count() == 0


@pytest.mark.parametrize("command", PAGES)
def test_keyboard_reaches_everything_and_shows_where_it_is(look: Look, pages: Mapping[str, Path], command: str) -> None:
    """Tab visits every link, summary and control, each with an outline, and leaves at the end."""
    page = look(pages[command])
    open_all(page)
    count = page.evaluate("document.querySelectorAll('*').length")
    unmarked = []
    for _ in range(count):
        page.keyboard.press("Tab")
        html, outline = page.evaluate(
            """() => { const one = document.activeElement; one.dataset.visited = "";
              return [one === document.body ? "" : one.outerHTML.slice(0, 80), getComputedStyle(one).outlineStyle] }"""
        )
        if not html:
            break
        unmarked += [html] if outline == "none" else []
    left_out = page.evaluate(
        """() => [...document.querySelectorAll("a[href], summary, input, select, button, [tabindex='0']")]
          .filter((one) => one.checkVisibility() && !("visited" in one.dataset)).map((one) => one.outerHTML.slice(0, 80))"""
    )

    assert (unmarked, left_out, html) == ([], [], "")


@pytest.mark.parametrize("command", PAGES)
def test_it_can_be_printed(look: Look, pages: Mapping[str, Path], command: str) -> None:
    """As PDF, on paper's own ground."""
    page = look(pages[command], dark=True)

    assert page.pdf().startswith(b"%PDF-")


# The matrix and its clauses


def test_link_in_the_matrix_opens_its_clause(look: Look, pages: Mapping[str, Path]) -> None:
    """However it was: a clause that all passed is closed."""
    page = look(pages["html"])
    for clause in (HALF, RESET):
        page.locator(f'table a[href="#{clause}"]').first.click()
        assert in_view(page, clause)
    assert page.url.endswith(f"#{RESET}")


def test_permalink_opens_its_clause(look: Look, pages: Mapping[str, Path]) -> None:
    """For whoever is sent it, with scripts or without."""
    for scripts in (True, False):
        assert in_view(look(pages["html"], fragment=f"#{REFUSED}", scripts=scripts), REFUSED)


def test_keyboard_alone_opens_and_closes_a_clause(look: Look, pages: Mapping[str, Path]) -> None:
    """Enter on a link goes there, Enter on a summary closes what is open."""
    page = look(pages["html"])
    page.locator(f'table a[href="#{RESET}"]').first.focus()
    page.keyboard.press("Enter")
    assert in_view(page, RESET)

    page.locator("summary", has_text=RESET).first.focus()
    page.keyboard.press("Enter")
    assert not page.locator(f'[id="{RESET}"]').is_visible()


def test_cell_has_a_link_of_its_own(look: Look, pages: Mapping[str, Path]) -> None:
    """It leads to what that target did, and opens its clause for whoever is sent it."""
    page = look(pages["html"])
    page.locator(f'table a[href="#{HALF}@uml-5.10"]').click()

    assert page.url.endswith(f"#{HALF}@uml-5.10")
    assert in_view(page, f"{HALF}@uml-5.10")
    assert in_view(look(pages["html"], fragment=f"#{HALF}@host"), f"{HALF}@host")


def test_document_folds(look: Look, pages: Mapping[str, Path]) -> None:
    """By its button, with the keyboard alone, and opens again."""
    page = look(pages["html"])
    button = page.locator("table.matrix button").last
    before = shown(page)

    for pressed, rows in (("Enter", [name for name in before if name != HALF]), ("Space", before)):
        button.press(pressed)
        assert shown(page) == rows


FILTERS: dict[str, tuple[Callable[[Page], object], list[str]]] = {
    "a word of an id": (lambda page: page.get_by_label("Text").fill("refused"), [REFUSED]),
    "words of a verdict": (lambda page: page.get_by_label("Text").fill("rdhup lacks"), [RESET, REFUSED]),
    "words of nothing": (lambda page: page.get_by_label("Text").fill("no such words"), []),
    "level": (lambda page: page.get_by_label("Level").select_option("should"), [REFUSED]),
    "document": (lambda page: page.locator("select[name=document]").select_option(index=2), [HALF]),
    "family": (lambda page: page.get_by_label("Family").select_option("tcp6"), [RESET]),
    "outcome": (lambda page: page.get_by_label("ERROR", exact=True).check(), [HALF]),
    "recorded deviation": (lambda page: page.get_by_label("FAIL, recorded").check(), [REFUSED]),
    "differs between kernels": (lambda page: page.get_by_label("differs between kernels").check(), [RESET, HALF]),
}
"""What a reader does, and the clauses that are left."""


@pytest.mark.parametrize("name", FILTERS)
def test_filter_leaves_what_fits_and_is_in_the_address(look: Look, pages: Mapping[str, Path], name: str) -> None:
    """Rows and evidence; whoever is sent the address sees the same, and all can be shown again."""
    act, left = FILTERS[name]
    page = look(pages["html"])
    everything = shown(page)
    assert set(everything) == set(CLAUSES)
    act(page)
    assert set(shown(page)) == set(left)
    assert page.locator("details.clause:visible").count() == len(left)
    assert page.locator("output").inner_text() == f"{len(left)} of {len(CLAUSES)} clauses"

    sent = look(pages["html"], fragment="#" + page.url.partition("#")[2])
    assert shown(sent) == shown(page)
    for control in ("input", "select"):
        state = f"() => [...document.querySelectorAll('form {control}')].map((one) => [one.value, one.checked])"
        assert sent.evaluate(state) == page.evaluate(state)

    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("(all) => document.querySelectorAll('details.clause:not([hidden])').length === all", arg=4)
    assert shown(page) == everything


def test_filters_are_kept_on_the_way_to_a_clause_and_back(look: Look, pages: Mapping[str, Path]) -> None:
    """The address has both."""
    page = look(pages["html"])
    page.get_by_label("ERROR", exact=True).check()
    page.locator(f'table a[href="#{HALF}@host"]').click()
    page.wait_for_function("location.hash.includes('outcome')")
    assert in_view(page, f"{HALF}@host")
    assert shown(page) == [HALF]
    assert shown(look(pages["html"], fragment="#" + page.url.partition("#")[2])) == [HALF]

    page.go_back()
    assert shown(page) == [HALF]


def test_filters_together_leave_what_fits_all_of_them(look: Look, pages: Mapping[str, Path]) -> None:
    """But of several outcomes, one is enough."""
    page = look(pages["html"], fragment="#&outcome=ERROR&outcome=RECORDED&level=observed")
    assert shown(page) == [HALF]


def test_permalink_shows_its_clause_whatever_is_filtered(look: Look, pages: Mapping[str, Path]) -> None:
    """A link to a cell that its own filter leaves out isn't a dead one."""
    page = look(pages["html"], fragment=f"#{RESET}@host&outcome=ERROR")
    assert in_view(page, f"{RESET}@host")


@pytest.mark.parametrize("fragment", ["#", "#&", "#%", "#%zz&level=", "#nowhere", "#&level=nope&outcome=NOPE&x=%ff"])
def test_address_of_nonsense_is_no_trouble(look: Look, pages: Mapping[str, Path], fragment: str) -> None:
    """What it names and isn't there filters nothing."""
    assert set(shown(look(pages["html"], fragment=fragment))) == set(CLAUSES)


def test_a_path_leads_from_its_function_to_its_clause(look: Look, pages: Mapping[str, Path]) -> None:
    """The clause under which a function was seen opens, and there a tree of calls does, with the keyboard alone."""
    page = look(pages["html"])
    page.locator(f'table.covered a[href="#{RESET}"]').first.press("Enter")
    assert in_view(page, RESET)
    place = page.locator(f'[id="{RESET}"]')
    assert place.get_by_text("replaced by send_sigio_new").is_visible()
    place.get_by_text("The calls of tcp4 on uml-5.10").press("Enter")
    assert place.get_by_text("tcp_send_active_reset").locator("visible=true").count()


# Hostile records

RUNS = "document.title = 'it ran'"
HOSTILE = (
    f"</title></p></td></pre></style></script></textarea></details></svg><script>{RUNS}</script>"
    f'<img src="http://a.invalid/" onerror="{RUNS}"><svg onload="{RUNS}"><a href="javascript:{RUNS}">link</a>'
    '<meta http-equiv="refresh" content="0;url=http://a.invalid/"><base href="http://a.invalid/">'
    '<link rel="stylesheet" href="http://a.invalid/"><style>* { display: none } @import "http://a.invalid/"</style>'
    f'<iframe src="http://a.invalid/"></iframe><form action="http://a.invalid/"><input autofocus onfocus="{RUNS}">'
    f'"\' onmouseover={RUNS} autofocus x="--><!-- ]]> {{{{ 7*7 }}}} {{% raw %}} &lt; javascript:{RUNS}'
    "\u202e\u2066\u200b\x1b[2J\x1b]0;t\x07\x00\x08\x7f\x85\ud800\ufffe\U000e0041\t\\"
)
HARMLESS = re.sub(r"[\0-\x1f\x7f-\uffff]|\U000e0041", "?", HOSTILE.translate(str.maketrans("<>&\"'", "()+~~")))
"""The same without what makes it markup: as long, with slashes and dots in the same places."""
MEGABYTE = 1_000_000
FREE_NAMES = {"found", "capabilities", "sysctls", "versions", "moments", "facts", "masks", "unjudged", "descriptors"}
"""Keys of a record whose values are objects with names of the suite's own choice."""
FIXED = {"type", "record", "outcome", "level", "state"}
LONG = {"release", "title", "text", "source", "verdict", "reason", "cause", "arguments", "signal"}
"""Keys of texts that may be of any length: what a kernel, its console or a specification's author says."""


def spoiled(value: object, suffix: str, only: Container[str] | None = None, key: str = "") -> object:
    """A line with a suffix at every text, names included, but for words that the format owns; `only` those of some keys."""
    if isinstance(value, dict):
        named = suffix if key in FREE_NAMES and only is None else ""
        return {name + named: spoiled(item, suffix, only, name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoiled(item, suffix, only, key) for item in value]
    if not isinstance(value, str) or key in FIXED or value in ("poll", "select") or (only and key not in only):
        return value
    return value + suffix


def skeleton(page: Page) -> list[str]:
    """The elements of a page in order, each as the tags from the root down to it."""
    tags: list[str] = page.evaluate(
        """() => { const path = (one) => one ? `${path(one.parentElement)} ${one.localName}` : "";
          return [...document.querySelectorAll(":not(wbr)")].map(path) }"""
    )
    return tags


def reaching_out(page: Page) -> list[str]:
    """Attributes that run something, or lead out of the page."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes]).filter((one) =>
          one.name.startsWith("on") || (/^(xlink:)?(href|src|action|srcset)$/.test(one.name) && !one.value.startsWith("#")))
          .map((one) => `${one.name}=${one.value}`)"""
    )
    return found


def made_of(command: str, folder: Path, suffix: str, only: Container[str] | None = None) -> Path:
    """The page that a command makes of records whose texts have this suffix."""
    old, new = ([spoiled(line, suffix, only) for line in lines] for lines in (OLD, NEW))
    return make(command, folder, old, new)  # type: ignore[arg-type]


@pytest.mark.parametrize("only", [None, LONG], ids=["everywhere", "a megabyte each"])
@pytest.mark.parametrize("command", PAGES)
def test_hostile_text_is_only_text(look: Look, tmp_path: Path, command: str, only: Container[str] | None) -> None:
    """The page has the elements that it has of harmless text, nothing runs or leads elsewhere, and the text can be read."""
    times = MEGABYTE // len(HOSTILE) if only else 1
    harmless = look(made_of(command, tmp_path / "harmless", HARMLESS * times, only))
    page = look(made_of(command, tmp_path / "hostile", HOSTILE * times, only))

    assert skeleton(page) == skeleton(harmless)
    assert reaching_out(page) == []
    assert not page.title().startswith("it ran")
    assert visible(HOSTILE) in (page.text_content("body") or "")
