"""Which targets there are. A kind of target is a module; what it offers is named here, and nowhere else."""

from __future__ import annotations

from difflib import get_close_matches

from targets import gvisor, qemu_user, ssh, uml, vm
from targets.host import Host
from targets.target import Target, UsageError

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (Host(), *uml.TARGETS, *vm.TARGETS, *gvisor.TARGETS, *qemu_user.TARGETS, *ssh.TARGETS)
}
"""All targets by name, in the order in which they are listed."""


def find(name: str) -> Target:
    """The target of this name. Raises UsageError, naming what is near."""
    if name.startswith(ssh.PREFIX):
        return ssh.at(name.removeprefix(ssh.PREFIX))
    if name not in TARGETS:
        near = get_close_matches(name, TARGETS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`python -m targets list` shows all"
        raise UsageError(f"there is no target {name!r}; {hint}")
    return TARGETS[name]
