"""Whether a peer computes what `lra predict` does: logits and the gradient of every parameter."""

import numpy as np
from safetensors.numpy import load_file

TOLERANCE = {"f32": 1e-4, "f64": 1e-9}
SMALL_TENSOR = 1e-3  # of the largest gradient: below it a tensor is judged on that scale, not on its own


class Disagreement(Exception):
    pass


def write_batch(directory, lengths, n, vocab_size, num_classes, inputs=1, seed=1):
    """Random tokens of the given lengths, padded with 0 to n, and labels. Of pairs, the second sequences have the
    lengths in the opposite order. Returns the two files."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(1, vocab_size, (len(lengths), inputs, n)).astype(np.int32)
    for i, (first, last) in enumerate(zip(lengths, reversed(lengths))):
        for sequence, length in zip(tokens[i], (first, last)):
            sequence[length:] = 0
    tokens = tokens if inputs > 1 else tokens[:, 0]
    np.save(directory / "tokens.npy", tokens)
    np.save(directory / "labels.npy", draw.integers(0, num_classes, len(lengths)).astype(np.int32))
    return directory / "tokens.npy", directory / "labels.npy"


def errors(ours, theirs):
    """Largest difference of each tensor, relative to its largest element (of ours)."""
    if ours.keys() != theirs.keys():
        raise Disagreement(f"tensors differ: {sorted(ours.keys() ^ theirs.keys())}")
    scale = {name: np.abs(tensor).max() for name, tensor in ours.items()}
    floor = SMALL_TENSOR * max(scale.values())
    result = {}
    for name, tensor in ours.items():
        if tensor.shape != theirs[name].shape:
            raise Disagreement(f"{name} is {tensor.shape} here, {theirs[name].shape} there")
        difference = np.abs(tensor.astype(np.float64) - theirs[name].astype(np.float64)).max()
        result[name] = float(difference / max(scale[name], floor))
        if not np.isfinite(result[name]):
            raise Disagreement(f"{name} is not finite")
    return result


def compare(lra, peer, run, settings, dtype, batch, directory, masked, gradients=True):
    """Returns {"logits": error, "gradients": largest error, "tensor": its name}. Throws Disagreement beyond the
    tolerance. `batch`: (tokens.npy, labels.npy)."""
    tokens, labels = batch
    our_logits, our_gradients = directory / f"ours.{dtype}.npy", directory / f"ours.{dtype}.safetensors"
    lra.predict(run, tokens, labels, our_logits, our_gradients if gradients else None, dtype)
    logits, by_name = directory / "peer.npy", directory / "peer.safetensors"
    peer.load(run, lra, dtype, settings)
    # fmt: off
    peer.ask("run", input=str(tokens), labels=str(labels) if gradients else None, masked=masked, logits=str(logits),
             gradients=str(by_name) if gradients else None)
    # fmt: on
    result = {"logits": errors({"logits": np.load(our_logits)}, {"logits": np.load(logits)})["logits"]}
    if gradients:
        found = errors(load_file(our_gradients), load_file(by_name))
        worst = max(found, key=found.get)
        result |= {"gradients": found[worst], "tensor": worst}
    worst_error = max(result["logits"], result.get("gradients", 0.0))
    if worst_error > TOLERANCE[dtype]:
        raise Disagreement(f"{peer.name} {settings} in {dtype}: {result} exceeds {TOLERANCE[dtype]}")
    return result
