"""What functions are called on which kernel: the file's format, what a name resolves to, and that paths and file fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites import clauses
from suites.clauses import SpecificationError, element
from suites.functions import DOCUMENTS, load

OLDEST = (5, 10, 0)

GOOD = """
[[function]]
name = "old"
documents = ["002"]
[[function.change]]
since = ["5.10.20", "5.12"]
names = ["new", "old"]
why = "it was split"
[[function.change]]
since = ["6.6"]
names = []
is = "inline"
why = "nobody needs it"
"""


def load_text(folder: Path, text: str) -> str:
    """Load a file of functions; returns what is wrong with it."""
    path = folder / f"{len(list(folder.iterdir()))}.toml"
    path.write_text(text)
    try:
        load(path)
    except SpecificationError as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[[function]]", "[[function", "toml: not TOML"),
        ("[[function]]", "[[clause]]\n[[function]]", "holds [[function]] tables and nothing else"),
        ('name = "old"', "", "function (without a name): name: is missing"),
        ('name = "old"', 'name = "old()"', "function old(): name: 'old()' isn't a function's name"),
        ('name = "old"', 'name = "old"\nplace = 1', "function old: place: there is no such key; there are name,"),
        ('["002"]', '["005"]', "function old: documents: there is no document '005'; there are 000, 001,"),
        ('["002"]', '"002"', "function old: documents: must be a list"),
        (
            'name = "old"',
            'name = "old"\nis = "macro"',
            "function old: is: 'macro' is no kind; there are function, inline",
        ),
        ('name = "old"', 'name = "old"\nunreached = ""', "function old: unreached: says nothing"),
        ('why = "it was split"', "", "function old: change.why: is missing"),
        ('["new", "old"]', '["new()"]', "function old: change.names: 'new()' isn't a function's name"),
        ('["6.6"]', '["6"]', "function old: change.since: '6' isn't a kernel version"),
        ('["6.6"]', "[]", "function old: change.since: '' isn't a kernel version"),
        ('["6.6"]', '["6.6.1"]', "function old: change.since: names stable branches only; add the first release"),
        ('is = "inline"', 'is = "macro"', "function old: change.is: 'macro' is no kind"),
        ("\n[[function]]", '\n[[function]]\nname = "old"\n[[function]]', "function old: it is given twice"),
    ],
)
def test_malformed_function_is_refused_by_file_function_and_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    """One clear sentence, and nothing is guessed."""
    assert load_text(tmp_path, GOOD) == "nothing"

    assert words in load_text(tmp_path, GOOD.replace(old, new, 1))


def test_the_last_change_that_applies_says_what_does_the_work(tmp_path: Path) -> None:
    """A stable branch has a change from its own release on, and None stands for the newest kernel."""
    path = tmp_path / "functions.toml"
    path.write_text(GOOD)
    functions = load(path)

    kernels = ((5, 10, 19), (5, 10, 20), (6, 1, 0), (6, 6, 0), None)
    resolved = [functions.resolve("old", kernel) for kernel in kernels]

    assert [each.now for each in resolved] == [("old",), ("new", "old"), ("new", "old"), (), ()]
    assert [each.is_ for each in resolved] == ["function", "function", "function", "inline", "inline"]
    assert [each.since for each in resolved] == [None, *[("5.10.20", "5.12")] * 2, *[("6.6",)] * 2]
    assert [each.why for each in resolved] == [None, *["it was split"] * 2, *["nobody needs it"] * 2]


def test_a_name_that_the_file_does_not_know_is_called_the_same_everywhere() -> None:
    """Most functions need no entry."""
    resolved = load().resolve("some_function", OLDEST)

    assert (resolved.now, resolved.is_, resolved.since, resolved.why) == (("some_function",), "function", None, None)


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("sock_aio_read", "sock_read_iter sock_read_iter sock_read_iter sock_read_iter"),
        ("do_sync_read", "new_sync_read new_sync_read new_sync_read new_sync_read"),
        ("fget_light", "__fdget_pos __fdget_pos fdget_pos fdget_pos"),
        ("sock_lookup_light", "sockfd_lookup_light sockfd_lookup_light sock_from_file sock_from_file"),
        ("kmem_cache_alloc", "kmem_cache_alloc kmem_cache_alloc kmem_cache_alloc_noprof kmem_cache_alloc_noprof"),
        ("fput", "fput fput __fput_sync fput_close_sync"),
        ("f_modown", "f_modown __f_setown __f_setown __f_setown"),
        ("sk_prot_alloc", "sk_prot_alloc sk_prot_alloc sk_prot_alloc sk_prot_alloc"),
    ],
)
def test_functions_of_the_documents_are_known_on_each_kernel(name: str, now: str) -> None:
    """As the sources of 5.10, 6.1, 6.12 and 7.2 have them."""
    kernels = ((5, 10, 223), (6, 1, 176), (6, 12, 107), (7, 2, 12))

    assert [load().resolve(name, kernel).now[0] for kernel in kernels] == now.split()


def test_each_document_has_functions_and_each_function_a_reason_to_stand_there() -> None:
    """A function that isn't a document's stands in the file because it isn't the same on all kernels, or not a plain one."""
    functions = load()

    assert all(functions.of_document(document) for document in DOCUMENTS)
    for function in functions.known.values():
        assert function.documents or function.changes or function.is_ != "function" or function.common, function.name


def test_every_function_of_a_document_stands_in_a_path_or_is_common_inline_or_unreached() -> None:
    """What the documents draw is put in front of kernels."""
    in_paths = {
        name for clause in clauses.load().clauses.values() for text in clause.path for name in element(text).names
    }
    functions = load().known.values()
    left = {
        function.name
        for function in functions
        if function.documents and not (function.common or function.unreached or function.is_ == "inline")
    }

    assert not left - in_paths


def test_a_path_names_a_documents_function_as_the_document_does() -> None:
    """What it is called elsewhere stands in one place."""
    functions = load().known
    newer = {
        name: function.name
        for function in functions.values()
        for change in function.changes
        for name in change.names
        if function.documents and name not in functions
    }
    for clause in clauses.load().clauses.values():
        for text in clause.path:
            for name in element(text).names:
                assert name not in newer, f"{clause.id}: {name} is what became of {newer.get(name)}: name that"
