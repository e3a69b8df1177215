"""Images made of Debian's packages: whether one is there, and how the newest gets there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from targets import cache, debian
from targets.target import Say, Target, TargetError

Suite = TypeVar("Suite", bound=debian.Suite)


def missing(target: str, *names: str) -> str | None:
    """What it takes to fetch what a target needs, the images of these names or else that of its own; None if all is there."""
    if all(cache.image(name) for name in names or (target,)):
        return None
    return debian.missing() or f"its image isn't fetched: python -m targets fetch {target}"


def required(target: Target, name: str = "") -> Path:
    """The folder of an image that a target needs, by default of that of its own name. Raises TargetError if it can't be run."""
    image, problem = cache.image(name or target.name), target.missing()
    if problem or not image:
        raise TargetError(str(problem))
    return image


def refresh(
    name: str,
    where: str,
    newest: Callable[[Say], tuple[Suite, debian.Package]],
    fill: Callable[[Suite, debian.Package, Path], None],
    say: Say,
) -> None:
    """Have the image be the newest that there is `where`, unless it is; `fill` makes it of a package. Raises TargetError."""
    with cache.locked(name, say):
        suite, package = newest(say)
        present = cache.image(name)
        if present and present.name == f"{name}.{package.version}":
            say(f"{package.name} {package.version} is there, and {where} has no newer one")
            return
        say(f"fetching {package.name} {package.version} from {suite.name}")
        cache.publish(name, package.version, partial(fill, suite, package))
        say(f"ready: {cache.image(name)}")
