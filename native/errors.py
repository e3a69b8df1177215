"""What goes wrong: a call that the kernel refuses, and one that the deadline ends. Knows errno's names, and no call."""

from __future__ import annotations

import os
from errno import errorcode

__all__ = [
    "CallError",
    "DeadlineExpired",
    "errno_name",
]

_NAMES = {
    **errorcode,
    11: "EAGAIN",
    35: "EDEADLK",
    95: "EOPNOTSUPP",
    # include/linux/errno.h: numbers that the kernel keeps to itself, and that leave it only by mistake
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
    524: "ENOTSUPP",
}


def errno_name(number: int) -> str:
    """The name of an errno as Linux gives it, "EAGAIN"; its number in words where it has none."""
    return _NAMES.get(number) or f"errno {number}"


def in_words(call: str, arguments: tuple[object, ...]) -> str:
    """A call as strace writes it; names of constants, which are strings, stand without quotes."""
    return f"{call}({', '.join(argument if isinstance(argument, str) else repr(argument) for argument in arguments)})"


class CallError(OSError):
    """The kernel refused a call: `call`, its `arguments`, and the `errno`."""

    def __init__(self, call: str, arguments: tuple[object, ...], errno: int) -> None:
        super().__init__(errno, os.strerror(errno))
        self.call = call
        self.arguments = arguments

    @property
    def name(self) -> str:
        """The errno's name, "EAGAIN"."""
        assert self.errno is not None
        return errno_name(self.errno)

    def __str__(self) -> str:
        return f"{in_words(self.call, self.arguments)}: {self.name}"

    def __reduce__(self) -> tuple[type[CallError], tuple[str, tuple[object, ...], int | None]]:
        return type(self), (self.call, self.arguments, self.errno)


class DeadlineExpired(Exception):
    """The deadline passed while `call` was waiting, and interrupted it."""

    def __init__(self, call: str, arguments: tuple[object, ...]) -> None:
        super().__init__(call, arguments)
        self.call = call
        self.arguments = arguments

    def __str__(self) -> str:
        return f"the deadline passed in {in_words(self.call, self.arguments)}"
