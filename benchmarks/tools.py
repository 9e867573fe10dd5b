"""The measuring tools: right against exact truth, and how many a second over HTTP.

    python -m benchmarks.tools [--frames 40] [--points 500] [--seconds 8]

Truth: simulated rooms. A depth is right within 1 mm (exact depth) or 2 % (a depth camera's faults)
of the truth; near or far is asked of pairs that differ by more than that. The service runs in a
process of its own on loopback; 32 clients each keep a connection and send the next `depth_at` when
the last is answered. Then the same beside 64 connections that drip a byte a second or send half a
request, and four clients that send uploads and calls made to break it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks import one_thread
from calipers.samples.faults import Faults
from calipers.samples.rooms import RoomFrame, generate
from calipers.tools import Point, Session
from calipers.tools.protocol import answer

CLIENTS, SLOW, HOSTILE = 32, 64, 4
BOUNDARY = "calipers"


@dataclass
class Score:
    """How many of how many were right."""

    right: int = 0
    asked: int = 0

    def add(self, right: bool) -> None:
        self.right, self.asked = self.right + right, self.asked + 1

    def __str__(self) -> str:
        return f"{100 * self.right / max(self.asked, 1):.3f} % of {self.asked:,}"


@dataclass
class Right:
    """What was right in one condition."""

    depth: Score = field(default_factory=Score)
    text: Score = field(default_factory=Score)
    nearer: Score = field(default_factory=Score)
    silent: int = 0
    worst_m: float = 0.0


def ask_points(made: RoomFrame, points: int, share: float, right: Right) -> None:
    """Ask one frame: so many points, and whether each or the one before it is nearer."""
    session, truth = Session.of_frame(made.frame), made.truth.depth_m
    rng = np.random.default_rng(int(made.frame.id.rpartition("-")[2]))
    height, width = truth.shape
    before: tuple[Point, float] | None = None
    for x, y in rng.random((points, 2)).tolist():
        true = float(truth[int(y * height), int(x * width)])
        found = json.loads(session.call("depth_at", json.dumps({"x": x, "y": y})))
        if found["value"] is None:
            right.silent += 1
            continue
        error, allowed = abs(found["value"] - true), max(0.001, share * true)
        right.worst_m = max(right.worst_m, error)
        right.depth.add(error <= allowed)
        said = answer(session, f"{x:.9f},{y:.9f}").depth_mm
        right.text.add(said is not None and abs(said / 1000 - true) <= allowed)
        point = Point(x=x, y=y)
        if before is not None and abs(true - before[1]) > allowed:
            wanted = "a" if before[1] < true else "b"
            right.nearer.add(session.nearer(before[0], point).label == wanted)
        before = point, true


def accuracy(frames: int, points: int) -> None:
    """Print how much is right with exact depth and with a depth camera's faults."""
    for name, faults, share in (("exact depth", None, 0.0), ("depth with faults", Faults(), 0.02)):
        right = Right()
        for seed in range(frames):
            made = generate(seed, faults=faults, colours=False, size_wh=(320, 240))
            ask_points(made, points, share, right)
        print(f"tools, depth at a point, {name}: {right.depth}; in text {right.text}; "
              f"no reading {right.silent:,}; worst {right.worst_m * 1000:.3f} mm")  # fmt: skip
        print(f"tools, near or far, {name}: {right.nearer}")


