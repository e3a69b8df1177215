"""The README's pictures, of the last records: the matrix, and one clause with its evidence.

`tox run -e pictures` takes them anew, of the records in `reports/out`, or of those that are named after `--`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from reports.html import render
from reports.pages import anchor
from reports.record import RecordError, read
from tests.browser import BrowserMissing, chromium, view

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "reports" / "pictures"
WIDTH, HEIGHT = 1440, 900
"""A picture's size in CSS pixels, each of which is SCALE dots: sharp where the README shows it smaller than it is."""
SCALE = 1.25
LARGEST = 150_000
"""The largest file that a clone of the repository is to carry, in bytes."""


def main() -> int:
    """Take both pictures, and say how large they are; 1 where one is too large, 2 where there is nothing to take them of."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--clause", default="stream.segment.signals", metavar="ID", help="default: %(default)s")
    parser.add_argument("records", nargs="*", type=Path, metavar="FILE", help="default: those in reports/out")
    options = parser.parse_args()
    records = options.records or sorted((ROOT / "reports" / "out").glob("*.jsonl"))
    if not records:
        parser.error("reports/out holds no record: run `python -m targets matrix` first, or name records")
    try:
        runs = read(records)
        if not any(options.clause in run.clauses for run in runs):
            parser.error(f"the records have no clause {options.clause!r}: name another with --clause")
        text = render(runs)
        pictures = take(text, options.clause)
    except (RecordError, BrowserMissing) as error:
        parser.error(str(error))
    OUT.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (OUT / name).write_bytes(picture)
        print(f"{(OUT / name).relative_to(ROOT)}: {len(picture):,} bytes, at most {LARGEST:,}")
    return int(any(len(picture) > LARGEST for picture in pictures.values()))


def take(text: str, clause: str) -> dict[str, bytes]:
    """PNGs by name, of a page's text: from the filters down, with what differs between kernels, and from the clause down.

    Raises BrowserMissing.
    """
    places = {"matrix.png": ("#&differs=1", "form"), "clause.png": (f"#{anchor(clause)}", f'[id="{anchor(clause)}"]')}
    taken = {}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder, "page.html")
        file.write_text(text, encoding="utf-8")
        for name, (fragment, selector) in places.items():
            page = view(browser, file, fragment=fragment, width=WIDTH, height=HEIGHT, scale=SCALE).page
            page.locator(selector).evaluate("(one) => (one.closest('details') ?? one).scrollIntoView()")
            taken[name] = _small(page.screenshot(animations="disabled"))
    return taken


def _small(png: bytes) -> bytes:
    """The picture in 256 colours, which a page has hardly more of: less than half as large."""
    from PIL import Image

    made = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


if __name__ == "__main__":
    sys.exit(main())
