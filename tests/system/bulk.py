# SPDX-License-Identifier: MIT
"""Many numbered messages, put and taken faster than frame by frame."""
import os
import re
import socket

_NUMBER = re.compile(rb"\n\n(\d{8})x*\0")
_ACK = re.compile(rb"\nack:([^\n]*)\n")


def frames(queue, first, count, size, receipt=b""):
    """SENDs with numbered bodies of `size` bytes, the last of them with a receipt."""
    fill = b"x" * (size - 8)
    one = (b"SEND\ndestination:/queue/" + queue.encode() + b"\ncontent-length:%d\n%s\n%08d"
           + fill + b"\0")
    out = [one % (size, b"", n) for n in range(first, first + count - 1)]
    out.append(one % (size, b"receipt:%s\n" % receipt if receipt else b"", first + count - 1))
    return b"".join(out)


def fill(client, queue, first, count, size=100, batch=1000, open_batches=20, each=None):
    """Puts that many; the last of every batch has a receipt.  each(): called per batch."""
    waiting = 0
    for at in range(first, first + count, batch):
        client.write(frames(queue, at, min(batch, first + count - at), size, b"%d" % at))
        waiting += 1
        while waiting > open_batches:
            client.wait("RECEIPT")
            waiting -= 1
        if each:
            each()
    for _ in range(waiting):
        client.wait("RECEIPT", patience=60)


def take(client, count, ack=True, each=None):
    """The numbers of the next `count` messages of a subscription; every thousandth is acked, and
    the last (ack:client, a prefetch of at least 1000).  Nothing else may come."""
    numbers, rest, last = [], bytes(client.decoder.buffer[client.decoder.at:]), None
    client.decoder.feed(b"")
    client.decoder.buffer.clear()
    acked = 0
    client.socket.settimeout(20)
    while True:
        end = rest.rfind(b"\0") + 1
        whole, rest = rest[:end], rest[end:]
        numbers += map(int, _NUMBER.findall(whole))
        if whole:
            last = _ACK.findall(whole[whole.rfind(b"MESSAGE\n"):]) or last
        if ack and last and (len(numbers) - acked >= 1000 or len(numbers) >= count):
            client.put("ACK", {"id": last[0].decode()})
            acked = len(numbers)
            if each:
                each()
        if len(numbers) >= count:
            client.decoder.buffer += rest
            return numbers
        data = client.socket.recv(1 << 20)
        if not data:
            raise socket.error(f"closed after {len(numbers)} messages")
        rest += data


def peak_rss(d):
    """Most memory that the daemon ever had, in bytes."""
    with open(f"/proc/{d.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) * 1024


def bytes_on_disk(d):
    return sum(os.stat(os.path.join(d.data, f)).st_blocks * 512 for f in os.listdir(d.data))
