#!/usr/bin/env python3
"""Makes the vectors of PROTOCOL_FINAL.md sections 4, 5 and 7: `python3 test/vectors/wire-vectors.py`.

A second implementation, written from that document alone; primitives come from
crypto-vectors.py beside it, which is one as well. Shares no code with src. Nothing runs
it but a person.

Writes addresses.json, blobs.json, frames.json, heads.json, manifests.json, messages.json,
onion-statements.json, paths.json, peers.json, puzzles.json, uri-valid.txt and uri-invalid.txt.
"""

import base64
import hashlib
import importlib.util
import json
import os
import unicodedata

FOLDER = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("crypto_vectors", os.path.join(FOLDER, "crypto-vectors.py"))
c = importlib.util.module_from_spec(spec)
spec.loader.exec_module(c)
u8, u32, u64, label, derived = c.u8, c.u32, c.u64, c.label, c.derived

NOTE = "made by test/vectors/wire-vectors.py, which shares no code with src"
CHUNK = 2**20


def u16(n):
    return n.to_bytes(2, "big")


def write(name, content):
    with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps({"note": NOTE, **content}, indent=2) + "\n")


def load(name, file):
    found = importlib.util.spec_from_file_location(name, os.path.join(FOLDER, file))
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


argon2id = load("argon2_twin", "argon2_twin.py").argon2id


# --- 4.4 addresses ---------------------------------------------------------------


def onion_host(key):
    check = hashlib.sha3_256(b".onion checksum" + key + b"\x03").digest()[:2]
    return key + check + b"\x03"


def onion_name(key):
    return base64.b32encode(onion_host(key)).decode().lower() + ".onion"


def address(kind, host, port):
    return u8(kind) + host + bytes(35 - len(host)) + u16(port)


NODE_KEY = c.expand(derived("node seed"))[2]
ONION_KEY = c.expand(derived("onion seed"))[2]
ADDRESSES = {
    "203.0.113.9:7117": address(1, bytes([203, 0, 113, 9]), 7117),
    "127.0.0.1:1": address(1, bytes([127, 0, 0, 1]), 1),
    "[2001:db8::1]:65535": address(2, bytes.fromhex("20010db8000000000000000000000001"), 65535),
    "[::1]:80": address(2, bytes(15) + b"\x01", 80),
    "[1:0:0:2::3]:9": address(2, bytes.fromhex("00010000000000020000000000000003"), 9),
    onion_name(ONION_KEY) + ":443": address(3, onion_host(ONION_KEY), 443),
}
GOOD_ONION = onion_host(ONION_KEY)
BAD_ADDRESSES = {
    "unknown type": address(4, bytes(4), 1),
    "type 0 with a port": address(0, b"", 1),
    "type 0 with a host": address(0, b"\x01", 0),
    "port 0": address(1, bytes([1, 2, 3, 4]), 0),
    "bytes after an IPv4 host": address(1, bytes([1, 2, 3, 4, 5]), 1),
    "bytes after an IPv6 host": address(2, bytes(15) + b"\x01\x01", 1),
    "IPv4-mapped IPv6": address(2, bytes(10) + b"\xff\xff" + bytes([1, 2, 3, 4]), 1),
    "onion with a wrong checksum": address(3, GOOD_ONION[:32] + bytes([GOOD_ONION[32] ^ 1]) + GOOD_ONION[33:], 1),
    "onion of version 2": address(3, GOOD_ONION[:34] + b"\x02", 1),
    "onion of a small-order key": address(3, onion_host(b"\x01" + bytes(31)), 1),
}


def addresses():
    return {
        "valid": [{"text": text, "binary": data.hex()} for text, data in ADDRESSES.items()],
        "none": address(0, b"", 0).hex(),
        "invalid": [{"why": why, "binary": data.hex()} for why, data in BAD_ADDRESSES.items()],
    }


# --- 4.1 blobs -------------------------------------------------------------------


def blobs():
    seed = derived("public channel seed")
    convergence = c.hkdf(seed, label("convergence secret"), 32)
    out = []
    for name, content in (("empty", b""), ("text", b"hello, megatorrent\n"), ("full", bytes(range(256)) * 4096)):
        chunk = content + bytes(CHUNK - len(content))
        key = c.hmac(convergence, c.sha256(chunk))
        blob = c.seal(key, bytes(12), chunk)
        out.append(
            {
                "name": name,
                "content": content.hex() if len(content) < 100 else "bytes 0 to 255, 4096 times",
                "key": key.hex(),
                "id": c.sha256(blob).hex(),
                "firstBytes": blob[:32].hex(),
                "tag": blob[-16:].hex(),
            }
        )
    return {"convergenceSecret": convergence.hex(), "blobs": out}


# --- 4.3 heads and 5.1 slots -------------------------------------------------------


def head_bytes(seed, release, revision, time, root, previous, successor, entries, version=1, flags=0, count=None, reserved=0, tail=bytes(50)):
    body = u8(version) + u64(release) + u16(revision) + u64(time) + root + previous + u8(flags) + successor
    body += u8(len(entries) if count is None else count) + b"".join(entries)
    body += bytes(453 - len(body)) + u8(reserved)
    return body + c.sign(seed, label("head") + body) + tail


