"""What the kernel says of its modules, line by line."""

from __future__ import annotations

import pytest

from native import CallError, Module, module, unload_module
from native.modules import _read


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (
            "sctp 450560 4 sctp_diag, Live 0xffffffffc0a00000",
            Module("sctp", 450560, 4, ("sctp_diag",), "Live", ""),
        ),
        ("listener 16384 0 - Live 0x0000000000000000 (OE)", Module("listener", 16384, 0, (), "Live", "OE")),
        ("phonet 61440 1 - Unloading 0x0000000000000000 (E-)", Module("phonet", 61440, 1, (), "Unloading", "E")),
        ("atm 98304 1 [permanent], Live 0x0000000000000000", Module("atm", 98304, 1, (), "Live", "")),
        ("dummy 16384 - - Live 0x60a3c000", Module("dummy", 16384, None, (), "Live", "")),
    ],
)
def test_line_is_read(line: str, read: Module) -> None:
    """With users, a taint, one that goes away, one without an exit, and of a kernel that unloads none."""
    assert _read(line) == read


def test_module_that_isnt_loaded_is_none_and_cant_be_unloaded() -> None:
    """The kernel says why: it isn't there, the caller may not, or there are no modules at all."""
    assert module("sockwake_none") is None
    with pytest.raises(CallError, match=r"delete_module.*: (ENOENT|EPERM|ENOSYS)"):
        unload_module("sockwake_none")
