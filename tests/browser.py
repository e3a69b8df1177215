"""Debian's Chromium without a window, on pages that lie on disk: what the browser tests and the pictures share.

Owns how the browser is found and started, what counts as trouble on a page, and axe-core, which comes with a Python package.
Nothing is fetched: the browser is the system's, and the extra `browser` brings the rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

SECONDS = 60
"""How long the browser may take over one thing, on a machine that is busy."""

ACCESSIBILITY = r"""async () => {
  for (const closed of document.querySelectorAll("details:not([open])")) closed.open = true;
  const whole = document.createElement("style"); // what is skipped while it is out of view has no colours to compare
  whole.textContent = "* { content-visibility: visible !important }";
  document.head.append(whole);
  for (const one of document.querySelectorAll("*")) { // stripes count with their own colour: between them is the neighbours'
    const stripe = getComputedStyle(one).backgroundImage.match(/gradient.*?(rgb\([^)]*\))/);
    if (stripe) one.style.background = stripe[1];
  }
  const contrastRatio = { normal: { expected: 4.5 }, large: { expected: 4.5 } };
  axe.configure({ checks: [{ id: "color-contrast", options: { ignoreLength: true, contrastRatio } }] });
  const found = await axe.run(document, { resultTypes: ["violations", "incomplete"] });
  const minded = found.violations.flatMap((rule) => rule.nodes.map((node) => [rule.id, node]));
  for (const rule of found.incomplete) if (rule.id === "color-contrast") for (const node of rule.nodes)
    // What a scrolling box cuts off has the colours that it has elsewhere; drawings are for us to compare.
    if (node.any[0]?.data?.messageKey !== "elmPartiallyObscured" && !document.querySelector(node.target[0])?.closest("svg"))
      minded.push([rule.id, node]);
  const said = minded.map(([id, node]) => `${id}: ${node.target}: ${node.failureSummary}`);

  const light = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0.05);
  for (const text of document.querySelectorAll("svg text")) {
    let under = text;
    while (/, 0\)$/.test(getComputedStyle(under).backgroundColor)) under = under.parentElement;
    const [dark, bright] = [getComputedStyle(text).fill, getComputedStyle(under).backgroundColor].map(light).sort((a, b) => a - b);
    if (bright / dark < 4.5) said.push(`a drawing's text: ${bright / dark} to 1: ${text.outerHTML}`);
  }
  return said;
}"""
"""What axe-core minds with all details open: any violation of its rules, and contrast below 4.5 to 1 or that it can't work out."""


class BrowserMissing(Exception):
    """There is no browser to be had; the message says what is missing, and how to get it."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium with a profile of its own, ended at the end. Raises BrowserMissing."""
    program = shutil.which("chromium")
    if program is None:
        raise BrowserMissing("Chromium is missing: apt install chromium")
    if not find_spec("axe_playwright_python"):
        raise BrowserMissing("Playwright or axe-core is missing: pip install -e '.[browser]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--disable-gpu", "--disable-quic", "--disable-sync"], timeout=SECONDS * 1000
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page in the browser, and what a page of ours must never cause: errors, dialogs, windows, and requests but for itself."""

    page: Page
    troubles: list[str]


def view(
    browser: Browser,
    path: Path,
    *,
    fragment: str = "",
    dark: bool = False,
    width: int = 1280,
    height: int = 800,
    scale: float = 1,
    scripts: bool = True,
) -> View:
    """A file as a page, in a context of its own; sizes are in CSS pixels, `scale` is the number of dots for each."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light",
        device_scale_factor=scale,
        java_script_enabled=scripts,
        viewport={"width": width, "height": height},
    )
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    address = path.resolve().as_uri()
    troubles: list[str] = []

    def request(asked: Request) -> None:
        if asked.url.partition("#")[0] != address:
            troubles.append(f"asked for {asked.url}")

    def dialog(opened: Dialog) -> None:
        troubles.append(f"dialog: {opened.message}")
        opened.dismiss()

    page.on("request", request)
    page.on("dialog", dialog)
    page.on("console", lambda message: troubles.append(f"console: {message.type}: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    page.on("crash", lambda _: troubles.append("crashed"))
    context.on("page", lambda other: troubles.append(f"opened {other.url}"))
    page.goto(address + fragment)
    return View(page=page, troubles=troubles)


def accessibility(page: Page) -> list[str]:
    """What axe-core finds wrong, a text for each place; opens all that is closed. Needs scripts."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(ACCESSIBILITY)
    return found