def hchacha(key, nonce):
    counter, rest = int.from_bytes(nonce[:4], "little"), nonce[4:16]
    block = c.chacha_block(key, counter, rest)
    words = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    words += [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    words += [int.from_bytes(nonce[i : i + 4], "little") for i in range(0, 16, 4)]
    state = [(int.from_bytes(block[4 * i : 4 * i + 4], "little") - words[i]) % 2**32 for i in range(16)]
    return b"".join(state[i].to_bytes(4, "little") for i in (0, 1, 2, 3, 12, 13, 14, 15))


def xseal(key, nonce, plaintext, aad):
    return c.seal(hchacha(key, nonce), bytes(4) + nonce[16:], plaintext, aad)


ROOT = derived("root id") + derived("root key")
FIRST_CHANNEL = "public channel"


def make_heads():
    seed = derived(FIRST_CHANNEL + " seed")
    two = [ADDRESSES["203.0.113.9:7117"], ADDRESSES[onion_name(ONION_KEY) + ":443"]]
    zero = bytes(32)
    first = head_bytes(seed, 1, 0, 1767225600000, ROOT, zero, zero, [])
    valid = [
        ("first release, no addresses", first, (1, 0, 1767225600000, None, None, [])),
        (
            "all fields set",
            head_bytes(seed, 2, 513, 1767225600001, ROOT, c.sha256(first), derived("successor"), two * 4),
            (2, 513, 1767225600001, c.sha256(first).hex(), derived("successor").hex(), ["203.0.113.9:7117", onion_name(ONION_KEY) + ":443"] * 4),
        ),
        (
            "greatest numbers",
            head_bytes(seed, 2**36 - 1, 65535, 2**53 - 1, ROOT, zero, zero, two[:1]),
            (2**36 - 1, 65535, 2**53 - 1, None, None, ["203.0.113.9:7117"]),
        ),
        (
            "unpublished",
            head_bytes(seed, 3, 0, 1767225600002, bytes(64), c.sha256(first), zero, [], flags=1),
            (3, 0, 1767225600002, c.sha256(first).hex(), None, []),
        ),
        (
            "unpublished, with a successor",
            head_bytes(seed, 3, 1, 1767225600003, bytes(64), zero, derived("successor"), [], flags=1),
            (3, 1, 1767225600003, None, derived("successor").hex(), []),
        ),
    ]
    bad = lambda **changes: head_bytes(**{**dict(seed=seed, release=1, revision=0, time=1, root=ROOT, previous=zero, successor=zero, entries=[]), **changes})
    signed_zone = bytearray(first)
    signed_zone[20] ^= 1
    invalid = [
        ("too short", first[:-1], "ERR_HEAD_SIZE"),
        ("too long", first + b"\0", "ERR_HEAD_SIZE"),
        ("version 2", bad(version=2), "ERR_HEAD_VERSION"),
        ("release 0", bad(release=0), "ERR_HEAD_FIELD"),
        ("release 2^36", bad(release=2**36), "ERR_HEAD_FIELD"),
        ("time 2^53", bad(time=2**53), "ERR_HEAD_FIELD"),
        ("flags 2", bad(flags=2), "ERR_HEAD_FIELD"),
        ("flags 128", bad(flags=128), "ERR_HEAD_FIELD"),
        ("flags 3, no root", bad(flags=3, root=bytes(64)), "ERR_HEAD_FIELD"),
        ("unpublished, with a root", bad(flags=1), "ERR_HEAD_FIELD"),
        ("unpublished, with the last byte of a root", bad(flags=1, root=bytes(63) + b"\x01"), "ERR_HEAD_FIELD"),
        ("unpublished, with an address", bad(flags=1, root=bytes(64), entries=two[:1]), "ERR_HEAD_FIELD"),
        ("no root", bad(root=bytes(64)), "ERR_HEAD_FIELD"),
        ("unpublished by another channel", head_bytes(derived("node seed"), 1, 0, 1, bytes(64), zero, zero, [], flags=1), "ERR_HEAD_SIGNATURE"),
        ("nine addresses", bad(count=9), "ERR_HEAD_FIELD"),
        ("nine addresses, eight of them there", bad(entries=two * 4, count=9), "ERR_HEAD_FIELD"),
        ("255 addresses", bad(entries=two * 4, count=255), "ERR_HEAD_FIELD"),
        ("an address of no type", bad(count=1), "ERR_HEAD_FIELD"),
        ("bytes after the addresses", bad(entries=two, count=1), "ERR_HEAD_FIELD"),
        ("reserved byte", bad(reserved=1), "ERR_HEAD_FIELD"),
        ("bytes after the signature", bad(tail=bytes(49) + b"\x01"), "ERR_HEAD_FIELD"),
        ("IPv4-mapped address", bad(entries=[BAD_ADDRESSES["IPv4-mapped IPv6"]]), "ERR_ADDRESS"),
        ("a changed byte", bytes(signed_zone), "ERR_HEAD_SIGNATURE"),
        ("signed by another channel", head_bytes(derived("node seed"), 1, 0, 1, ROOT, zero, zero, []), "ERR_HEAD_SIGNATURE"),
    ]
    return {
        "channelKey": c.expand(seed)[2].hex(),
        "seed": seed.hex(),
        "root": ROOT.hex(),
        "valid": [
            {
                "name": name,
                "bytes": data.hex(),
                "releaseNumber": f[0],
                "revision": f[1],
                "signedAt": f[2],
                "isUnpublished": "unpublished" in name,
                "previousHash": f[3],
                "successorKey": f[4],
                "addresses": f[5],
            }
            for name, data, f in valid
        ],
        "invalid": [{"why": why, "bytes": data.hex(), "code": code} for why, data, code in invalid],
        "slots": [slot(FIRST_CHANNEL, bytes(32), 20742, i, valid[1][1]) for i in range(3)]
        + [slot("private channel", derived("read key"), 1, 2, head_bytes(derived("private channel seed"), 1, 0, 1, ROOT, zero, zero, []))],
    }


def slot(name, read_key, t, i, head):
    seed = derived(name + " seed")
    scalar, prefix, public_key = c.expand(seed)
    secret = c.hkdf(public_key + read_key, label("channel secret"), 32)
    record = c.hkdf(secret, label("record key") + u32(t), 32)
    context = u32(t) + u8(i)
    h = c.clamp(c.sha512(label("slot blinding") + public_key + read_key + context)[:32])
    slot_key = c.encode(c.multiply(h, c.decode(public_key)))
    version = int.from_bytes(head[1:9], "big") * 65536 + int.from_bytes(head[9:11], "big")
    seq = version + int.from_bytes(c.hkdf(secret, label("seq offset") + context, 5), "big")
    nonce = c.hmac(record, label("slot nonce") + slot_key + u64(seq) + head)[:24]
    value = nonce + xseal(record, nonce, head, slot_key + u64(seq))
    assert len(value) == 608
    message = b"3:seqi%de1:v608:" % seq + value
    r = int.from_bytes(c.sha512(label("slot signing nonce") + prefix + slot_key + message), "little")
    return {
        "channel": name,
        "seed": seed.hex(),
        "readKey": read_key.hex(),
        "day": t,
        "replica": i,
        "head": head.hex(),
        "slotKey": slot_key.hex(),
        "seq": seq,
        "value": value.hex(),
        "signature": c.sign_with(h * scalar % c.L, slot_key, r, message).hex(),
        "target": hashlib.sha1(slot_key).hexdigest(),
    }


# --- 6.4 frames and 7 messages -----------------------------------------------------


def frame(kind, body, request_id=0, flags=0, n=None, padding=None):
    out = u8(kind) + u8(flags) + u16(len(body) if n is None else n) + u32(request_id) + body
    return out + (bytes(1008 - len(out)) if padding is None else padding)


def make_frames():
    full = bytes(i & 255 for i in range(1000))
    return {
        "valid": [
            {"name": name, "plain": data.hex(), "type": kind, "more": more, "requestId": request_id, "body": body.hex()}
            for name, data, kind, more, request_id, body in (
                ("empty", frame(12, b""), 12, False, 0, b""),
                ("one byte", frame(11, b"\x04"), 11, False, 0, b"\x04"),
                ("full body", frame(255, full, 2**32 - 1), 255, False, 2**32 - 1, full),
                ("fragment", frame(9, full, 0, 1), 9, True, 0, full),
                ("unknown type", frame(0x7F, b"later", 7), 0x7F, False, 7, b"later"),
            )
        ],
        "invalid": [
            {"why": why, "plain": data.hex(), "code": code}
            for why, data, code in (
                ("too short", frame(12, b"")[:-1], "ERR_FRAME_SIZE"),
                ("too long", frame(12, b"") + b"\0", "ERR_FRAME_SIZE"),
                ("no bytes", b"", "ERR_FRAME_SIZE"),
                ("flag 1 set", frame(12, b"", flags=2), "ERR_FRAME_FLAGS"),
                ("flag 7 set", frame(12, full, flags=129), "ERR_FRAME_FLAGS"),
                ("n of 1001", frame(12, full, n=1001, padding=b""), "ERR_FRAME_LENGTH"),
                ("n of 65535", frame(12, full, n=65535, padding=b""), "ERR_FRAME_LENGTH"),
                ("fragment not full", frame(9, full[:999], flags=1), "ERR_FRAME_LENGTH"),
                ("empty fragment", frame(9, b"", flags=1), "ERR_FRAME_LENGTH"),
                ("first byte of padding", frame(12, b"", padding=b"\x01" + bytes(999)), "ERR_FRAME_PADDING"),
                ("last byte of padding", frame(12, b"", padding=bytes(999) + b"\x80"), "ERR_FRAME_PADDING"),
                ("body longer than n", frame(12, full, n=999), "ERR_FRAME_PADDING"),
            )
        ],
    }


# --- 7.6 addresses of PEERS and 7.7 onion statements -------------------------------------


def make_peers():
    ordered = sorted(ADDRESSES.values())
    text = {data: name for name, data in ADDRESSES.items()}
    refused = lambda why, parts, code="ERR_MESSAGE_BODY": {"why": why, "addresses": b"".join(parts).hex(), "code": code}
    return {
        "valid": [
            {"name": name, "texts": [text[data] for data in parts], "addresses": b"".join(parts).hex()}
            for name, parts in (("none", []), ("one", ordered[:1]), ("all kinds", ordered))
        ],
        "invalid": [
            refused("out of order", [ordered[1], ordered[0]]),
            refused("the same twice", [ordered[0], ordered[0]]),
            refused("no address first", [address(0, b"", 0), ordered[0]]),
            refused("an address that is bad", [ordered[0], BAD_ADDRESSES["onion with a wrong checksum"]], "ERR_ADDRESS"),
            refused("port 0", [BAD_ADDRESSES["port 0"]], "ERR_ADDRESS"),
        ],
    }


def work_hash(onion, topic, day, nonce):
    return c.sha256(label("onion statement work") + onion + topic + u32(day) + nonce)


def find_nonce(onion, topic, day, bits, more=None):
    n = 0
    while True:
        top = int.from_bytes(work_hash(onion, topic, day, u64(n))[:4], "big")
        if top >> (32 - bits) == 0 and (more is None or top >> (32 - more) != 0):
            return u64(n)
        n += 1


def statement(seed, topic, port, day, until, nonce):
    onion = c.expand(seed)[2]
    body = topic + onion + u16(port) + u32(day) + u32(until) + nonce
    return body + c.sign(seed, label("onion statement") + body)


WORK_BITS = 18
STATEMENT_SEED = derived("onion seed")
STATEMENT_TOPIC = derived("topic")[:20]
STATEMENT_DAY = 20454
STATEMENT_NONCE = find_nonce(ONION_KEY, STATEMENT_TOPIC, STATEMENT_DAY, WORK_BITS)


def make_statements():
    day, first, end = STATEMENT_DAY, STATEMENT_DAY * 24 - 3, STATEMENT_DAY * 24 + 27
    good = statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, day, end, STATEMENT_NONCE)
    short = find_nonce(ONION_KEY, STATEMENT_TOPIC, day, WORK_BITS - 1, WORK_BITS)
    fields = {"topic": STATEMENT_TOPIC.hex(), "onionKey": ONION_KEY.hex(), "port": 443, "day": day, "nonce": STATEMENT_NONCE.hex()}
    brief = statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, day, first + 1, STATEMENT_NONCE)
    case = lambda why, data: {"why": why, "bytes": data.hex()}
    return {
        "workBits": WORK_BITS,
        "address": onion_name(ONION_KEY) + ":443",
        "valid": [
            {"name": "to the end of its time", "bytes": good.hex(), "fields": {**fields, "untilHour": end}, "current": [first, first + 1, end - 1], "notCurrent": [first - 1, end, end + 24]},
            {"name": "for one hour", "bytes": brief.hex(), "fields": {**fields, "untilHour": first + 1}, "current": [first], "notCurrent": [first - 1, first + 1]},
            {"name": "that ends before it begins", "bytes": statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, day, first, STATEMENT_NONCE).hex(), "fields": {**fields, "untilHour": first}, "current": [], "notCurrent": [first - 1, first]},
            {"name": "that holds too long", "bytes": statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, day, end + 1, STATEMENT_NONCE).hex(), "fields": {**fields, "untilHour": end + 1}, "current": [], "notCurrent": [first, end]},
        ],
        "invalid": [
            case("port 0", statement(STATEMENT_SEED, STATEMENT_TOPIC, 0, day, end, STATEMENT_NONCE)),
            case("half the work", statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, day, end, short)),
            case("the work of another day", statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, day + 1, end, STATEMENT_NONCE)),
            case("the work of another topic", statement(STATEMENT_SEED, derived("other topic")[:20], 443, day, end, STATEMENT_NONCE)),
            case("a signature of the head's domain", good[:70] + c.sign(STATEMENT_SEED, label("head") + good[:70])),
            case("another port than was signed", good[:52] + u16(444) + good[54:]),
            case("another hour than was signed", good[:58] + u32(end - 1) + good[62:]),
            case("a signature of another onion", good[:70] + c.sign(derived("other onion seed"), label("onion statement") + good[:70])),
            case("the signature of nobody", good[:70] + bytes(64)),
        ],
    }


