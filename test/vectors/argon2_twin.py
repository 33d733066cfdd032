"""argon2id of RFC 9106 on the BLAKE2b of Python's library, for `wire-vectors.py`. Slow."""

import hashlib
import struct

MASK = 2**64 - 1


def blake2b(size, data):
    return hashlib.blake2b(data, digest_size=size).digest()


def long_hash(size, data):
    data = struct.pack("<I", size) + data
    if size <= 64:
        return blake2b(size, data)
    v = blake2b(64, data)
    out = v[:32]
    while size - len(out) > 64:
        v = blake2b(64, v)
        out += v[:32]
    return out + blake2b(size - len(out), v)


def rotate(x, by):
    return (x >> by | x << (64 - by)) & MASK


def quarter(v, a, b, c, d):
    for first, second in ((32, 24), (16, 63)):
        v[a] = (v[a] + v[b] + 2 * (v[a] & 0xFFFFFFFF) * (v[b] & 0xFFFFFFFF)) & MASK
        v[d] = rotate(v[d] ^ v[a], first)
        v[c] = (v[c] + v[d] + 2 * (v[c] & 0xFFFFFFFF) * (v[d] & 0xFFFFFFFF)) & MASK
        v[b] = rotate(v[b] ^ v[c], second)


def permute(block, where):
    v = [block[i] for i in where]
    for column in range(4):
        quarter(v, column, column + 4, column + 8, column + 12)
    for n in range(4):
        quarter(v, n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4)
    for i, word in zip(where, v):
        block[i] = word


def compress(x, y):
    r = [a ^ b for a, b in zip(x, y)]
    z = list(r)
    for row in range(8):
        permute(z, range(16 * row, 16 * row + 16))
    for column in range(8):
        permute(z, [16 * i + 2 * column + half for i in range(8) for half in (0, 1)])
    return [a ^ b for a, b in zip(z, r)]


def argon2id(password, salt, memory, passes, lanes=1, size=32, secret=b"", data=b""):
    field = lambda text: struct.pack("<I", len(text)) + text
    h0 = blake2b(64, struct.pack("<6I", lanes, size, memory, passes, 0x13, 2) + b"".join(map(field, (password, salt, secret, data))))
    columns = memory // (4 * lanes) * 4
    segment = columns // 4
    unpack = lambda text: list(struct.unpack("<128Q", text))
    b = [[unpack(long_hash(1024, h0 + struct.pack("<2I", n, lane))) if n < 2 else [0] * 128 for n in range(columns)] for lane in range(lanes)]
    for at in range(passes * 4):
        turn, part = divmod(at, 4)
        for lane in range(lanes):
            for index in range(segment):
                n = part * segment + index
                independent = turn == 0 and part < 2
                if independent and index % 128 == 0:
                    head = [turn, lane, part, columns * lanes, passes, 2, index // 128 + 1]
                    addresses = compress([0] * 128, compress([0] * 128, head + [0] * 121))
                if turn == 0 and n < 2:
                    continue
                before = b[lane][n - 1]
                j = addresses[index % 128] if independent else before[0]
                source = lane if at == 0 else (j >> 32) % lanes
                done = part * segment if turn == 0 else columns - segment
                window = done + index - 1 if source == lane else done - (index == 0)
                back = window * ((j & 0xFFFFFFFF) ** 2 >> 32) >> 32
                start = 0 if turn == 0 or part == 3 else (part + 1) * segment
                made = compress(before, b[source][(start + window - 1 - back) % columns])
                b[lane][n] = made if turn == 0 else [x ^ y for x, y in zip(made, b[lane][n])]
    last = b[0][-1]
    for lane in range(1, lanes):
        last = [x ^ y for x, y in zip(last, b[lane][-1])]
    return long_hash(size, struct.pack("<128Q", *last))


# RFC 9106, section 5.3
assert argon2id(b"\x01" * 32, b"\x02" * 16, 32, 3, 4, 32, b"\x03" * 8, b"\x04" * 12).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
