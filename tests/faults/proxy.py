"""A proxy before a real server that goes away, hangs, delays or loses answers when told to."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 1 << 16
POLL_S = 0.02


class Proxy:
    """Listens on a port of its own and passes on what comes, byte by byte.

    Attributes:
        delay_s: how long each answer is held back.
        hangs: while True, requests are taken and nothing is done with them.
        says: the answer that a gateway gives in place of the server; None to ask the server.
        loses: whether the connection is cut once the server has answered this request.
    """

    def __init__(self, port: int) -> None:
        """Before the server at that port of loopback."""
        self.delay_s = 0.0
        self.hangs = False
        self.says: bytes | None = None
        self.loses: Callable[[bytes], bool] = lambda request: False
        self._server_port = port
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.resume()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether requests reach the server, however late."""
        return self._listener is not None and not self.hangs and self.says is None

    def resume(self) -> None:
        """Listen again, at the same port."""
        self._listener = socket.create_server((LOOPBACK, self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Cut what is open; nobody listens from now on."""
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._listener.close()
            self._listener = None
        for each in list(self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._connections.add(client)
        try:
            with client, contextlib.suppress(OSError):
                self._pass_on(client)
        finally:
            self._connections.discard(client)

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection((LOOPBACK, self._server_port)) as server:
            request, answered = b"", True
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    received = client.recv(CHUNK_BYTES)
                    request, answered = (b"" if answered else request) + received, False
                    self._while(lambda: self.hangs)
                    if not received or self._answer(client):
                        return
                    server.sendall(received)
                elif not self._give_back(server, client, None if answered else request):
                    return
                else:
                    answered = True

    def _give_back(
        self, server: socket.socket, client: socket.socket, request: bytes | None
    ) -> bool:
        """Pass on a piece of an answer, the first one if its request is given; False at its end."""
        answer = server.recv(CHUNK_BYTES)
        if request is not None:
            began_s = time.monotonic()
            self._while(lambda: time.monotonic() < began_s + self.delay_s)
            if self.loses(request):
                return False
        client.sendall(answer)
        return bool(answer)

    def _answer(self, client: socket.socket) -> bool:
        if self.says is None:
            return False
        client.sendall(self.says)
        client.shutdown(socket.SHUT_WR)
        while client.recv(CHUNK_BYTES):  # or what is still on its way would reset the connection
            pass
        return True

    @staticmethod
    def _while(condition: Callable[[], bool]) -> None:
        while condition():
            time.sleep(POLL_S)


def page(status: str) -> bytes:
    """What a gateway says of a server that it cannot find."""
    body = f"<html><body><h1>{status}</h1></body></html>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
