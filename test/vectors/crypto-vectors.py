#!/usr/bin/env python3
"""Makes key-schedule.json and handshake.json: `python3 test/vectors/crypto-vectors.py`.

A second implementation of PROTOCOL_FINAL.md sections 3.2, 6.1, 6.2, 6.4, 7.2 and 7.3, written
from that document alone. It shares no code with src, uses nothing but Python's own hashes,
and is slow and not constant-time: for vectors only. Nothing runs it but a person.
"""

import hashlib
import hmac as hmac_module
import json
import os

# --- hashes ------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).digest()


def sha512(data):
    return hashlib.sha512(data).digest()


def hmac(key, data):
    return hmac_module.new(key, data, hashlib.sha256).digest()


def hkdf(ikm, info, length, salt=b""):
    prk = hmac(salt or bytes(32), ikm)
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac(prk, block + info + bytes([count]))
        out, count = out + block, count + 1
    return out[:length]


# --- Ed25519, affine coordinates (RFC 8032) ------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P)
    return x % P, y % P


def multiply(n, p):
    out = (0, 1)
    while n:
        if n & 1:
            out = add(out, p)
        p, n = add(p, p), n >> 1
    return out


def encode(p):
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def decode(data):
    n = int.from_bytes(data, "little")
    y, sign = n & (2**255 - 1), n >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return (P - x if x & 1 != sign else x), y


B = decode(bytes.fromhex("58" + "66" * 31))


def clamp(data):
    n = int.from_bytes(data, "little")
    return n & ~7 & (2**255 - 1) | 2**254


def expand(seed):
    digest = sha512(seed)
    scalar = clamp(digest[:32])
    return scalar, digest[32:], encode(multiply(scalar, B))


def sign_with(scalar, public_key, nonce, message):
    commitment = encode(multiply(nonce % L, B))
    challenge = int.from_bytes(sha512(commitment + public_key + message), "little")
    return commitment + ((nonce + challenge * scalar) % L).to_bytes(32, "little")


def sign(seed, message):
    scalar, prefix, public_key = expand(seed)
    return sign_with(scalar, public_key, int.from_bytes(sha512(prefix + message), "little"), message)


# --- X25519 (RFC 7748) and ChaCha20-Poly1305 (RFC 8439) -------------------------


def x25519(secret, public):
    k = clamp(secret)
    x1 = int.from_bytes(public, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3, z3 = pow(da + cb, 2, P), x1 * pow(da - cb, 2, P) % P
        aa, bb = a * a, b * b
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, -1, P) % P).to_bytes(32, "little")


X_BASE = (9).to_bytes(32, "little")
M32 = 2**32 - 1


