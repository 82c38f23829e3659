"""A reader of recordings, written from RECORDING.md alone.

python3 reader.py FILE [CONTENT KEY] checks header, checksums and chain of a .rec,
.tail or .full, and the seal's statement. It prints one line for each frame:
number, time, channel, kind, payload in hexadecimal; of an encrypted recording
only with its content key (in hexadecimal), for which it needs the package
cryptography.
"""
import base64
import hashlib
import hmac
import json
import struct
import subprocess
import sys

LIMIT = 4 << 20
MAGIC = {b"\x89SPR\r\n\x1a\n": "rec", b"\x89SPT\r\n\x1a\n": "tail"}
TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def refuse(unless, why):
    if not unless:
        sys.exit("refused: " + why)


def derive(key, info):
    pseudo = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(pseudo, info.encode() + b"\x01", hashlib.sha256).digest()


class Recording:
    def __init__(self, data, key):
        refuse(len(data) >= 104 and crc32c(data[:100]) == struct.unpack(">I", data[100:104])[0], "header")
        magic, version, cipher, meta = struct.unpack(">8sHHI", data[:16])
        self.first, wrapped = struct.unpack(">QI", data[40:52])
        self.before = data[52:68]
        self.kind = MAGIC.get(magic)
        refuse(self.kind and version == 2 and cipher in (0, 1) and (cipher == 0) == (wrapped == 0), "version")
        end = 104 + meta + wrapped
        refuse(crc32c(data[:end]) == struct.unpack(">I", data[end:end + 4])[0], "preface")
        self.meta = data[104:104 + meta]
        self.data, self.at, self.encrypted = data, end + 4, cipher == 1
        fixed = b"\x89SPR\r\n\x1a\n" + data[8:40] + bytes(8) + data[48:52] + bytes(16) + data[68:100]
        header = fixed + struct.pack(">I", crc32c(fixed)) + data[104:end]
        header += struct.pack(">I", crc32c(header))
        self.digest = hashlib.sha256(b"sallyport recording, version 2\n" + header).digest()
        self.mark = self.digest[:4]
        self.opens = not self.encrypted or key is not None
        if self.encrypted and key is not None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            refuse(derive(key, "sallyport recording v2 commitment") == data[68:100], "key")
            self.tail_key = AESGCM(derive(key, "sallyport recording v2 tail"))
            self.block_key = AESGCM(derive(key, "sallyport recording v2 block"))

    def read(self):
        if self.opens:
            show(0, 0, 0, 1, self.meta)
        if self.kind == "tail":
            self.records(self.data[self.at:], self.first, self.before, 0, torn=True)
        else:
            self.blocks()

    def records(self, data, number, before, time, torn):
        at = count = 0
        while at < len(data):
            head = data[at:at + 24]
            if torn and (len(head) < 24 or not any(data[at:])):
                break
            refuse(len(head) == 24, "cut")
            n, length, mark, body_sum, head_sum = struct.unpack(">QI4sII", head)
            refuse(crc32c(head[:20]) == head_sum, "record header")
            refuse(n == number and mark == self.mark and length <= (1 << 20) + 29, "record")
            body = data[at + 24:at + 24 + length]
            if torn and len(body) < length:
                break
            refuse(len(body) == length and crc32c(body) == body_sum, "body")
            tag = body[-16:]
            if self.opens:
                if self.encrypted:
                    body = self.tail_key.decrypt(bytes(4) + head[:8], body, self.digest + head[:12] + before)
                now, channel, kind = struct.unpack(">QIB", body[:13])
                refuse(now >= time and kind, "time")
                time = now
                show(n, now, channel, kind, body[13:])
            if self.encrypted:
                before = tag
            number += 1
            count += 1
            at += 24 + length
        return count

    def blocks(self):
        at, number, chain, blocks = self.at, 1, self.digest, 0
        while at < len(self.data):
            head = self.data[at:at + 52]
            refuse(len(head) == 52 and crc32c(head[:48]) == struct.unpack(">I", head[48:])[0], "block header")
            kind, flags, zero, stored, length, count, first, start, last, mark, total = struct.unpack(">BBHIIIQQQ4sI", head[:48])
            refuse(1 <= kind <= 4 and flags <= 1 and not zero and stored <= LIMIT and length <= LIMIT, "block")
            refuse(mark == self.mark and first == number and (count == 0) == (kind == 4), "place")
            body = self.data[at + 52:at + 52 + stored]
            link = hashlib.sha256(chain + head + body).digest()
            refuse(crc32c(body) == total and self.data[at + 52 + stored:at + 84 + stored] == link, "chain")
            if kind == 4:
                self.seal(body, at, number, chain, blocks)
                refuse(at + 84 + stored == len(self.data), "something follows the seal")
                return
            if kind == 3:
                refuse(self.records(body[16:], number, body[:16], start, torn=False) == count, "records")
            elif self.opens:
                if self.encrypted:
                    body = self.block_key.decrypt(body[:12], body[12:], self.digest + head[:44])
                if kind == 2:
                    body = subprocess.run(["zstd", "-dcq"], input=body, stdout=subprocess.PIPE, check=True).stdout
                refuse(len(body) == length, "body")
                columns(body, number, count, start, last)
            number, chain, blocks, at = number + count, link, blocks + 1, at + 84 + stored

    def seal(self, body, at, frames, chain, blocks):
        parts = []
        for _ in range(3):
            (n,) = struct.unpack(">I", body[:4])
            parts.append(body[4:4 + n])
            body = body[4 + n:]
        refuse(not body, "seal")
        s = json.loads(parts[0])
        refuse(s["version"] == 2 and s["session"] == json.loads(self.meta)["session"], "seal's session")
        refuse(base64.b64decode(s["header"]) == self.digest and base64.b64decode(s["chain"]) == chain, "seal's digests")
        refuse((s["blocks"], s["frames"], s["bytes"]) == (blocks, frames, at), "seal's counts")
        print("sealed", s["proxy"], s["end"]["reason"])


def uvarint(data, at):
    value = shift = 0
    while True:
        refuse(at < len(data) and shift < 70, "uvarint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def uvarints(data, at, count):
    values = []
    for _ in range(count):
        value, at = uvarint(data, at)
        values.append(value)
    return values, at


def columns(body, number, count, time, last):
    kinds = body[:count]
    channels, at = uvarints(body, count, count)
    times, at = uvarints(body, at, count)
    lengths, at = uvarints(body, at, count)
    where = {}
    for kind in sorted(set(kinds)):
        where[kind] = at
        at += sum(length for k, length in zip(kinds, lengths) if k == kind)
    while at < len(body):  # the appendix
        _, at = uvarint(body, at)
        length, at = uvarint(body, at)
        at += length
    refuse(at == len(body) and times[0] == 0 and 0 not in kinds, "columns")
    for kind, channel, step, length in zip(kinds, channels, times, lengths):
        time += step
        show(number, time, channel, kind, body[where[kind]:where[kind] + length])
        where[kind] += length
        number += 1
    refuse(time == last, "times")


def show(number, time, channel, kind, payload):
    print(number, time, channel, kind, payload.hex())


with open(sys.argv[1], "rb") as f:
    Recording(f.read(), bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else None).read()
