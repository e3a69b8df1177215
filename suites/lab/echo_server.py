"""Document 001's server, as a program of its own: python echo_server.py SELECTOR

It listens on port 8888 with SO_REUSEADDR and a backlog of 5, gives each client a task, and sends back in upper case what it
receives. All of it happens in the main thread, by asyncio on the selector that is named. Two things are added so that it can be
looked at: it says "listening" when it does, and answers each byte on its standard input with how many clients it has and how
many of their tasks wait for room to send. The end of its standard input ends it.
"""

import asyncio
import os
import selectors
import socket
import sys
from contextlib import suppress

PORT = 8888
BACKLOG = 5
CHUNK = 65536
SELECTORS = {
    "epoll": selectors.EpollSelector,
    "poll": selectors.PollSelector,
    "select": selectors.SelectSelector,
}


class Server:
    """The clients' tasks, and how many of them are sending."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.clients: set[asyncio.Task[None]] = set()
        self.sending = 0

    async def serve(self) -> None:
        """Accept for ever, with a task for each client."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), self.answer)
        while True:
            connection, _ = await loop.sock_accept(self.listener)
            client = loop.create_task(self.echo(connection))
            self.clients.add(client)
            client.add_done_callback(self.clients.discard)

    async def echo(self, connection: socket.socket) -> None:
        """Send back in upper case what comes, until the client ends or breaks the connection."""
        loop = asyncio.get_running_loop()
        with connection, suppress(ConnectionError):
            while data := await loop.sock_recv(connection, CHUNK):
                self.sending += 1
                try:
                    await loop.sock_sendall(connection, data.upper())
                finally:
                    self.sending -= 1

    def answer(self) -> None:
        """Say how things stand, to whoever asks on standard input."""
        if os.read(sys.stdin.fileno(), 1):
            os.write(sys.stdout.fileno(), b"%d %d\n" % (len(self.clients), self.sending))
        else:
            sys.exit()


def main(selector: str) -> None:
    """Listen, say so, and serve."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", PORT))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        os.write(sys.stdout.fileno(), b"listening\n")
        loop = asyncio.SelectorEventLoop(SELECTORS[selector]())
        loop.run_until_complete(Server(listener).serve())


if __name__ == "__main__":
    main(sys.argv[1])