def make_messages():
    places = b"".join(derived("place %d" % i)[:16] for i in range(56))
    none = address(0, b"", 0)
    ip = ADDRESSES["203.0.113.9:7117"]
    handle, blob_id = derived("handle")[:16], derived("blob id")
    head = bytes.fromhex(HEADS["valid"][0]["bytes"])

    def hello(highest=1, lowest=1, features=0, counter=0, seen=none, reserved=bytes(6), rest=places):
        return u16(highest) + u16(lowest) + u32(features) + u32(counter) + seen + reserved + rest

    def have(ranges, release=3, count=None):
        out = handle + u64(release) + blob_id + u16(len(ranges) if count is None else count)
        return out + b"".join(u32(start) + u32(length) for start, length in ranges)

    topic = derived("topic")[:20]
    sorted_addresses = sorted(ADDRESSES.values())
    onion = statement(STATEMENT_SEED, STATEMENT_TOPIC, 443, STATEMENT_DAY, STATEMENT_DAY * 24 + 27, STATEMENT_NONCE)

    def announce(hops, count=None):
        return u8(len(hops) if count is None else count) + b"".join(u8(h) + onion for h in hops)

    def announced(hops):
        return {"type": "announce", "statements": [{"hops": h, "statement": onion.hex()} for h in hops]}

    key, signature = derived("slot key"), derived("sig 1") + derived("sig 2")

    def signed(seq, value, n=None):
        return u64(seq) + signature + u16(len(value) if n is None else n) + value

    def publish(value, before=0, after=2**53 - 1, seq=7, n=None, puzzle=b""):
        return b"nonce 8b" + u64(before) + u64(after) + key + signed(seq, value, n) + puzzle

    def published(outcome, bits=0, nodes=0, seq=0, puzzle=None):
        out = u8(outcome) + u8(bits) + u16(nodes) + u64(seq)
        return out if puzzle is None else out + u32(puzzle[0]) + u8(puzzle[1]) + u8(puzzle[2])

    def asks_puzzle(memory, passes, bits):
        return {**published_fields(8), "puzzle": {"memoryKib": memory, "passes": passes, "bits": bits}}

    def found(nearest, items, count=None):
        out = u8(4) + u16(nearest) + u8(len(items) if count is None else count)
        return out + b"".join(u16(holders) + signed(seq, value) for holders, seq, value in items)

    def publish_fields(value, before=0, after=2**53 - 1, seq=7):
        return {"type": "publish", "requestId": 6, "nonce": b"nonce 8b".hex(), "notBefore": before, "notAfter": after, "slotKey": key.hex(), "seq": seq, "signature": signature.hex(), "value": value.hex()}

    def published_fields(outcome, bits=0, nodes=0, seq=0):
        return {"type": "published", "requestId": 6, "outcome": outcome, "workBits": bits, "nodes": nodes, "highestSeq": seq}

    def found_fields(nearest, items):
        items = [{"holders": h, "seq": s, "signature": signature.hex(), "value": v.hex()} for h, s, v in items]
        return {"type": "data", "requestId": 6, "kind": 4, "slot": {"nearest": nearest, "items": items}}

    def keep(ids, until=2**53 - 1, count=None):
        return b"nonce 8b" + u64(until) + u16(len(ids) if count is None else count) + b"".join(ids)

    def keep_fields(ids, until=2**53 - 1):
        return {"type": "keep", "requestId": 6, "nonce": b"nonce 8b".hex(), "until": until, "blobIds": [one.hex() for one in ids]}

    def kept(outcome, states=b"", bits=0, count=None):
        return u8(outcome) + u8(bits) + u16(len(states) if count is None else count) + states

    def kept_fields(outcome, states=b"", bits=0):
        return {"type": "kept", "requestId": 6, "outcome": outcome, "workBits": bits, "states": states.hex()}

    ids = sorted(derived(f"blob id {n}") for n in range(256))
    sealed, long = (derived("sealed") * 19)[:608], bytes(996)
    slots = [(8, 9, sealed), (0, 9, b"x"), (65535, 2, long), (1, 0, sealed)]
    many = [(3 * i, 2) for i in range(4096)]
    message = lambda name, kind, body, fields, request_id=0: {"name": name, "type": kind, "requestId": request_id, "body": body.hex(), "fields": fields}
    valid = [
        message("first HELLO", 1, hello(), {"type": "hello", "highestVersion": 1, "lowestVersion": 1, "features": 0, "counter": 0, "observedAddress": None, "places": places.hex()}),
        message("later HELLO", 1, hello(65535, 0, 0, 2**32 - 1, ip), {"type": "hello", "highestVersion": 65535, "lowestVersion": 0, "features": 0, "counter": 2**32 - 1, "observedAddress": "203.0.113.9:7117", "places": places.hex()}),
        message("REQUEST of a blob", 2, u8(1) + blob_id, {"type": "request", "requestId": 1, "kind": 1, "blobId": blob_id.hex()}, 1),
        message("REQUEST of a head", 2, u8(2) + handle, {"type": "request", "requestId": 2**32 - 1, "kind": 2, "handle": handle.hex()}, 2**32 - 1),
        message("REQUEST of a set of slots", 2, u8(3) + handle + blob_id, {"type": "request", "requestId": 2, "kind": 3, "handle": handle.hex(), "headHash": blob_id.hex()}, 2),
        message("DATA of a set of slots", 3, u8(3), {"type": "data", "requestId": 2, "kind": 3}, 2),
        message("DATA of a blob", 3, u8(1), {"type": "data", "requestId": 1, "kind": 1}, 1),
        message("DATA of a head", 3, u8(2) + head, {"type": "data", "requestId": 9, "kind": 2, "head": head.hex()}, 9),
        message("FIND_PEERS", 4, topic + u16(7117), {"type": "findPeers", "requestId": 8, "topic": topic.hex(), "port": 7117}, 8),
        message("FIND_PEERS of one who accepts no connections", 4, topic + u16(0), {"type": "findPeers", "requestId": 1, "topic": topic.hex(), "port": 0}, 1),
        message("PEERS of nobody", 5, u8(0), {"type": "peers", "requestId": 8, "addresses": ""}, 8),
        message("PEERS", 5, u8(6) + b"".join(sorted_addresses), {"type": "peers", "requestId": 8, "addresses": b"".join(sorted_addresses).hex()}, 8),
        message("PEERS that fill the message", 5, u8(16) + 16 * ip, {"type": "peers", "requestId": 8, "addresses": (16 * ip).hex()}, 8),
        message("ANNOUNCE on the stem", 7, announce([0]), announced([0])),
        message("ANNOUNCE in the flood", 7, announce([1, 64, 0, 2, 3, 4, 5]), announced([1, 64, 0, 2, 3, 4, 5])),
        message("OK", 8, b"", {"type": "ok", "requestId": 5}, 5),
        message("HAVE of nothing", 9, have([]), {"type": "have", "handle": handle.hex(), "releaseNumber": 3, "rootId": blob_id.hex(), "ranges": []}),
        message("HAVE that touches", 9, have([(0, 1), (1, 2), (2**32 - 1, 1)], 2**36 - 1), {"type": "have", "handle": handle.hex(), "releaseNumber": 2**36 - 1, "rootId": blob_id.hex(), "ranges": [{"start": 0, "length": 1}, {"start": 1, "length": 2}, {"start": 2**32 - 1, "length": 1}]}),
        message("HAVE of 4096 ranges", 9, have(many), {"type": "have", "handle": handle.hex(), "releaseNumber": 3, "rootId": blob_id.hex(), "ranges": {"count": 4096, "every": 3, "length": 2}}),
        message("CANCEL", 10, b"", {"type": "cancel", "requestId": 77}, 77),
        message("BYE", 11, u8(3), {"type": "bye", "reason": 3}),
        message("BYE of a later version", 11, u8(200), {"type": "bye", "reason": 200}),
        message("PAD", 12, b"", {"type": "pad"}),
        message("REQUEST of a slot", 2, u8(4) + key, {"type": "request", "requestId": 6, "kind": 4, "slotKey": key.hex()}, 6),
        message("DATA of a slot that nobody has", 3, found(0, []), found_fields(0, []), 6),
        message("DATA of a slot", 3, found(8, slots[:1]), found_fields(8, slots[:1]), 6),
        message("DATA of a slot with all that may be", 3, found(65535, slots), found_fields(65535, slots), 6),
        message("PUBLISH of a sealed head", 6, publish(sealed), publish_fields(sealed), 6),
        message("PUBLISH of the longest value", 6, publish(long, 1, 0, 0), publish_fields(long, 1, 0, 0), 6),
        message("PUBLISHED, stored", 13, published(0, 0, 8), published_fields(0, 0, 8), 6),
        message("PUBLISHED, more work", 13, published(2, 24), published_fields(2, 24), 6),
        message("PUBLISHED, stale", 13, published(5, 0, 0, 2**53 - 1), published_fields(5, 0, 0, 2**53 - 1), 6),
        message("PUBLISH with what solves a puzzle", 6, publish(sealed, puzzle=b"puzzle 8"), {**publish_fields(sealed), "puzzleNonce": b"puzzle 8".hex()}, 6),
        message("PUBLISHED, a puzzle", 13, published(8, puzzle=(16384, 1, 4)), asks_puzzle(16384, 1, 4), 6),
        message("PUBLISHED, a puzzle that nobody solves", 13, published(8, puzzle=(2**32 - 1, 255, 255)), asks_puzzle(2**32 - 1, 255, 255), 6),
        message("PUBLISHED of a later version", 13, published(255), published_fields(255), 6),
        message("KEEP of one blob", 14, keep(ids[:1], 0), keep_fields(ids[:1], 0), 6),
        message("KEEP of all that may be", 14, keep(ids), keep_fields(ids), 6),
        message("KEPT", 15, kept(0, b"\x00\x01\x02"), kept_fields(0, b"\x00\x01\x02"), 6),
        message("KEPT, more work", 15, kept(2, bits=17), kept_fields(2, bits=17), 6),
        message("ERROR", 255, u16(2), {"type": "error", "requestId": 4, "code": 2}, 4),
    ]
    # Accepted, though this version would not write them so.
    tolerated = [
        message("HELLO with features and more bytes", 1, hello(features=0xFFFFFFFF) + b"later", {**valid[0]["fields"], "features": 0xFFFFFFFF}),
        message("REQUEST with more bytes", 2, u8(1) + blob_id + b"later", valid[2]["fields"], 1),
        message("OK with a body", 8, b"later", {"type": "ok", "requestId": 5}, 5),
        message("PAD with a body", 12, b"\x01" * 1000, {"type": "pad"}),
        message("REQUEST of an unknown kind", 2, u8(5), {"type": "request", "requestId": 1, "kind": "unknown"}, 1),
        message("DATA of an unknown kind", 3, u8(0), {"type": "data", "requestId": 1, "kind": "unknown"}, 1),
        message("FIND_PEERS with more bytes", 4, topic + u16(7) + b"later", {"type": "findPeers", "requestId": 8, "topic": topic.hex(), "port": 7}, 8),
        message("PEERS with more bytes", 5, u8(1) + ip + b"later", {"type": "peers", "requestId": 8, "addresses": ip.hex()}, 8),
        message("ANNOUNCE with more bytes", 7, announce([2]) + b"later", announced([2])),
        message("PUBLISH with more bytes", 6, publish(sealed) + b"later", publish_fields(sealed), 6),
        message("PUBLISH with more bytes than what solves a puzzle", 6, publish(sealed, puzzle=b"puzzle 8later"), {**publish_fields(sealed), "puzzleNonce": b"puzzle 8".hex()}, 6),
        message("PUBLISHED with more bytes", 13, published(1) + b"later", published_fields(1), 6),
        message("PUBLISHED, a puzzle, with more bytes", 13, published(8, puzzle=(8, 1, 0)) + b"later", asks_puzzle(8, 1, 0), 6),
        message("DATA of a slot with more bytes", 3, found(8, slots[:1]) + b"later", found_fields(8, slots[:1]), 6),
        message("unknown notice", 0x40, b"x", {"type": "unknown", "code": 0x40, "requestId": 0}),
        message("unknown request", 0x41, b"x", {"type": "unknown", "code": 0x41, "requestId": 3}, 3),
        message("type 0", 0, b"", {"type": "unknown", "code": 0, "requestId": 0}),
    ]
    refused = lambda why, kind, body, code, request_id=0: {"why": why, "type": kind, "requestId": request_id, "body": body.hex(), "code": code}
    invalid = [
        refused("HELLO one byte short", 1, hello()[:-1], "ERR_MESSAGE_BODY"),
        refused("HELLO with lowest above highest", 1, hello(1, 2), "ERR_MESSAGE_BODY"),
        refused("HELLO with reserved bytes", 1, hello(reserved=bytes(5) + b"\x01"), "ERR_MESSAGE_BODY"),
        refused("HELLO with a bad address", 1, hello(seen=BAD_ADDRESSES["port 0"]), "ERR_ADDRESS"),
        refused("HELLO with a request id", 1, hello(), "ERR_MESSAGE_REQUEST_ID", 1),
        refused("REQUEST without a kind", 2, b"", "ERR_MESSAGE_BODY", 1),
        refused("REQUEST with a short blob id", 2, u8(1) + blob_id[:-1], "ERR_MESSAGE_BODY", 1),
        refused("REQUEST with a short handle", 2, u8(2) + handle[:-1], "ERR_MESSAGE_BODY", 1),
        refused("REQUEST with a short hash of a head", 2, u8(3) + handle + blob_id[:-1], "ERR_MESSAGE_BODY", 1),
        refused("REQUEST without a request id", 2, u8(1) + blob_id, "ERR_MESSAGE_REQUEST_ID"),
        refused("DATA without a kind", 3, b"", "ERR_MESSAGE_BODY", 1),
        refused("DATA with a short head", 3, u8(2) + head[:-1], "ERR_MESSAGE_BODY", 1),
        refused("DATA without a request id", 3, u8(1), "ERR_MESSAGE_REQUEST_ID"),
        refused("OK without a request id", 8, b"", "ERR_MESSAGE_REQUEST_ID"),
        refused("HAVE that ends in its header", 9, have([])[:-1], "ERR_MESSAGE_BODY"),
        refused("HAVE that ends in its ranges", 9, have([(0, 1)])[:-1], "ERR_MESSAGE_BODY"),
        refused("HAVE with a count and no ranges", 9, have([], count=4096), "ERR_MESSAGE_BODY"),
        refused("HAVE of 4097 ranges", 9, have([(i, 1) for i in range(4097)]), "ERR_MESSAGE_BODY"),
        refused("HAVE of release 0", 9, have([], 0), "ERR_MESSAGE_BODY"),
        refused("HAVE of release 2^36", 9, have([], 2**36), "ERR_MESSAGE_BODY"),
        refused("HAVE with an empty range", 9, have([(5, 0)]), "ERR_MESSAGE_BODY"),
        refused("HAVE with an overlap", 9, have([(0, 2), (1, 1)]), "ERR_MESSAGE_BODY"),
        refused("HAVE that goes back", 9, have([(5, 1), (0, 1)]), "ERR_MESSAGE_BODY"),
        refused("HAVE that wraps", 9, have([(2**32 - 1, 2)]), "ERR_MESSAGE_BODY"),
        refused("HAVE with a request id", 9, have([]), "ERR_MESSAGE_REQUEST_ID", 1),
        refused("CANCEL without a request id", 10, b"", "ERR_MESSAGE_REQUEST_ID"),
        refused("BYE without a reason", 11, b"", "ERR_MESSAGE_BODY"),
        refused("BYE with a request id", 11, b"\0", "ERR_MESSAGE_REQUEST_ID", 1),
        refused("PAD with a request id", 12, b"", "ERR_MESSAGE_REQUEST_ID", 1),
        refused("ERROR of one byte", 255, b"\0", "ERR_MESSAGE_BODY", 1),
        refused("ERROR without a request id", 255, b"\0\x01", "ERR_MESSAGE_REQUEST_ID"),
        refused("FIND_PEERS without a request id", 4, topic + u16(1), "ERR_MESSAGE_REQUEST_ID"),
        refused("FIND_PEERS without a port", 4, topic + b"\x01", "ERR_MESSAGE_BODY", 1),
        refused("PEERS without a count", 5, b"", "ERR_MESSAGE_BODY", 1),
        refused("PEERS without a request id", 5, u8(0), "ERR_MESSAGE_REQUEST_ID"),
        refused("PEERS that end in an address", 5, u8(2) + ip + ip[:-1], "ERR_MESSAGE_BODY", 1),
        refused("PEERS of 17", 5, u8(17) + 17 * ip, "ERR_MESSAGE_BODY", 1),
        refused("ANNOUNCE with a request id", 7, announce([1]), "ERR_MESSAGE_REQUEST_ID", 1),
        refused("ANNOUNCE of nothing", 7, u8(0), "ERR_MESSAGE_BODY"),
        refused("ANNOUNCE without a count", 7, b"", "ERR_MESSAGE_BODY"),
        refused("ANNOUNCE of 8", 7, announce([1] * 8), "ERR_MESSAGE_BODY"),
        refused("ANNOUNCE that ends in a statement", 7, announce([1, 1])[:-1], "ERR_MESSAGE_BODY"),
        refused("ANNOUNCE with a count and no statements", 7, announce([], 7), "ERR_MESSAGE_BODY"),
        refused("ANNOUNCE after 65 hops", 7, announce([65]), "ERR_MESSAGE_BODY"),
        refused("REQUEST with a short slot key", 2, u8(4) + key[:-1], "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot without a count", 3, u8(4) + u16(8), "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot of 5 values", 3, found(8, 5 * slots[:1]), "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot that ends in a value", 3, found(8, slots[:2])[:-1], "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot that ends before a value", 3, found(8, slots[:1], 2), "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot that ends before a length", 3, found(8, slots[:1])[:-609], "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot that ascends", 3, found(8, [slots[2], slots[0]]), "ERR_MESSAGE_BODY", 1),
        refused("DATA of a slot with an empty value", 3, found(8, [(1, 1, b"")]), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH without a request id", 6, publish(sealed), "ERR_MESSAGE_REQUEST_ID"),
        refused("PUBLISH that ends in its value", 6, publish(sealed)[:-1], "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH of nothing", 6, b"", "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH without a value", 6, publish(b""), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH with an empty value", 6, publish(b"x", n=0), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH of 997 bytes", 6, publish(bytes(997)), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH with a length and no value", 6, publish(b"x", n=65535), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH with seq 2^53", 6, publish(sealed, seq=2**53), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH not before 2^53", 6, publish(sealed, before=2**53), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISH not after 2^64 - 1", 6, publish(sealed, after=2**64 - 1), "ERR_MESSAGE_BODY", 1),
        refused("KEEP of nothing", 14, keep([]), "ERR_MESSAGE_BODY", 1),
        refused("KEEP of too many", 14, keep(ids + [b"\xff" * 32]), "ERR_MESSAGE_BODY", 1),
        refused("KEEP that ends in an id", 14, keep(ids[:2])[:-1], "ERR_MESSAGE_BODY", 1),
        refused("KEEP of one blob twice", 14, keep([ids[0], ids[0]]), "ERR_MESSAGE_BODY", 1),
        refused("KEEP whose ids descend", 14, keep([ids[1], ids[0]]), "ERR_MESSAGE_BODY", 1),
        refused("KEEP until 2^53", 14, keep(ids[:1], 2**53), "ERR_MESSAGE_BODY", 1),
        refused("KEEP without a request id", 14, keep(ids[:1]), "ERR_MESSAGE_REQUEST_ID"),
        refused("KEPT with a state of no meaning", 15, kept(0, b"\x03"), "ERR_MESSAGE_BODY", 1),
        refused("KEPT that ends in its states", 15, kept(0, b"\x00", count=2), "ERR_MESSAGE_BODY", 1),
        refused("KEPT of too many", 15, kept(0, bytes(257)), "ERR_MESSAGE_BODY", 1),
        refused("PUBLISHED without a request id", 13, published(0), "ERR_MESSAGE_REQUEST_ID"),
        refused("PUBLISHED one byte short", 13, published(0)[:-1], "ERR_MESSAGE_BODY", 1),
        refused("PUBLISHED of seq 2^53", 13, published(5, seq=2**53), "ERR_MESSAGE_BODY", 1),
    ]
    return {"valid": valid, "tolerated": tolerated, "invalid": invalid}


# --- 4.2 manifests -----------------------------------------------------------------


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:" % len(value) + value
    if isinstance(value, str):
        return bencode(value.encode())
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    pairs = sorted((key.encode(), item) for key, item in value.items())
    return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"


def reference(n):
    return derived("blob %d" % n) + derived("blob key %d" % n)


def references(*numbers):
    return b"".join(map(reference, numbers))


def root(entries, blobs, files=None, size=None, **more):
    known = {"blobs": blobs, "entries": entries, "v": 1, "title": "T", "time": 5, "files": files, "bytes": size}
    whole = [e for e in entries if isinstance(e, list) and len(e) > 1 and (len(e) % 3 == 2 or (e[2:3] == [0]))]
    if files is None:
        known["files"] = len(whole)
    if size is None:
        known["bytes"] = sum(e[1] for e in whole)
    return bencode({**known, **more})


def listed(parts, files, size, listing=None):
    if listing is None:
        listing = b"".join(reference(1000 + i) for i in range(len(parts)))
    body = {"bytes": size, "files": files, "parts": listing, "time": 0, "title": "", "v": 1}
    return {"root": bencode(body).hex(), "parts": [bencode({"blobs": b, "entries": e}).hex() for b, e in parts]}


def make_manifests():
    top = 2**53 - 1
    blob = references(0)
    valid = [
        ("empty", {"root": root([], b"").hex(), "parts": []}),
        ("one file", {"root": root([["a", 3, 0, 0, 3]], blob).hex(), "parts": []}),
        ("an empty file and an empty folder", {"root": root([["a", 0], ["b"]], b"").hex(), "parts": []}),
        ("extents out of order, twice the same bytes", {"root": root([["a", 9, 1, 5, 3, 0, 0, 3, 1, 5, 3]], references(0, 1)).hex(), "parts": []}),
        ("an extent over three chunks", {"root": root([["a", CHUNK + 2, 0, CHUNK - 1, CHUNK + 2]], references(0, 1, 2)).hex(), "parts": []}),
        ("a file of one fragment", {"root": root([["a", 3, 0, 0, 0, 3]], blob).hex(), "parts": []}),
        ("title of 1024 bytes, greatest time", {"root": root([], b"", title="\u00e9" * 512, time=top).hex(), "parts": []}),
        (
            "two parts, a file in fragments, a blob in both",
            listed(
                [
                    (references(0, 1), [["a", 3, 0, 0, 3], ["b/c", 8, 0, 1, 0, 3]]),
                    (references(2, 1), [["b/c", 8, 3, 0, 0, 5], ["d", 1, 1, 7, 1], ["e"]]),
                ],
                3,
                12,
            ),
        ),
        ("a part without entries", listed([(b"", []), (blob, [["a", 1, 0, 0, 1]])], 1, 1)),
        ("order of bytes, not of UTF-16", {"root": root([["\uffee", 0], ["\U00010000", 0]], b"").hex(), "parts": []}),
    ]
    one = ["a", 3, 0, 0, 3]
    inline = lambda *args, **more: {"root": root(*args, **more).hex(), "parts": []}
    raw = lambda data: {"root": data.hex(), "parts": []}
    good = root([one], blob)
    invalid = [
        # rule 1: shape
        ("no bytes", raw(b""), "ERR_BENCODE_TRUNCATED"),
        ("a list", raw(b"le"), "ERR_BENCODE_SYNTAX"),
        ("an empty dictionary", raw(b"de"), "ERR_MANIFEST_SHAPE"),
        ("cut short", raw(good[:-1]), "ERR_BENCODE_TRUNCATED"),
        ("a byte behind it", raw(good + b"e"), "ERR_MANIFEST_PADDING"),
        ("a byte behind the padding", raw(good + bytes(CHUNK - len(good) - 1) + b"\x01"), "ERR_MANIFEST_PADDING"),
        ("longer than a chunk", raw(good + bytes(CHUNK - len(good) + 1)), "ERR_MANIFEST_SHAPE"),
        ("version 2", inline([one], blob, v=2), "ERR_MANIFEST_VERSION"),
        ("an unknown key", inline([one], blob, w=1), "ERR_MANIFEST_SHAPE"),
        ("both forms", inline([one], blob, parts=blob), "ERR_MANIFEST_SHAPE"),
        ("no title", raw(good.replace(b"5:title1:T", b"")), "ERR_MANIFEST_SHAPE"),
        ("keys out of order", raw(b"d5:bytesi0e5:blobs0:7:entriesle5:filesi0e4:timei0e5:title0:1:vi1ee"), "ERR_MANIFEST_SHAPE"),
        ("a key twice", raw(good.replace(b"1:vi1e", b"1:vi1e1:vi1e")), "ERR_MANIFEST_SHAPE"),
        ("zero-padded integer", raw(good.replace(b"4:timei5e", b"4:timei05e")), "ERR_BENCODE_CANONICAL"),
        ("minus zero", raw(good.replace(b"4:timei5e", b"4:timei-0e")), "ERR_BENCODE_CANONICAL"),
        ("signed integer", raw(good.replace(b"4:timei5e", b"4:timei+5e")), "ERR_BENCODE_SYNTAX"),
        ("fraction", raw(good.replace(b"4:timei5e", b"4:timei5.0e")), "ERR_BENCODE_SYNTAX"),
        ("zero-padded length", raw(good.replace(b"5:title1:T", b"5:title01:T")), "ERR_BENCODE_CANONICAL"),
        ("negative length", raw(good.replace(b"5:title1:T", b"5:title-1:T")), "ERR_BENCODE_SYNTAX"),
        ("huge length", raw(good.replace(b"5:title1:T", b"5:title4294967297:T")), "ERR_BENCODE_TRUNCATED"),
        ("title as a list", raw(good.replace(b"5:title1:T", b"5:titlele")), "ERR_BENCODE_SYNTAX"),
        ("title of 1025 bytes", inline([], b"", title="x" * 1025), "ERR_MANIFEST_SHAPE"),
        ("title that is not UTF-8", inline([], b"", title=b"\xff"), "ERR_MANIFEST_SHAPE"),
        ("negative time", inline([], b"", time=-1), "ERR_MANIFEST_SHAPE"),
        ("time of 2^53", inline([], b"", time=2**53), "ERR_BENCODE_SYNTAX"),
        ("blobs of 63 bytes", inline([], blob[:63]), "ERR_MANIFEST_SHAPE"),
        ("parts of no bytes", listed([], 0, 0), "ERR_MANIFEST_SHAPE"),
        ("parts of 65 bytes", listed([(b"", [])], 0, 0, blob + b"x"), "ERR_MANIFEST_SHAPE"),
        ("an entry that is an integer", inline([5], b"", files=0, size=0), "ERR_BENCODE_SYNTAX"),
        ("an entry without a path", inline([[]], b"", files=0, size=0), "ERR_BENCODE_SYNTAX"),
        ("an entry with a dictionary", inline([["a", {}]], b"", files=0, size=0), "ERR_BENCODE_SYNTAX"),
        ("a negative size", inline([["a", -1]], b"", files=1, size=0), "ERR_MANIFEST_SHAPE"),
        ("a fragment without extents", inline([["a", 0, 0]], b"", files=1, size=0), "ERR_MANIFEST_SHAPE"),
        ("an extent of two numbers", inline([["a", 3, 0, 0]], blob, files=1, size=3), "ERR_MANIFEST_SHAPE"),
        ("a negative start", inline([["a", 3, -1, 0, 0, 3]], blob, files=1, size=3), "ERR_MANIFEST_SHAPE"),
        # extents
        ("extent of no bytes", inline([["a", 0, 0, 0, 0]], blob), "ERR_MANIFEST_EXTENT"),
        ("extent of negative length", inline([["a", 3, 0, 0, 6, 0, 0, -3]], blob), "ERR_MANIFEST_SUM"),
        ("negative blob", inline([["a", 3, -1, 0, 3]], blob), "ERR_MANIFEST_EXTENT"),
        ("blob beyond the list", inline([["a", 3, 1, 0, 3]], blob), "ERR_MANIFEST_EXTENT"),
        ("negative offset", inline([["a", 3, 0, -1, 3]], blob), "ERR_MANIFEST_EXTENT"),
        ("offset of a whole chunk", inline([["a", 3, 0, CHUNK, 3]], references(0, 1)), "ERR_MANIFEST_EXTENT"),
        ("last byte beyond the last blob", inline([["a", 2, 0, CHUNK - 1, 2]], blob), "ERR_MANIFEST_EXTENT"),
        ("2^53 - 1 bytes in one blob", inline([["a", top, 0, 0, top]], blob), "ERR_MANIFEST_EXTENT"),
        # rule 2: paths
        ("parent folder", inline([["../a", 0]], b""), "ERR_PATH_DOTS"),
        ("absolute path", inline([["/a", 0]], b""), "ERR_PATH_EMPTY"),
        ("the same after folding", inline([["A", 0], ["a", 0]], b""), "ERR_PATH_DUPLICATE"),
        ("the same after NFC", inline([["e\u0301", 0], ["\u00e9", 0]], b""), "ERR_PATH_DUPLICATE"),
        ("below a file", inline([["a", 0], ["a/b", 0]], b""), "ERR_PATH_BELOW_FILE"),
        ("below a file after folding", inline([["A/b", 0], ["a", 0]], b""), "ERR_PATH_BELOW_FILE"),
        ("below an empty folder's entry", inline([["a"], ["a/b", 0]], b""), "ERR_PATH_BELOW_FILE"),
        # rule 3: order and fragments
        ("paths that go back", inline([["b", 0], ["a", 0]], b""), "ERR_MANIFEST_ORDER"),
        ("a path twice", inline([["a", 0], ["a", 0]], b""), "ERR_MANIFEST_ORDER"),
        ("order of UTF-16", inline([["\U00010000", 0], ["\uffee", 0]], b""), "ERR_MANIFEST_ORDER"),
        ("paths that go back over parts", listed([(b"", [["b"]]), (b"", [["a"]])], 0, 0), "ERR_MANIFEST_ORDER"),
        ("first fragment from 1", inline([["a", 3, 1, 0, 0, 2]], blob, files=1, size=3), "ERR_MANIFEST_ORDER"),
        ("last fragment missing", inline([["a", 3, 0, 0, 0, 2]], blob), "ERR_MANIFEST_ORDER"),
        ("gap between fragments", inline([["a", 9, 0, 0, 0, 2], ["a", 9, 3, 0, 0, 6]], blob, files=1, size=9), "ERR_MANIFEST_ORDER"),
        ("overlap of fragments", inline([["a", 9, 0, 0, 0, 4], ["a", 9, 3, 0, 0, 6]], blob, files=1, size=9), "ERR_MANIFEST_ORDER"),
        ("two sizes", inline([["a", 9, 0, 0, 0, 3], ["a", 8, 3, 0, 0, 5]], blob, files=1, size=9), "ERR_MANIFEST_SUM"),
        ("another file between", inline([["a", 9, 0, 0, 0, 3], ["b", 0], ["a", 9, 3, 0, 0, 6]], blob, files=2, size=9), "ERR_MANIFEST_ORDER"),
        ("a folder between", inline([["a", 9, 0, 0, 0, 3], ["b"], ["a", 9, 3, 0, 0, 6]], blob, files=1, size=9), "ERR_MANIFEST_ORDER"),
        ("whole file after its fragment", inline([["a", 9, 0, 0, 0, 3], ["a", 9, 0, 0, 9]], blob, files=1, size=9), "ERR_MANIFEST_ORDER"),
        ("fragment after the last one", inline([["a", 3, 0, 0, 0, 3], ["a", 3, 3, 0, 0, 1]], blob, files=1, size=3), "ERR_MANIFEST_ORDER"),
        ("fragment beyond the size", inline([["a", 3, 0, 0, 0, 4]], blob), "ERR_MANIFEST_SUM"),
        ("fragment that starts beyond the size", inline([["a", 3, 0, 0, 0, 2], ["a", 3, 4, 0, 0, 1]], blob, files=1, size=3), "ERR_MANIFEST_ORDER"),
        # rule 4
        ("extents too short", inline([["a", 4, 0, 0, 3]], blob), "ERR_MANIFEST_SUM"),
        ("extents too long", inline([["a", 2, 0, 0, 3]], blob), "ERR_MANIFEST_SUM"),
        ("size without extents", inline([["a", 1]], b""), "ERR_MANIFEST_SUM"),
        ("sum beyond 2^53", inline([["a", 3, 0, 0, 3, 0, 0, top - 5]], references(*range(3))), "ERR_MANIFEST_EXTENT"),
        # rule 5
        ("files too many", inline([one], blob, files=2), "ERR_MANIFEST_SUM"),
        ("files too few", inline([one], blob, files=0), "ERR_MANIFEST_SUM"),
        ("bytes too many", inline([one], blob, size=4), "ERR_MANIFEST_SUM"),
        ("bytes too few", inline([one], blob, size=2), "ERR_MANIFEST_SUM"),
        ("empty folders counted", inline([["a"]], b"", files=1), "ERR_MANIFEST_SUM"),
        ("more than the root says, in a part", listed([(b"", [["a", 0]]), (b"", [["b", 0]])], 1, 0), "ERR_MANIFEST_SUM"),
        # rule 6
        ("a blob twice", inline([["a", CHUNK + 1, 0, 0, CHUNK + 1]], references(0, 0)), "ERR_MANIFEST_BLOBS"),
        ("a blob without extents", inline([one], references(0, 1)), "ERR_MANIFEST_BLOBS"),
        ("a gap between used blobs", inline([["a", 2, 0, 0, 1, 2, 0, 1]], references(0, 1, 2)), "ERR_MANIFEST_BLOBS"),
        ("a gap behind two extents", inline([["a", 3, 0, 0, 1, 0, 5, 1, 2, 0, 1]], references(0, 1, 2)), "ERR_MANIFEST_BLOBS"),
        ("a gap between long extents", inline([["a", 4 * CHUNK, 0, 0, 2 * CHUNK, 3, 0, 2 * CHUNK]], references(0, 1, 2, 3, 4)), "ERR_MANIFEST_BLOBS"),
        ("the last blob unused", inline([["a", CHUNK + 1, 0, 0, CHUNK + 1]], references(0, 1, 2)), "ERR_MANIFEST_BLOBS"),
        ("blobs of an empty manifest", inline([], blob), "ERR_MANIFEST_BLOBS"),
        # rule 7
        (
            "one id with two keys",
            listed([(blob, [["a", 1, 0, 0, 1]]), (derived("blob 0") + bytes(32), [["b", 1, 0, 0, 1]])], 2, 2),
            "ERR_MANIFEST_BLOBS",
        ),
        ("one part with two keys", listed([(b"", []), (b"", [])], 0, 0, blob + blob[:32] + bytes(32)), "ERR_MANIFEST_BLOBS"),
    ]
    return {
        "rootReference": reference(999).hex(),
        "valid": [{"name": name, **body} for name, body in valid],
        "invalid": [{"why": why, **compact(body), "code": code} for why, body, code in invalid],
    }


def compact(body):
    """A megabyte of padding is written as its length."""
    data = bytes.fromhex(body["root"])
    if len(data) < 100000:
        return body
    value = data.rstrip(b"\x00\x01")
    value = data[: data.index(b"\0" * 1000)] if b"\0" * 1000 in data else value
    return {"root": value.hex(), "length": len(data), "last": data[-1], "parts": body["parts"]}


# --- 4.2.3 paths -------------------------------------------------------------------


def make_paths():
    valid = [
        "a", "a/b/c", "README.md", " leading blank", "a b", "...a", ".hidden", "..a", "a..b", ".a/.b", "-rf", "~", "*", "?", '"', "<a>|b",
        "1:b", "ab:c", "\u00e9:x", ":a", "a/:b", "com", "COM", "comx", "com10", "com1x", "lpt", "lptx", "nullx", "conx", "xcon",
        "con-1", "CON_", "auxx", "prn1", "conin", "CONIN", "conout", "conin$x", "$con", " con", ".con", "com\u2074", "com\uff11", "\uff43\uff4f\uff4e",
        "con\u00edn$", "con\u0131n$", "a/b.c/d", "x" * 255, "\u00e9" * 127, "/".join(["x" * 255] * 16), "a\u00a0", "a\u3000", "a\u2024",
        "\u202egnp.exe", "\u200b", "\ufeff", "\ufeffa", "\ufffd", "\uffff", "\U0010ffff", "\u2028", "\u0100", "\u00a0", "\u00ad", "e\u0301",
        "\u0301", "node_modules/.bin/x", "a%2fb", "%2e%2e/a", "a\u2215b", "\u2044", "\uff0f", "\uff3c", "~/.ssh", "$HOME", "`id`", "{}",
        ".git/config", "desktop.ini", "Thumbs.db", "megatorrent.db", "clock$", "com1\u0301",
        "/".join(["a"] * 2048), "thumbs.db:x", "ab:", "\u200eaux",
        "/".join(["x" * 255] * 15 + ["x" * 127, "x" * 128]),
    ]
    invalid = [
        (b"", "ERR_PATH_EMPTY"), (b"/", "ERR_PATH_EMPTY"), (b"/a", "ERR_PATH_EMPTY"), (b"a/", "ERR_PATH_EMPTY"), (b"a//b", "ERR_PATH_EMPTY"),
        (b".", "ERR_PATH_DOTS"), (b"..", "ERR_PATH_DOTS"), (b"a/./b", "ERR_PATH_DOTS"), (b"a/../b", "ERR_PATH_DOTS"), (b"../a", "ERR_PATH_DOTS"), (b"a/..", "ERR_PATH_DOTS"),
        (b"x" * 256, "ERR_PATH_LENGTH"), (b"a/" + b"x" * 256 + b"/b", "ERR_PATH_LENGTH"), ("\u00e9".encode() * 128, "ERR_PATH_LENGTH"),
        (b"/".join([b"x" * 255] * 16) + b"/x", "ERR_PATH_LENGTH"), (b"x" * 5000, "ERR_PATH_LENGTH"), (b"/".join([b"x" * 255] * 15 + [b"x" * 128, b"x" * 128]), "ERR_PATH_LENGTH"), (b"/".join([b"a"] * 2048) + b"aa", "ERR_PATH_LENGTH"),
        (b"a\\b", "ERR_PATH_CHARACTER"), (b"\\\\server\\share", "ERR_PATH_CHARACTER"), (b"..\\a", "ERR_PATH_CHARACTER"), (b"a/\\", "ERR_PATH_CHARACTER"),
        *[(b"a" + bytes([i]) + b"b", "ERR_PATH_CHARACTER") for i in range(32)], (b"\x7f", "ERR_PATH_CHARACTER"),
        *[(("a" + chr(i) + "b").encode(), "ERR_PATH_CHARACTER") for i in range(0x80, 0xA0)],
        (b"a\0", "ERR_PATH_CHARACTER"), (b"a\n", "ERR_PATH_CHARACTER"),
        (b"a.", "ERR_PATH_ENDING"), (b"a ", "ERR_PATH_ENDING"), (b"...", "ERR_PATH_ENDING"), (b" ", "ERR_PATH_ENDING"), (b"a/b./c", "ERR_PATH_ENDING"),
        (b"a /b", "ERR_PATH_ENDING"), (b"con ", "ERR_PATH_ENDING"), (b"com1.txt ", "ERR_PATH_ENDING"), (b". .", "ERR_PATH_ENDING"), (b".. ", "ERR_PATH_ENDING"),
        (b"c:", "ERR_PATH_DRIVE"), (b"C:/x", "ERR_PATH_DRIVE"), (b"a:b", "ERR_PATH_DRIVE"), (b"x/z:y", "ERR_PATH_DRIVE"), (b"Z:", "ERR_PATH_DRIVE"),
        *[(name.encode(), "ERR_PATH_DEVICE") for name in ("con", "CON", "Con", "prn", "aux", "nul", "NUL", "conin$", "CONIN$", "conout$", "ConOut$")],
        *[((stem + digit).encode(), "ERR_PATH_DEVICE") for stem in ("com", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"],
        (b"con.txt", "ERR_PATH_DEVICE"), (b"aux .txt", "ERR_PATH_DEVICE"), (b"nul   .a.b", "ERR_PATH_DEVICE"), (b"a/com1.tar.gz/b", "ERR_PATH_DEVICE"),
        (b"aux..x", "ERR_PATH_DEVICE"), (b"NUL.x/y", "ERR_PATH_DEVICE"), ("com\u00b9.txt".encode(), "ERR_PATH_DEVICE"), ("lpt\u00b2 .x".encode(), "ERR_PATH_DEVICE"),
        (b"\xff", "ERR_PATH_UTF8"), (b"\xc0\xaf", "ERR_PATH_UTF8"), (b"\xc1\x81", "ERR_PATH_UTF8"), (b"\xe0\x80\xaf", "ERR_PATH_UTF8"), (b"\xed\xa0\x80", "ERR_PATH_UTF8"),
        (b"\xed\xb0\x80", "ERR_PATH_UTF8"), (b"\xf0\x80\x80\xaf", "ERR_PATH_UTF8"), (b"\xf4\x90\x80\x80", "ERR_PATH_UTF8"), (b"a\xc3", "ERR_PATH_UTF8"), (b"\x80", "ERR_PATH_UTF8"),
        (b"a/\xc3/b", "ERR_PATH_UTF8"), (b"\xf8\x88\x80\x80\x80", "ERR_PATH_UTF8"), (b"\xc2", "ERR_PATH_UTF8"), (b"\xc2A", "ERR_PATH_UTF8"), (b"\xef\xbf", "ERR_PATH_UTF8"),
    ]
    same = [
        ["a", "A"], ["stra\u00dfe", "STRASSE", "Stra\u1e9ee"], ["\u00e9", "e\u0301", "\u00c9", "E\u0301"], ["\ufb01x", "FIX"],
        ["\u03c3", "\u03c2", "\u03a3"], ["\u0149", "\u02bcN"], ["\u212a", "k"], ["\u017f", "S"], ["\u0130", "i\u0307"], ["\u1e9b\u0323", "\u1e69"],
        ["\u01c5", "\u01c4", "\u01c6"], ["\u13a0", "\uab70"], ["\u1f80", "\u1f88", "\u1f00\u03b9"], ["\u00b5", "\u03bc"], ["A/B.txt", "a/b.TXT"],
        ["\uac00", "\u1100\u1161"], ["\u10a0", "\u2d00"],
    ]
    different = [["\u0131", "i"], ["\u0131", "I"], ["a", "b"], ["\uff41", "a"], ["\u00e6", "ae"], ["\u2460", "1"], ["\ufb01", "f\u0131"], ["o\u0308", "o"], ["\u03b1", "a"]]
    for group in same:
        assert len({fold(text) for text in group}) == 1, group
    for left, right in different:
        assert fold(left) != fold(right)
    return {
        "valid": [{"path": base64.b64encode(text.encode()).decode(), "text": text} for text in valid],
        "invalid": [{"path": base64.b64encode(data).decode(), "code": code} for data, code in invalid],
        "sameAfterFolding": same,
        "differentAfterFolding": different,
    }


def fold(text):
    nfc = lambda value: unicodedata.normalize("NFC", value)
    return nfc(nfc(text).casefold())


# --- 4.5 links ---------------------------------------------------------------------


def links():
    key = c.expand(derived("public channel seed"))[2].hex()
    read = derived("read key").hex()
    node = NODE_KEY.hex()
    onion = onion_name(ONION_KEY)
    ip = "203.0.113.9:7117"
    enc = lambda text: text.replace(":", "%3A").replace("[", "%5B").replace("]", "%5D").replace("@", "%40")
    plain = f"megatorrent://{key}"
    private = f"{plain}:{read}"
    valid = [
        ("a public channel", plain, plain),
        ("a private channel", private, private),
        ("the read key as a fragment", f"{plain}#{read}", private),
        ("the read key in both places", f"{private}#{read}", private),
        ("an empty fragment and query", f"{plain}?#", plain),
        ("upper case throughout", private.upper(), private),
        ("blanks around", f"  \t{plain}\r\n", plain),
        ("a trailing slash", f"{plain}/", plain),
        ("a trailing slash before the query", f"{plain}/?peer={ip}", f"{plain}?peer={enc(ip)}"),
        ("a trailing slash before the fragment", f"{plain}/#{read}", private),
        ("a peer", f"{plain}?peer={ip}", f"{plain}?peer={enc(ip)}"),
        ("a peer, percent-encoded", f"{plain}?peer={enc(ip)}", f"{plain}?peer={enc(ip)}"),
        ("every character percent-encoded", f"{plain}?peer=" + "".join("%%%02x" % byte for byte in ip.encode()), f"{plain}?peer={enc(ip)}"),
        ("a peer with a node key", f"{plain}?peer={node.upper()}@{ip}", f"{plain}?peer={node}%40{enc(ip)}"),
        ("IPv6, not in its shortest form", f"{plain}?peer=[2001:DB8:0:0::0:1]:1", f"{plain}?peer={enc('[2001:db8::1]:1')}"),
        ("an onion", f"{private}?peer={onion.upper()}:443", f"{private}?peer={enc(onion + ':443')}"),
        ("a name", f"{plain}?peer=Node.Example:80", f"{plain}?peer={enc('node.example:80')}"),
        ("a name of one label", f"{plain}?peer=localhost:80", f"{plain}?peer={enc('localhost:80')}"),
        ("several of both kinds", f"{plain}?gateway={ip}&peer={onion}:1&peer={ip}", f"{plain}?peer={enc(onion + ':1')}&peer={enc(ip)}&gateway={enc(ip)}"),
        ("one peer twice", f"{plain}?peer={ip}&peer={enc(ip)}", f"{plain}?peer={enc(ip)}"),
        ("unknown keys", f"{plain}?x=1&y&=&x=%zz&peer={ip}", f"{plain}?peer={enc(ip)}"),
        ("a key in upper case", f"{plain}?PEER={ip}", f"{plain}?peer={enc(ip)}"),
        ("port 65535", f"{plain}?peer=203.0.113.9:65535", f"{plain}?peer={enc('203.0.113.9:65535')}"),
        ("8192 characters", f"{plain}?x=" + "y" * (8192 - len(plain) - 3), plain),
        ("32 addresses", f"{plain}?" + "&".join(f"peer=203.0.113.9:{i + 1}" for i in range(32)), f"{plain}?" + "&".join(f"peer=203.0.113.9%3A{i + 1}" for i in range(32))),
    ]
    small = "01" + "00" * 31
    beyond = "ee" + "ff" * 30 + "7f"
    invalid = [
        ("nothing", "ERR_LINK_SCHEME", ""),
        ("blanks alone", "ERR_LINK_SCHEME", "   "),
        ("another scheme", "ERR_LINK_SCHEME", plain.replace("megatorrent", "magnet")),
        ("no scheme", "ERR_LINK_SCHEME", key),
        ("a scheme that begins alike", "ERR_LINK_SCHEME", plain.replace("megatorrent", "megatorrents")),
        ("a blank in the scheme", "ERR_LINK_SCHEME", plain.replace("megatorrent", "mega torrent")),
        ("a link in quotes", "ERR_LINK_SCHEME", f'"{plain}"'),
        ("no slashes", "ERR_LINK_SYNTAX", f"megatorrent:{key}"),
        ("one slash", "ERR_LINK_SYNTAX", f"megatorrent:/{key}"),
        ("three slashes", "ERR_LINK_SYNTAX", f"megatorrent:///{key}"),
        ("the scheme alone", "ERR_LINK_SYNTAX", "megatorrent:"),
        ("a path", "ERR_LINK_SYNTAX", f"{plain}/index.html"),
        ("two trailing slashes", "ERR_LINK_SYNTAX", f"{plain}//"),
        ("no key", "ERR_LINK_KEY", "megatorrent://"),
        ("no key, with a query", "ERR_LINK_KEY", f"megatorrent://?peer={ip}"),
        ("a digit too few", "ERR_LINK_KEY", plain[:-1]),
        ("a digit too many", "ERR_LINK_KEY", plain + "0"),
        ("no hex", "ERR_LINK_KEY", plain[:-1] + "g"),
        ("base64 of the key", "ERR_LINK_KEY", "megatorrent://" + base64.b64encode(bytes.fromhex(key)).decode().rstrip("=").replace("/", "_")),
        ("a blank in the key", "ERR_LINK_KEY", plain[:30] + " " + plain[31:]),
        ("a key with 0x", "ERR_LINK_KEY", f"megatorrent://0x{key}"),
        ("user and host", "ERR_LINK_KEY", f"megatorrent://user@{key}"),
        ("percent-encoded key", "ERR_LINK_KEY", "megatorrent://%" + "%".join(key[i : i + 2] for i in range(0, 64, 2))),
        ("full-width digits", "ERR_LINK_KEY", plain[:-1] + "\uff11"),
        ("a key of small order", "ERR_LINK_KEY", f"megatorrent://{small}"),
        ("a key of zeros", "ERR_LINK_KEY", "megatorrent://" + "0" * 64),
        ("a key that is not canonical", "ERR_LINK_KEY", f"megatorrent://{beyond}"),
        ("a key that is no point", "ERR_LINK_KEY", "megatorrent://02" + "00" * 31),
        ("an empty read key", "ERR_LINK_READ_KEY", f"{plain}:"),
        ("a short read key", "ERR_LINK_READ_KEY", private[:-1]),
        ("a long read key", "ERR_LINK_READ_KEY", private + "00"),
        ("a read key that is no hex", "ERR_LINK_READ_KEY", private[:-1] + "x"),
        ("three keys", "ERR_LINK_READ_KEY", f"{private}:{read}"),
        ("a port", "ERR_LINK_READ_KEY", f"{plain}:7117"),
        ("a read key of zeros", "ERR_LINK_READ_KEY", f"{plain}:" + "0" * 64),
        ("a fragment of zeros", "ERR_LINK_READ_KEY", f"{plain}#" + "0" * 64),
        ("a fragment that is no key", "ERR_LINK_READ_KEY", f"{plain}#top"),
        ("two read keys that differ", "ERR_LINK_READ_KEY", f"{private}#" + derived("other").hex()),
        ("a query behind the fragment", "ERR_LINK_READ_KEY", f"{plain}#{read}?peer={ip}"),
        ("a peer without a value", "ERR_LINK_ADDRESS", f"{plain}?peer"),
        ("a peer that is empty", "ERR_LINK_ADDRESS", f"{plain}?peer="),
        ("a peer without a port", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.9"),
        ("port 0", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.9:0"),
        ("port 65536", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.9:65536"),
        ("a port with a zero before it", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.9:080"),
        ("a signed port", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.9:+80"),
        ("IPv4 with a zero before a number", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.09:80"),
        ("IPv4 beyond 255", "ERR_LINK_ADDRESS", f"{plain}?peer=203.0.113.256:80"),
        ("IPv4 of three numbers", "ERR_LINK_ADDRESS", f"{plain}?peer=127.0.1:80"),
        ("IPv4 as one number", "ERR_LINK_ADDRESS", f"{plain}?peer=2130706433:80"),
        ("IPv4 in hex", "ERR_LINK_ADDRESS", f"{plain}?peer=0x7f.0.0.0x1:80"),
        ("IPv6 without brackets", "ERR_LINK_ADDRESS", f"{plain}?peer=2001:db8::1:80"),
        ("IPv6 with a zone", "ERR_LINK_ADDRESS", f"{plain}?peer=[fe80::1%25eth0]:80"),
        ("IPv4-mapped IPv6", "ERR_LINK_ADDRESS", f"{plain}?peer=[::ffff:203.0.113.9]:80"),
        ("nine groups", "ERR_LINK_ADDRESS", f"{plain}?peer=[1:2:3:4:5:6:7:8:9]:80"),
        ("two gaps", "ERR_LINK_ADDRESS", f"{plain}?peer=[1::2::3]:80"),
        ("a name in brackets", "ERR_LINK_ADDRESS", f"{plain}?peer=[localhost]:80"),
        ("onion with a wrong checksum", "ERR_LINK_ADDRESS", f"{plain}?peer={'a' if onion[0] != 'a' else 'b'}{onion[1:]}:80"),
        ("onion of version 2", "ERR_LINK_ADDRESS", f"{plain}?peer=expyuzz4wqqyqhjn.onion:80"),
        ("onion below a name", "ERR_LINK_ADDRESS", f"{plain}?peer=www.{onion}:80"),
        ("a short node key", "ERR_LINK_ADDRESS", f"{plain}?peer={node[:-1]}@{ip}"),
        ("a node key of small order", "ERR_LINK_ADDRESS", f"{plain}?peer={small}@{ip}"),
        ("an empty node key", "ERR_LINK_ADDRESS", f"{plain}?peer=@{ip}"),
        ("a name with a blank", "ERR_LINK_ADDRESS", f"{plain}?peer=a%20b:80"),
        ("a name that is not ASCII", "ERR_LINK_ADDRESS", f"{plain}?peer=%C3%A9.example:80"),
        ("a URL", "ERR_LINK_ADDRESS", f"{plain}?peer=http://example.com/"),
        ("a broken escape", "ERR_LINK_ADDRESS", f"{plain}?peer=%zz"),
        ("an escape that is not UTF-8", "ERR_LINK_ADDRESS", f"{plain}?peer=%ff:80"),
        ("a gateway that is none", "ERR_LINK_ADDRESS", f"{plain}?gateway=%2F"),
        ("33 addresses", "ERR_LINK_LIMIT", f"{plain}?" + "&".join(["peer=" + ip] * 33)),
        ("8193 characters", "ERR_LINK_LIMIT", f"{plain}?x=" + "y" * (8193 - len(plain) - 3)),
    ]
    head = "# " + NOTE + "\n"
    quote = lambda text: json.dumps(text)
    write("uri-valid.txt", head + "# Two JSON strings a line, with a tab between: the link as given, and the one text that means the same.\n" + "".join(f"# {why}\n{quote(given)}\t{quote(canonical)}\n" for why, given, canonical in valid))
    write("uri-invalid.txt", head + "# A code and a JSON string a line, with a tab between.\n" + "".join(f"# {why}\n{code}\t{quote(text)}\n" for why, code, text in invalid))


# --- 7.8 memory-hard puzzles ------------------------------------------------------


def make_puzzles():
    sealed = (derived("sealed") * 19)[:608]
    item = u64(0) + u64(2**53 - 1) + derived("slot key") + u64(7) + derived("sig 1") + derived("sig 2") + u16(608) + sealed
    hash_of = lambda name: derived("handshake " + name)
    salt_of = lambda name: hashlib.sha256(label("publish puzzle") + hash_of(name) + hashlib.sha256(item).digest()).digest()
    zeros = lambda digest: 256 - int.from_bytes(digest, "big").bit_length()
    cases = []
    for name, memory, passes, bits in (("one pass", 8, 1, 4), ("two passes", 64, 2, 2), ("another handshake", 8, 1, 4)):
        salt, count = salt_of(name), 0
        while zeros(argon2id(u64(count), salt, memory, passes)) < bits:
            count += 1
        digest = argon2id(u64(count), salt, memory, passes)
        cases.append({"name": name, "handshakeHash": hash_of(name).hex(), "salt": salt.hex(), "memoryKib": memory, "passes": passes, "bits": bits, "nonce": u64(count).hex(), "hash": digest.hex(), "triesBefore": count})
    return {"item": item.hex(), "cases": cases}


if __name__ == "__main__":
    HEADS = make_heads()
    write("addresses.json", addresses())
    write("heads.json", HEADS)
    write("frames.json", make_frames())
    write("messages.json", make_messages())
    write("onion-statements.json", make_statements())
    write("peers.json", make_peers())
    write("puzzles.json", make_puzzles())
    write("manifests.json", make_manifests())
    write("paths.json", make_paths())
    links()
    write("blobs.json", blobs())
