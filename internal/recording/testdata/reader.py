"""A reader of recordings, written from RECORDING.md alone.

python3 reader.py FILE prints one line for each frame of a .rec, .tail or .full:
number, time, channel, kind, payload in hexadecimal.
"""
import struct
import subprocess
import sys

LIMIT = 4 << 20


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def refuse(unless, why):
    if not unless:
        sys.exit("refused: " + why)


def uvarints(data, at, count):
    values = []
    for _ in range(count):
        value = shift = 0
        while True:
            refuse(at < len(data) and shift < 70, "column")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        values.append(value)
    return values, at


def show(number, time, channel, kind, payload):
    print(number, time, channel, kind, payload.hex())


def tail(data, seed, number):
    at = 56
    while at < len(data):
        head = data[at:at + 36]
        if len(head) < 36 or not any(data[at:]):
            return
        n, time, channel, length, kind, zero, payload_sum, head_sum = struct.unpack(">QQIIB3sII", head)
        refuse(crc32c(head[:32], seed) == head_sum, "frame header")
        refuse(n == number and kind and not any(zero) and length <= 1 << 20, "frame")
        payload = data[at + 36:at + 36 + length]
        if len(payload) < length:
            return
        refuse(crc32c(payload) == payload_sum, "payload")
        show(n, time, channel, kind, payload)
        number += 1
        at += 36 + length


def blocks(data, seed):
    at, number = 56, 0
    while at < len(data):
        head = data[at:at + 44]
        refuse(len(head) == 44, "cut")
        kind, zero, stored, length, count, first, start, last, head_sum = struct.unpack(">B3sIIIQQQI", head)
        refuse(crc32c(head[:40], seed) == head_sum, "block header")
        refuse(kind in (1, 2) and not any(zero) and stored <= LIMIT and length <= LIMIT and count and first == number, "block")
        body = data[at + 44:at + 44 + stored]
        (trailer,) = struct.unpack(">I", data[at + 44 + stored:at + 48 + stored])
        refuse(crc32c(body, head_sum) == trailer, "block checksum")
        if kind == 2:
            body = subprocess.run(["zstd", "-dcq"], input=body, stdout=subprocess.PIPE, check=True).stdout
        refuse(len(body) == length, "body")
        number = frames(body, number, count, start, last)
        at += 48 + stored


def frames(body, number, count, time, last):
    kinds = body[:count]
    channels, at = uvarints(body, count, count)
    times, at = uvarints(body, at, count)
    lengths, at = uvarints(body, at, count)
    where = {}
    for kind in sorted(set(kinds)):
        where[kind] = at
        at += sum(length for k, length in zip(kinds, lengths) if k == kind)
    refuse(at == len(body) and times[0] == 0 and 0 not in kinds, "columns")
    for kind, channel, step, length in zip(kinds, channels, times, lengths):
        time += step
        show(number, time, channel, kind, body[where[kind]:where[kind] + length])
        where[kind] += length
        number += 1
    refuse(time == last, "times")
    return number


def main(path):
    with open(path, "rb") as f:
        data = f.read()
    refuse(len(data) >= 56 and crc32c(data[:52]) == struct.unpack(">I", data[52:56])[0], "header")
    magic, version, cipher, chain, seal = struct.unpack(">8sHHHH", data[:16])
    first, recipients = struct.unpack(">QI", data[40:52])
    refuse((version, cipher, chain, seal, recipients) == (1, 0, 0, 0, 0), "version")
    seed = crc32c(data[16:40])
    if magic == b"\x89SPR\r\n\x1a\n":
        blocks(data, seed)
    else:
        refuse(magic == b"\x89SPT\r\n\x1a\n", "magic")
        tail(data, seed, first)


main(sys.argv[1])