def chacha_block(key, counter, nonce):
    words = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    words += [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    words += [counter] + [int.from_bytes(nonce[i : i + 4], "little") for i in range(0, 12, 4)]
    s = list(words)

    def rotate(value, bits):
        return (value << bits | value >> 32 - bits) & M32

    def quarter(a, b, c, d):
        s[a] = s[a] + s[b] & M32
        s[d] = rotate(s[d] ^ s[a], 16)
        s[c] = s[c] + s[d] & M32
        s[b] = rotate(s[b] ^ s[c], 12)
        s[a] = s[a] + s[b] & M32
        s[d] = rotate(s[d] ^ s[a], 8)
        s[c] = s[c] + s[d] & M32
        s[b] = rotate(s[b] ^ s[c], 7)

    for _ in range(10):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    return b"".join((a + b & M32).to_bytes(4, "little") for a, b in zip(s, words))


def seal(key, nonce, plaintext, aad=b""):
    sealed = b""
    for i in range(0, len(plaintext), 64):
        stream = chacha_block(key, i // 64 + 1, nonce)
        sealed += bytes(a ^ b for a, b in zip(plaintext[i : i + 64], stream))
    one_time = chacha_block(key, 0, nonce)[:32]
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    data = aad + bytes(-len(aad) % 16) + sealed + bytes(-len(sealed) % 16)
    data += len(aad).to_bytes(8, "little") + len(sealed).to_bytes(8, "little")
    accumulator = 0
    for i in range(0, len(data), 16):
        accumulator = (accumulator + int.from_bytes(data[i : i + 16], "little") + 2**128) * r % (2**130 - 5)
    tag = (accumulator + int.from_bytes(one_time[16:], "little")) & (2**128 - 1)
    return sealed + tag.to_bytes(16, "little")


# --- section 3.2 -----------------------------------------------------------------


def u8(n):
    return n.to_bytes(1, "big")


def u32(n):
    return n.to_bytes(4, "big")


def u64(n):
    return n.to_bytes(8, "big")


def label(text):
    return b"megatorrent/1 " + text.encode()


def derived(text):
    """An input of the vectors: SHA-256 of a text that the file states."""
    return sha256(b"megatorrent test vector: " + text.encode())


HASH = derived("handshake hash")
STATIC = derived("noise static")
HEAD = b"".join(derived("head %d" % i) for i in range(18))[:568]
MESSAGE = b"3:seqi1e1:v5:hello"


def channel(name, read_key):
    seed = derived(name + " seed")
    scalar, prefix, public_key = expand(seed)
    secret = hkdf(public_key + read_key, label("channel secret"), 32)
    tag_key = hkdf(secret, label("tag key"), 32)
    convergence = hkdf(seed, label("convergence secret"), 32)
    chunk_hash = derived("chunk hash")
    days = []
    for t in (0, 1, 20742, 2**32 - 1):
        record = hkdf(secret, label("record key") + u32(t), 32)
        slots = []
        for i in range(3):
            context = u32(t) + u8(i)
            h = clamp(sha512(label("slot blinding") + public_key + read_key + context)[:32])
            slot_key = encode(multiply(h, decode(public_key)))
            offset = int.from_bytes(hkdf(secret, label("seq offset") + context, 5), "big")
            seq = 65536 + offset
            nonce = int.from_bytes(sha512(label("slot signing nonce") + prefix + slot_key + MESSAGE), "little")
            slots.append(
                {
                    "replica": i,
                    "blindingFactor": h.to_bytes(32, "little").hex(),
                    "slotKey": slot_key.hex(),
                    "seqOffset": offset,
                    "seq": seq,
                    "slotNonce": hmac(record, label("slot nonce") + slot_key + u64(seq) + HEAD)[:24].hex(),
                    "signature": sign_with(h * scalar % L, slot_key, nonce, MESSAGE).hex(),
                }
            )
        days.append(
            {
                "day": t,
                "recordKey": record.hex(),
                "topic": hkdf(secret, label("topic") + u32(t), 20).hex(),
                "handshakeKey": hkdf(secret, label("handshake key") + u32(t), 32).hex(),
                "slots": slots,
            }
        )
    tags = []
    for role, counter in ((1, 0), (2, 0), (1, 1), (2, 2**32 - 1)):
        x = hmac(tag_key, label("hello tag") + HASH + u8(role) + u32(counter))
        handle = hmac(tag_key, label("channel handle") + HASH + u8(role))[:16]
        tags.append(
            {"role": role, "counter": counter, "tag": x[:8].hex(), "mask": x[8:16].hex(), "handle": handle.hex()}
        )
    return {
        "name": name,
        "seed": seed.hex(),
        "readKey": read_key.hex(),
        "publicKey": public_key.hex(),
        "prefix": prefix.hex(),
        "scalar": (scalar % L).to_bytes(32, "little").hex(),
        "channelSecret": secret.hex(),
        "convergenceSecret": convergence.hex(),
        "tagKey": tag_key.hex(),
        "blobKey": hmac(convergence, chunk_hash).hex(),
        "days": days,
        "tags": tags,
    }


def node():
    seed = derived("node seed")
    key = expand(seed)[2]
    certificates = []
    for role in (1, 2):
        message = label("node certificate") + u8(role) + STATIC + HASH
        certificates.append({"role": role, "signature": sign(seed, message).hex()})
    return {
        "seed": seed.hex(),
        "nodeKey": key.hex(),
        "nodeHandshakeKey": hkdf(key, label("node handshake key"), 32).hex(),
        "certificates": certificates,
    }


def relays():
    secret = sha256(label("relay secret"))
    days = [
        {
            "day": t,
            "topic": hkdf(secret, label("topic") + u32(t), 20).hex(),
            "handshakeKey": hkdf(secret, label("handshake key") + u32(t), 32).hex(),
        }
        for t in (0, 20742)
    ]
    return {"secret": secret.hex(), "days": days}


# --- section 6 -------------------------------------------------------------------


def count_nonce(n):
    return bytes(4) + n.to_bytes(8, "little")


def rekey(key):
    return seal(key, count_nonce(2**64 - 1), bytes(32))[:32]


class Side:
    """The symmetric state, kept once since both sides go through the same values."""

    def __init__(self, name, prologue):
        self.h = self.ck = name + bytes(32 - len(name)) if len(name) <= 32 else sha256(name)
        self.k, self.n = b"", 0
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.h = sha256(self.h + data)

    def mix_key(self, material):
        out = hkdf(material, b"", 64, self.ck)
        self.ck, self.k, self.n = out[:32], out[32:], 0

    def mix_psk(self, psk):
        out = hkdf(psk, b"", 96, self.ck)
        self.ck = out[:32]
        self.mix_hash(out[32:64])
        self.k, self.n = out[64:], 0

    def encrypt(self, plaintext):
        out = seal(self.k, count_nonce(self.n), plaintext, self.h)
        self.n += 1
        self.mix_hash(out)
        return out


def handshake():
    names = ("initiator static", "initiator ephemeral", "responder static", "responder ephemeral")
    secrets = [derived(name) for name in names]
    s_i, e_i, s_r, e_r = [(secret, x25519(secret, X_BASE)) for secret in secrets]
    psk = sha256(label("network handshake key"))
    payloads = [bytes([i + 1]) * length for i, length in enumerate((64, 160, 160))]
    state = Side(b"Noise_XXpsk0_25519_ChaChaPoly_SHA256", b"megatorrent/1")
    hashes, messages = [], []

    def finish(prefix, payload):
        hashes.append(state.h)
        messages.append(prefix + state.encrypt(payload))

    def ephemeral(pair):
        state.mix_hash(pair[1])
        state.mix_key(pair[1])

    state.mix_psk(psk)
    ephemeral(e_i)
    finish(e_i[1], payloads[0])
    ephemeral(e_r)
    state.mix_key(x25519(e_r[0], e_i[1]))
    sealed = state.encrypt(s_r[1])
    state.mix_key(x25519(s_r[0], e_i[1]))
    finish(e_r[1] + sealed, payloads[1])
    sealed = state.encrypt(s_i[1])
    state.mix_key(x25519(s_i[0], e_r[1]))
    finish(sealed, payloads[2])
    split = hkdf(b"", b"", 64, state.ck)

    interval, key, frames = 1024, split[:32], []
    for n in range(2 * interval + 1):
        if n in (0, 1, interval - 1, interval, 2 * interval - 1, 2 * interval):
            frames.append({"n": n, "plaintext": b"frame".hex(), "sealed": seal(key, count_nonce(n), b"frame").hex()})
        if (n + 1) % interval == 0:
            key = rekey(key)
    return {
        "keys": {name: secret.hex() for name, secret in zip(names, secrets)},
        "prologue": b"megatorrent/1".hex(),
        "psk": psk.hex(),
        "payloads": [payload.hex() for payload in payloads],
        "hashBeforePayload": [value.hex() for value in hashes],
        "messages": [message.hex() for message in messages],
        "handshakeHash": state.h.hex(),
        "initiatorKey": split[:32].hex(),
        "responderKey": split[32:].hex(),
        "rekeyIntervalFrames": interval,
        "initiatorFrames": frames,
    }


NOTE = "made by test/vectors/crypto-vectors.py, which shares no code with src; keys are SHA-256('megatorrent test vector: ' || name)"

KEY_SCHEDULE = {
    "note": NOTE,
    "inputs": {
        "handshakeHash": HASH.hex(),
        "noiseStatic": STATIC.hex(),
        "chunkHash": derived("chunk hash").hex(),
        "head": HEAD.hex(),
        "message": MESSAGE.hex(),
    },
    "networkHandshakeKey": sha256(label("network handshake key")).hex(),
    "relays": relays(),
    "node": node(),
    "channels": [channel("public channel", bytes(32)), channel("private channel", derived("read key"))],
}

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, content in (("key-schedule", KEY_SCHEDULE), ("handshake", {"note": NOTE, **handshake()})):
        with open(os.path.join(folder, name + ".json"), "w") as file:
            file.write(json.dumps(content, indent=2) + "\n")
