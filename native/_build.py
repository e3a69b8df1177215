"""How the extension module is made: one C source out of the pieces in `c/`, and a sentence for what a build lacks.

Owns the order of the pieces. setuptools loads this file by itself, before its requirements are there, so it imports
nothing of this package, and cffi only once the build runs.
"""

from __future__ import annotations

import ast
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, SetupError

HERE = Path(__file__).parent

PIECES = (
    "unistd",
    "fcntl",
    "sys_stat",
    "sys_statfs",
    "sys_mman",
    "sys_sendfile",
    "sys_xattr",
    "sys_ioctl",
    "sys_socket",
    "socketcall",
    "poll",
    "sys_select",
    "sys_epoll",
    "io_uring",
    "aio_abi",
    "signal",
    "sched",
    "sys_resource",
    "sys_klog",
    "module",
    "net_if",
    "clock",
    "deadline",
    "threads",
    "child",
    "fence",
    "census",
)
"""A file each for declarations (`.cdef`) and for C (`.c`); what stands later may use what stands earlier."""


def constants() -> list[str]:
    """The names that `constants.py` announces without a value."""
    tree = ast.parse((HERE / "constants.py").read_text())
    return [
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.value is None and isinstance(node.target, ast.Name)
    ]


def declarations() -> str:
    """What Python may use, in cffi's dialect of C."""
    parts = [(HERE / "c" / f"{piece}.cdef").read_text() for piece in PIECES]
    return "\n".join([*parts, "#define ABSENT ...", *(f"#define {name} ..." for name in constants())])


def source() -> str:
    """The C that goes before cffi's own; a constant that the headers don't have gets a value that says so."""
    parts = [(HERE / "c" / f"{piece}.c").read_text() for piece in ("preamble", *PIECES)]
    absent = [f"#ifndef {name}\n#define {name} ABSENT\n#endif" for name in constants()]
    return "\n".join([*parts, "#define ABSENT INT64_MIN", *absent])


class BuildExt(build_ext):
    """build_ext(1) of setuptools, with the C source emitted first."""

    def build_extension(self, ext: Extension) -> None:
        """Emit and compile; raises SetupError with one sentence where the machine lacks what a build needs."""
        from cffi import FFI  # not there yet when setuptools loads this file to ask what the build requires

        builder = FFI()
        builder.set_source(ext.name, source())
        builder.cdef(declarations())
        builder.emit_c_code(str(HERE / "_native.c"))
        try:
            super().build_extension(ext)
        except CompileError as error:
            raise SetupError(self._missing() or f"sockwake's C source doesn't compile here: {error}") from None

    def _missing(self) -> str | None:
        if not self._compiles("int answer;"):
            return "sockwake needs a C compiler: install gcc (Debian: apt install gcc libc6-dev) or set CC"
        if not self._compiles("#include <Python.h>"):
            return "sockwake needs Python.h: install this Python's headers (Debian: apt install python3-dev)"
        if not self._compiles("#include <linux/tcp.h>"):
            return "sockwake needs the kernel's headers: install them (Debian: apt install linux-libc-dev)"
        return None

    def _compiles(self, text: str) -> bool:
        trial = Path(self.build_temp, "trial.c")
        trial.parent.mkdir(parents=True, exist_ok=True)
        trial.write_text(text + "\n")
        try:
            self.compiler.compile([str(trial)], output_dir=self.build_temp, include_dirs=self.include_dirs)
        except CompileError:
            return False
        return True
