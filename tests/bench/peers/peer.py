"""A peer in a process of its own, so that thread pools do not meet: reads requests, one JSON object a line, from
standard input and answers each with one line.

{"do": "versions"}
{"do": "load", "config": FILE, "weights": FILE, "vocab_size", "num_classes", "inputs", "pixels", "dtype",
 "settings"}
{"do": "run", "input": tokens.npy, "labels": y.npy | null, "masked": bool, "logits": FILE, "gradients": FILE | null}
{"do": "prepare", "mode": "train" | "infer", "batch", "length", "vocab_size", "num_classes", "seed"}
{"do": "time", "warmup", "steps"} -> {"samples_ms": [...]}

An answer with the key `error` holds a traceback. Usage: peer.py torch|jax THREADS
"""

import json
import os
import sys
import time
import traceback

import numpy as np
from safetensors.numpy import save_file


def make(library, threads):
    if library == "torch":
        from torch_peer import TorchPeer

        return TorchPeer(threads)
    from jax_peer import JaxPeer

    return JaxPeer(threads)


class Requests:
    def __init__(self, peer):
        self.peer, self.step = peer, None

    def versions(self):
        return self.peer.versions()

    def load(self, config, **rest):
        self.step = None
        with open(config) as file:
            self.peer.load(json.load(file), **rest)
        return {}

    def run(self, input, labels, masked, logits, gradients):
        tokens = np.load(input).astype(np.int64)
        mask = (tokens != 0).astype(np.float32) if masked else None
        answer, by_name = self.peer.run(tokens, mask, None if labels is None else np.load(labels).astype(np.int64))
        np.save(logits, answer)
        if gradients is not None:
            save_file({name: np.ascontiguousarray(array) for name, array in by_name.items()}, gradients)
        return {}

    def prepare(self, mode, batch, length, vocab_size, num_classes, seed):
        """Full-length sequences of uniform tokens, as `lra bench` takes them."""
        draw = np.random.default_rng(seed)
        tokens = draw.integers(1, vocab_size, (batch, length))
        self.step = self.peer.prepare(mode, tokens, draw.integers(0, num_classes, batch))
        return {}

    def time(self, warmup, steps):
        for _ in range(warmup):
            self.step()
        samples_ms = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            samples_ms.append((time.perf_counter() - start) * 1e3)
        return {"samples_ms": samples_ms}


def main():
    answers = os.fdopen(os.dup(1), "w")  # whatever a library prints goes to standard error
    os.dup2(2, 1)
    requests = Requests(make(sys.argv[1], int(sys.argv[2])))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(requests, request.pop("do"))(**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
