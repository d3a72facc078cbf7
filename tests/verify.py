#!/usr/bin/env python3
"""Verify an export of Balm's journal, or the journal itself, with nothing but Python's standard library.

    verify.py EXPORT|DIRECTORY [--checkpoint FILE|TEXT]... [--key KEY]...

Written from docs/reference/journal.md alone, so that the format is what that page says. Ends with 0 if nothing was
changed, left out, moved or cut, as far as chain and checkpoints tell, and with 1 and the place of it otherwise.
"""

import hashlib
import json
import os
import re
import sys

ZERO = bytes(32)


class Found(Exception):
    """What is wrong, and where."""


# Lines.


def of_export(path):
    """The journal's JSON and the hash of each line of an export."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(rb'(.*),"hash":"([0-9a-f]{64})"}', line, re.DOTALL)
        if match is None:
            raise Found(f"line {number} is no line of an export")
        yield match.group(1) + b"}", match.group(2).decode()


def of_journal(directory):
    """The same of the files of a journal, whose rest is NUL."""
    names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"\d{20}\.journal", name))
    for name in names:
        with open(os.path.join(directory, name), "rb") as file:
            text = file.read().rstrip(b"\0")
        for number, line in enumerate(text.split(b"\n")[:-1], 1):
            if not re.fullmatch(rb"[0-9a-f]{64} .*", line, re.DOTALL):
                raise Found(f"{name}: line {number} is no line of a journal")
            yield line[65:], line[:64].decode()


# Ed25519, RFC 8032, 5.1: verification, a direct transcription of the formulas. Slow, and good enough.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def recover(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P != 0 or (x == 0 and sign == 1):
        return None
    return (P - x if x & 1 != sign else x), y


def decode(data):
    number = int.from_bytes(data, "little")
    return recover(number & (2**255 - 1), number >> 255)


def add(one, other):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def extended(point):
    x, y = point
    return x, y, 1, x * y % P


def is_signed_slowly(key, signature, text):
    public, commitment = decode(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % ORDER
    base = recover(4 * pow(5, P - 2, P) % P, 0)
    x1, y1, z1, _ = times(s, extended(base))
    x2, y2, z2, _ = add(extended(commitment), times(k, extended(public)))
    return (x1 * z2 - x2 * z1) % P == 0 and (y1 * z2 - y2 * z1) % P == 0


def is_signed(key, signature, text):
    """Whether a text was signed; key and signature as hexadecimal digits."""
    if not re.fullmatch("[0-9a-f]{64}", key) or not re.fullmatch("[0-9a-f]{128}", signature):
        return False
    key, signature = bytes.fromhex(key), bytes.fromhex(signature)
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return is_signed_slowly(key, signature, text)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
        return True
    except (InvalidSignature, ValueError):
        return False


# The check.


def signed(host, seq, digest):
    return f"balm checkpoint 1\n{host}\n{seq}\n{digest}\n".encode()


def verify(lines, keys, kept):
    """Check every line. Returns how many records there are, the last hash, and how many checkpoints."""
    head, last, at, host, more, checkpoints = ZERO, 0, 0, None, False, 0
    hashes, begins, files, dropped = {}, None, set(), []
    for text, digest in lines:
        if begins is None:
            begins, head = beginning(text)
            last = begins
            if begins:
                hashes[begins] = head.hex()
        place = f"record {last + 1}"
        head_after = hashlib.sha256(head + text).digest()
        if head_after.hex() != digest:
            raise Found(f"{place} is not what was written: its hash does not fit its text and the record before")
        record = json.loads(text)
        if record["v"] != 1:
            raise Found(f"{place} has version {record['v']}, which this program does not know")
        if record["seq"] != last + 1:
            raise Found(f"{place} has the number {record['seq']}")
        if (record["kind"] == "genesis") != (record["seq"] == 1):
            raise Found(f"{place} is not where a journal begins")
        if record["at"] < at:
            raise Found(f"{place} is older than the one before it")
        if record.get("prev", head.hex()) != head.hex() or record.get("synced", last) > last:
            raise Found(f"{place} says of the records before it what they are not")
        data = record["data"]
        if "prev" in record:
            files.add((last, record["prev"]))
        if record["kind"] == "history-dropped":
            dropped.append((data["upto"], data["hash"]))
        if record["kind"] == "genesis":
            host = data["host"]
        if record["kind"] == "checkpoint":
            host = host or data["host"]
            check(place, data, host, keys, hashes, begins)
            checkpoints += 1
        head, last, at, more = head_after, last + 1, record["at"], record.get("more", False)
        hashes[last] = head.hex()
    if begins is None:
        raise Found("there is no record")
    if more:
        raise Found(f"it ends with record {last}, and its batch goes on: the end is missing")
    if begins and not any(place[0] >= begins and place in files for place in dropped):
        raise Found(f"it begins with record {begins + 1}, and no record says that those before it were dropped")
    for seq, digest, signature in kept:
        if seq > last:
            raise Found(f"a checkpoint that was kept names record {seq}, and the last is {last}: the end was cut off")
        if seq >= begins and hashes.get(seq) != digest:
            raise Found(f"a checkpoint that was kept says that record {seq} had another hash")
        if signature and keys and host and not any(is_signed(key, signature, signed(host, seq, digest)) for key in keys):
            raise Found(f"the checkpoint of record {seq} that was kept is not signed by this host")
    return last - begins, head.hex(), checkpoints


def beginning(text):
    """Where the chain stands before the first line: its number and its hash."""
    record = json.loads(text)
    if record["seq"] == 1 or "prev" not in record:
        return 0, ZERO
    return record["seq"] - 1, bytes.fromhex(record["prev"])


def check(place, data, host, keys, hashes, begins):
    seq, digest = data["seq"], data["hash"]
    if data["host"] != host:
        raise Found(f"{place} is a checkpoint of another host")
    if not is_signed(data["key"], data["signature"], signed(host, seq, digest)):
        raise Found(f"the checkpoint in {place} is not signed by its key")
    if not keys:
        keys.append(data["key"])
    if data["key"] not in keys:
        raise Found(f"the checkpoint in {place} is signed with another key")
    if not 0 < seq < begins and hashes.get(seq) != digest:
        raise Found(f"the checkpoint in {place} says that record {seq} had another hash")


def find(text):
    """The number, hash and signature in what somebody has kept."""
    try:
        value = json.loads(text)
        for place in (value.get("checkpoint"), value.get("data"), value):
            if isinstance(place, dict) and {"seq", "hash", "signature"} <= place.keys():
                return place["seq"], place["hash"], place["signature"]
    except (ValueError, AttributeError):
        pass
    match = re.search(r"\b(\d+) ([0-9a-f]{64})\b", text)
    if match is None:
        sys.exit(f"{text!r} holds no checkpoint")
    signature = re.search(r"\b[0-9a-f]{128}\b", text)
    return int(match.group(1)), match.group(2), signature and signature.group(0)


def main(arguments):
    paths, keys, kept = [], [], []
    while arguments:
        word = arguments.pop(0)
        if word == "--key":
            keys.append(arguments.pop(0))
        elif word == "--checkpoint":
            text = arguments.pop(0)
            if os.path.exists(text):
                with open(text, encoding="utf-8") as file:
                    text = file.read()
            kept.extend(find(line) for line in text.splitlines() if line.strip())
        else:
            paths.append(word)
    if len(paths) != 1:
        sys.exit(__doc__)
    lines = of_journal(paths[0]) if os.path.isdir(paths[0]) else of_export(paths[0])
    try:
        count, head, checkpoints = verify(lines, keys, kept)
    except Found as found:
        sys.exit(f"{paths[0]}: {found}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        sys.exit(f"{paths[0]}: a record cannot be read: {error!r}")
    print(f"{count} records are whole and in order; the last one's hash is {head}; {checkpoints} checkpoints fit")


if __name__ == "__main__":
    main(sys.argv[1:])
