"""Efficient attention from its equation alone, to compare with `lra attend`: Python's standard library, no NumPy.

reference.py write     makes q.npy, k.npy, v.npy [h, n, d_head] and m.npy [n] (f64)
reference.py compare   computes the output from them and compares it with o.npy
"""

import ast
import math
import random
import struct
import sys

HEADS, N, REAL, WIDTH = 2, 50, 41, 8
TOLERANCE = 1e-12


def write(path, shape, values):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header = header.ljust((len(header) + 11 + 63) // 64 * 64 - 11) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{len(values)}d", *values))


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    begin = 10 + struct.unpack("<H", content[8:10])[0]
    shape = ast.literal_eval(content[10:begin].decode())["shape"]
    return shape, struct.unpack(f"<{math.prod(shape)}d", content[begin:])


def softmax(values):
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def efficient(q, k, v, mask):
    """One head: q, k, v as lists of n rows. E(Q, K, V) = softmax_features(Q) (softmax_positions(K)^T V)."""
    real = [j for j in range(len(mask)) if mask[j] == 1]
    weights = [softmax([k[j][c] for j in real]) for c in range(WIDTH)]
    summary = [[sum(w * v[j][e] for w, j in zip(weights[c], real)) for e in range(WIDTH)] for c in range(WIDTH)]
    return [[sum(w * summary[c][e] for c, w in enumerate(softmax(row))) for e in range(WIDTH)] for row in q]


def heads_of(path):
    shape, values = read(path)
    rows = [values[i : i + WIDTH] for i in range(0, len(values), WIDTH)]
    return [rows[h * N : (h + 1) * N] for h in range(shape[0])]


if sys.argv[1:] == ["write"]:
    generator = random.Random(1)
    for name in "qkv":
        write(f"{name}.npy", (HEADS, N, WIDTH), [generator.gauss(0, 1) for _ in range(HEADS * N * WIDTH)])
    write("m.npy", (N,), [1.0] * REAL + [0.0] * (N - REAL))
elif sys.argv[1:] == ["compare"]:
    mask = read("m.npy")[1]
    expected = [efficient(*head, mask) for head in zip(heads_of("q.npy"), heads_of("k.npy"), heads_of("v.npy"))]
    got = heads_of("o.npy")
    error = max(
        abs(got[h][i][c] - expected[h][i][c]) for h in range(HEADS) for i in range(REAL) for c in range(WIDTH)
    )
    print(f"largest difference at real tokens: {error:.1e}")
    sys.exit(0 if error <= TOLERANCE else 1)
else:
    sys.exit(__doc__)