def request(path: str, body: bytes, media: str = "application/json", verb: str = "POST") -> bytes:
    """A whole request."""
    head = (
        f"{verb} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form(depth: bytes, record: str = "{}") -> tuple[bytes, str]:
    """An upload's body and media type."""
    part = f"--{BOUNDARY}\r\ncontent-disposition: form-data; name="
    body = (
        f'{part}"record"\r\n\r\n{record}\r\n{part}"depth"; filename="depth"\r\n\r\n'.encode()
        + depth
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    return body, f"multipart/form-data; boundary={BOUNDARY}"


class Connection:
    """A connection that stays, and is made again when the service closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, whole: bytes) -> tuple[int, bytes]:
        """Send a request; status and body of the answer."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(whole)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        body = await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        """Hang up."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


@dataclass
class Load:
    """What the 32 clients saw."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0


async def client(port: int, path: str, until: float, load: Load, number: int) -> None:
    """Ask for depth until the time is over."""
    rng = np.random.default_rng(number)
    connection = Connection(port)
    while time.perf_counter() < until:
        x, y = rng.random(2).round(4).tolist()
        whole = request(f"{path}/depth_at", json.dumps({"x": x, "y": y}).encode())
        start = time.perf_counter()
        try:
            status, body = await connection.send(whole)
        except (OSError, asyncio.IncompleteReadError):
            load.errors += 1
            connection.close()
            continue
        load.seconds.append(time.perf_counter() - start)
        load.errors += status != 200 or json.loads(body)["value"] is None
    connection.close()


async def slow_client(port: int, path: str, until: float, number: int) -> None:
    """Send a head a byte a second, or a head and half of its body; then begin again."""
    whole = request(f"{path}/depth_at", b'{"x":0.5,"y":0.5}')
    while time.perf_counter() < until:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            if number % 2:
                writer.write(whole[:-5])
            for k in range(20):
                if time.perf_counter() > until or writer.is_closing():
                    break
                if number % 2 == 0:
                    writer.write(whole[k : k + 1])
                await asyncio.sleep(1)
            writer.close()


def attacks(path: str) -> list[bytes]:
    """Requests made to break the service."""
    lying = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        lying, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
    )
    noise = np.random.default_rng(0).bytes(2_000_000)
    wide = json.dumps({"a": {"box": [0, 0, 1, 1]}, "b": {"box": [0, 0, 0.9, 1]}}).encode()
    uploads = [form(lying.getvalue()), form(noise), form(b"", "[" * 50_000)]
    calls = [b"[" * 900_000, b'{"x":NaN,"y":1e999}', b'{"x":' + b"9" * 100_000 + b"}", b"\0"]
    return [
        *(request("/sessions", body, media) for body, media in uploads),
        *(request(f"{path}/depth_at", body) for body in calls),
        *(request(f"{path}/{tool}", wide) for tool in ("gap", "distance", "touching")),
        request("/sessions/open", b'{"path":"../../etc"}'),
        b"\x16\x03\x01" + noise[:1000] + b"\r\n\r\n",
    ]


async def hostile_client(port: int, path: str, until: float) -> None:
    """Send all attacks, over and over, and open as many sessions as it may."""
    plain = io.BytesIO()
    np.save(plain, np.ones((64, 64), np.float32))
    body, media = form(plain.getvalue())
    everything = [*attacks(path), request("/sessions", body, media)]
    while time.perf_counter() < until:
        for whole in everything:
            connection = Connection(port)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await connection.send(whole)
            connection.close()


async def load_service(port: int, path: str, seconds: float, disturbed: bool) -> Load:
    """All clients at once."""
    load, until = Load(), time.perf_counter() + seconds
    tasks = [client(port, path, until, load, k) for k in range(CLIENTS)]
    if disturbed:
        tasks += [slow_client(port, path, until, k) for k in range(SLOW)]
        tasks += [hostile_client(port, path, until) for _ in range(HOSTILE)]
    await asyncio.gather(*tasks)
    return load


@contextlib.contextmanager
def running() -> Iterator[int]:
    """The service; its port."""
    command = [sys.executable, "-m", "calipers", "tools", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


async def open_room(port: int) -> str:
    """Upload a room; the path of its session."""
    depth = io.BytesIO()
    np.save(depth, generate(0, colours=False).truth.depth_m)
    body, media = form(depth.getvalue())
    status, told = await Connection(port).send(request("/sessions", body, media))
    assert status == 201, told
    return f"/sessions/{json.loads(told)['session']}"


def service(seconds: float) -> None:
    """Print how many requests a second are answered, alone and disturbed."""
    with running() as port:
        path = asyncio.run(open_room(port))
        asyncio.run(load_service(port, path, seconds / 4, False))  # warm
        for name, disturbed in (("alone", False), ("beside slow and hostile clients", True)):
            load = asyncio.run(load_service(port, path, seconds, disturbed))
            p50, p99 = np.percentile(load.seconds, (50, 99)) * 1000
            print(f"tools, service {name}: {len(load.seconds) / seconds:,.0f} requests/s at "
                  f"{CLIENTS} clients, median {p50:.0f} ms, p99 {p99:.0f} ms, "
                  f"{load.errors} errors")  # fmt: skip


def main() -> None:
    one_thread()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    accuracy(options.frames, options.points)
    service(options.seconds)


if __name__ == "__main__":
    main()
