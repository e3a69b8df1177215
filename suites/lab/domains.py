"""Children that a security hook refuses things to: they enter a domain of the policy that a target has loaded into SELinux.

Owns the domains' names, which `targets/selinux.conf` defines. A domain is entered and never left; it ends with the child.
"""

from __future__ import annotations

from native import O_WRONLY, Child, SYS_openat, SYS_write

SOCKETLESS = "socketless"
"""Makes no socket of any kind."""

TCPLESS = "tcpless"
"""Makes no TCP socket."""

PRIVATE = "private"
"""What it opens, no outsider may use."""

OUTSIDER = "outsider"
"""Uses no descriptor of what a private process has opened."""

DEAF = "deaf"
"""Gets no signal that a process of another domain sends or has asked for."""


def enter(child: Child, domain: str) -> None:
    """Have a child enter a domain. Raises CallError where no such policy is in force: nobody knows the name there."""
    context = f"sockwake:all:{domain}".encode()
    fd = child.call("openat", SYS_openat, -1, b"/proc/self/attr/current\0", O_WRONLY)
    child.call("write", SYS_write, fd, context, len(context))
    child.close(fd)
