"""Splicing: data that goes between sockets, pipes and files without passing through the process."""

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryFile

from native import (
    MSG_DONTWAIT,
    O_NONBLOCK,
    SHUT_WR,
    SPLICE_F_NONBLOCK,
    close,
    copy_file_range,
    dup,
    get_flags,
    pipe2,
    read,
    recv,
    sendfile,
    set_flags,
    shutdown,
    splice,
    tee,
    write,
)
from suites.catalogue import clause
from suites.lab.calls import end_of
from suites.lab.case import Case, Descriptor, Plain, attempt


def pipe(case: Case) -> tuple[Descriptor, Descriptor]:
    """A pipe of the case: the end to read from, and the end to write to."""
    out, into = pipe2(0)
    return case.own(out, "pipe_out"), case.own(into, "pipe_in")


def file_with(case: Case, data: bytes) -> Descriptor:
    """A regular file that holds this, to be read from its start."""
    with TemporaryFile(buffering=0) as file:
        file.write(data)
        file.seek(0)
        return case.own(dup(file.fileno()), "file")


def splice_in(case: Case, sock: int, data: bytes) -> Plain:
    """Have data moved to a socket in the way that the variant names."""
    if case.variant == "sendfile":
        return attempt(sendfile, sock, file_with(case, data), len(data))
    out, into = pipe(case)
    write(into, data)
    return attempt(splice, out, sock, len(data))


@clause("splice.out.takes_the_data")
def test_splice_moves_a_sockets_data_into_a_pipe(case: Case) -> None:
    """A protocol without splicing of its own is read into the pipe's pages."""
    sock, _ = case.pair()
    set_flags(sock, get_flags(sock) | O_NONBLOCK)
    out, into = pipe(case)
    case.deliver(b"abcdef")
    case.fence()

    spliced = attempt(splice, sock, into, 4096)
    again = attempt(splice, sock, into, 4096)

    case.at("spliced", moved=spliced, data=end_of(attempt(read, out, 4096), 6), again=again)


@clause("splice.out.ends")
def test_splice_from_an_ended_stream_is_zero(case: Case) -> None:
    """The end is told as read tells it."""
    sock, peer = case.pair()
    _, into = pipe(case)
    shutdown(peer, SHUT_WR)
    case.fence()

    case.at("ended", spliced=attempt(splice, sock, into, 4096))


@clause("splice.out.asks_the_file")
def test_splice_from_an_empty_socket_waits_whatever_its_own_flag_says(case: Case) -> None:
    """SPLICE_F_NONBLOCK is for the pipe."""
    sock, _ = case.pair()
    out, into = pipe(case)
    case.sleep("splice", sock, into, 4096, SPLICE_F_NONBLOCK, name="splicer")
    case.at("empty")

    case.deliver(b"x")
    case.await_return("splicer")

    case.at("delivered", data=end_of(attempt(read, out, 4096), 1))


@clause("splice.out.heeds_the_flag")
def test_splice_from_an_empty_unix_stream_heeds_its_own_flag(case: Case) -> None:
    """unix_stream_splice_read takes SPLICE_F_NONBLOCK for O_NONBLOCK."""
    sock, _ = case.pair()
    _, into = pipe(case)

    case.at("empty", spliced=attempt(splice, sock, into, 4096, SPLICE_F_NONBLOCK))


@clause("splice.in.arrives")
def test_data_moved_to_a_socket_arrives(case: Case) -> None:
    """The pipe's pages are the protocol's to send."""
    sock, peer = case.pair()

    moved = splice_in(case, sock, b"abcdef")
    case.fence()

    case.at("received", moved=moved, received=end_of(attempt(recv, peer, 4096, MSG_DONTWAIT), 6))


@clause("splice.in.is_a_broken_pipe")
def test_data_moved_to_an_ended_stream_is_a_broken_pipe(case: Case) -> None:
    """There is no way to ask for no signal."""
    sock, _ = case.pair()
    shutdown(sock, SHUT_WR)
    case.fence()

    case.at("moved", moved=splice_in(case, sock, b"x"))


@clause("splice.offset.is_refused")
def test_splice_with_an_offset_of_the_socket_is_refused(case: Case) -> None:
    """A file without FMODE_PREAD and FMODE_PWRITE has none."""
    sock, _ = case.pair()
    out, into = pipe(case)
    write(into, b"x")
    case.deliver(b"x")
    case.fence()

    from_socket = attempt(partial(splice, offset_in=0), sock, into, 1)
    to_socket = attempt(partial(splice, offset_out=0), out, sock, 1)

    case.at("refused", from_socket=from_socket, to_socket=to_socket)


REFUSED: dict[str, Callable[[Case, Descriptor, Descriptor], object]] = {
    "sendfile_from": lambda case, sock, file: sendfile(file, sock, 1),
    "copy_from": lambda case, sock, file: copy_file_range(sock, file, 1),
    "copy_to": lambda case, sock, file: copy_file_range(file, sock, 1),
    "splice_to_file": lambda case, sock, file: splice(sock, file, 1),
    "tee": lambda case, sock, file: tee(sock, pipe(case)[1], 1),
}


@clause("splice.other.is_refused")
def test_copying_that_sockets_have_no_part_in_is_refused(case: Case) -> None:
    """What was taken from a socket couldn't be put back, so there is no copying without a pipe."""
    sock, _ = case.pair()
    file = file_with(case, b"y")
    case.deliver(b"x")
    case.fence()

    case.at("refused", call=attempt(REFUSED[case.variant], case, sock, file))


@clause("splice.closed.is_ebadf")
def test_splice_of_a_closed_socket_is_ebadf(case: Case) -> None:
    """Both descriptors are looked up first."""
    sock = case.socket()
    out, into = pipe(case)
    close(sock)

    case.at("closed", from_socket=attempt(splice, sock, into, 1), to_socket=attempt(splice, out, sock, 1))
