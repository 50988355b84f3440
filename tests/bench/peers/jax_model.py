"""The classifier of `lra` in JAX: a dictionary of arrays under a checkpoint's names, and pure functions of it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file

QUERY_BLOCK = 256  # rows of the blocked softmax: one block's weights stay near the caches


def einsum_softmax(q, k, v, mask):
    """q, k, v: [b, n, h, d]; mask: [b, n], 1 = real token, or None when all are. Returns [b, n, h, d]."""
    logits = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    if mask is not None:
        logits = jnp.where(mask[:, None, None, :] > 0, logits, -1e10)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(logits), v)


def library_softmax(q, k, v, mask):
    return jax.nn.dot_product_attention(q, k, v, mask=None if mask is None else mask[:, None, None, :] > 0)


def blocked_softmax(q, k, v, mask):
    """Blocks of queries one after another, their weights made again in the backward pass: O(n) memory."""
    b, n, h, d = q.shape
    if n % QUERY_BLOCK != 0:
        return einsum_softmax(q, k, v, mask)
    blocks = q.reshape(b, n // QUERY_BLOCK, QUERY_BLOCK, h, d).swapaxes(0, 1)
    attended = jax.lax.map(jax.checkpoint(lambda block: einsum_softmax(block, k, v, mask)), blocks)
    return attended.swapaxes(0, 1).reshape(b, n, h, d)


SOFTMAX = {"einsum": einsum_softmax, "library": library_softmax, "blocked": blocked_softmax}


def feature_attention(q, k, v, normalize):
    """phi(q) (phi(k)^T v) over its row sums, in O(n); q and k are mapped (and masked) already."""
    state = jnp.einsum("bnhf,bnhd->bhfd", k, v)
    norm = normalize(jnp.einsum("bnhf,bhf->bnh", q, k.sum(1)))
    return jnp.einsum("bnhf,bhfd->bnhd", q, state) / norm[..., None]


def masked(k, mask):
    return k if mask is None else k * mask[:, :, None, None]


def linear_attention(q, k, v, mask, epsilon):
    """Katharopoulos et al. 2020, equations 5 and 7."""
    k = masked(jax.nn.elu(k) + 1, mask)
    return feature_attention(jax.nn.elu(q) + 1, k, v, lambda total: total + epsilon)


def cosformer(q, k, v, mask, epsilon, nominal_length):
    """Qin et al. 2022, equations 9-12; positions count from 1."""
    angles = np.arange(1, q.shape[1] + 1)[:, None, None] * (math.pi / (2 * nominal_length))
    sine, cosine = jnp.asarray(np.sin(angles), q.dtype), jnp.asarray(np.cos(angles), q.dtype)

    def features(x):
        return jnp.concatenate([x * sine, x * cosine], -1)

    k = features(masked(jax.nn.relu(k), mask))
    return feature_attention(features(jax.nn.relu(q)), k, v, lambda total: jnp.maximum(total, epsilon))


def affine(params, name, x):
    y = x @ params[f"{name}.weight"]
    return y + params[f"{name}.bias"] if f"{name}.bias" in params else y


def layer_norm(params, name, x, epsilon):
    mean = x.mean(-1, keepdims=True)
    centered = x - mean
    variance = (centered * centered).mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt(variance + epsilon) * params[f"{name}.weight"] + params[f"{name}.bias"]


def sinusoids(rows, d):
    """Vaswani et al. 2017, section 3.5: sine in even columns, cosine in odd ones."""
    i, j = np.arange(rows)[:, None], np.arange(d)[None, :]
    angle = i * np.exp(-math.log(10000.0) * (j // 2 * 2) / d)
    return np.where(j % 2 == 0, np.sin(angle), np.cos(angle))


class Classifier:
    """The classifier of one run's config.json. Without dropout: it is for comparing."""

    def __init__(self, config, softmax="library"):
        if config["attention"]["causal"]:
            raise ValueError("the peers are bidirectional: attention.causal is true")
        self.model, self.attention = config["model"], config["attention"]
        self.softmax = SOFTMAX[softmax]
        self.rows = self.model["nominal_length"] + (1 if self.model["pooling"] == "cls" else 0)

    def attend(self, q, k, v, mask):
        name, epsilon = self.attention["name"], self.attention.get("epsilon")
        if name == "softmax":
            return self.softmax(q, k, v, mask)
        if name == "linear":
            return linear_attention(q, k, v, mask, epsilon)
        if name == "cosformer":
            return cosformer(q, k, v, mask, epsilon, self.rows)
        raise ValueError(f"no attention {name} here")

    def layer(self, params, name, x, mask):
        m, (b, n, _) = self.model, x.shape
        y = layer_norm(params, f"{name}.norm1", x, m["layer_norm_epsilon"])
        packed = affine(params, f"{name}.attention.qkv", y).reshape(b, n, 3, m["heads"], m["d_head"])
        attended = self.attend(packed[:, :, 0], packed[:, :, 1], packed[:, :, 2], mask)
        x = x + affine(params, f"{name}.attention.out", attended.reshape(b, n, -1))
        y = layer_norm(params, f"{name}.norm2", x, m["layer_norm_epsilon"])
        y = jax.nn.gelu(affine(params, f"{name}.ffn.in", y), approximate=m["gelu"] == "tanh")
        return x + affine(params, f"{name}.ffn.out", y)

    def logits(self, params, tokens, mask=None):
        """tokens: [b, n]; mask: [b, n], 1 = real token, None when all are. Returns [b, classes]."""
        m = self.model
        x = params["embedding.tokens.weight"][tokens]
        if m["pooling"] == "cls":
            first = jnp.broadcast_to(params["embedding.cls"], (x.shape[0], 1, x.shape[2]))
            x = jnp.concatenate([first, x], 1)
            mask = None if mask is None else jnp.concatenate([mask[:, :1], mask], 1)
        n = x.shape[1]
        if m["positions"] == "learned":
            x = x + params["embedding.positions.weight"][:n]
        else:
            x = x + jnp.asarray(sinusoids(n, m["d_model"]), x.dtype)
        for index in range(m["layers"]):
            x = self.layer(params, f"encoder.layers.{index}", x, mask)
        x = layer_norm(params, "encoder.norm", x, m["layer_norm_epsilon"])
        hidden = jax.nn.relu(affine(params, "classifier.hidden", self.pool(x, mask)))
        return affine(params, "classifier.out", hidden)

    def pool(self, x, mask):
        if self.model["pooling"] == "cls":
            return x[:, 0]
        total = x.sum(1) if mask is None else jnp.einsum("bn,bnd->bd", mask, x)
        if self.model["pooling"] == "mean_nominal":
            return total / self.model["nominal_length"]
        return total / (x.shape[1] if mask is None else jnp.maximum(mask.sum(1, keepdims=True), 1))

    def summed_loss(self, params, tokens, mask, labels):
        log_probabilities = jax.nn.log_softmax(self.logits(params, tokens, mask))
        return -jnp.take_along_axis(log_probabilities, labels[:, None], 1).sum()


def load(file):
    """The parameters of a checkpoint; the optimiser's tensors of a resumable one are left out."""
    return {name: jnp.asarray(array) for name, array in load_file(file).items() if not name.startswith("opt/")}
