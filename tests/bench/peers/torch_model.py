"""The classifier of `lra` in PyTorch, reading the same checkpoints, and its training and inference steps.

Modules carry the names of docs/checkpoints.md, so that a state dict is a checkpoint but for the transposition of
linear weights ([in, out] there, [out, in] in PyTorch).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import nn


def softmax_attention(q, k, v, mask):
    """q, k, v: [b, h, n, d]; mask: [b, n], 1 = real token, or None when all are. Returns [b, h, n, d]."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask.bool()[:, None, None, :])


def feature_attention(q, k, v, normalize):
    """phi(q) (phi(k)^T v) over its row sums, in O(n); q and k are mapped (and masked) already."""
    norm = normalize(q @ k.sum(-2).unsqueeze(-1))
    return (q @ (k.transpose(-2, -1) @ v)) / norm


def masked(k, mask):
    return k if mask is None else k * mask[:, None, :, None]


class LinearAttention(nn.Module):
    """Katharopoulos et al. 2020, equations 5 and 7."""

    def __init__(self, attention, nominal_length):
        super().__init__()
        self.epsilon = attention["epsilon"]

    def forward(self, q, k, v, mask):
        k = masked(F.elu(k) + 1, mask)
        return feature_attention(F.elu(q) + 1, k, v, lambda total: total + self.epsilon)


class CosFormer(nn.Module):
    """Qin et al. 2022, equations 9-12; positions count from 1."""

    def __init__(self, attention, nominal_length):
        super().__init__()
        self.epsilon = attention["epsilon"]
        angles = torch.arange(1, nominal_length + 1, dtype=torch.float64)[:, None] * (math.pi / (2 * nominal_length))
        self.register_buffer("sine", angles.sin(), persistent=False)
        self.register_buffer("cosine", angles.cos(), persistent=False)

    def features(self, x):
        n = x.shape[-2]
        return torch.cat([x * self.sine[:n], x * self.cosine[:n]], -1)

    def forward(self, q, k, v, mask):
        k = self.features(masked(F.relu(k), mask))
        return feature_attention(self.features(F.relu(q)), k, v, lambda total: total.clamp_min(self.epsilon))


def attention_of(config, nominal_length):
    attention = config["attention"]
    if attention["causal"]:
        raise ValueError("the peers are bidirectional: attention.causal is true")
    if attention["name"] == "softmax":
        return softmax_attention
    return {"linear": LinearAttention, "cosformer": CosFormer}[attention["name"]](attention, nominal_length)


class EncoderLayer(nn.Module):
    def __init__(self, config, nominal_length):
        super().__init__()
        m = config["model"]
        d, inner, bias = m["d_model"], m["heads"] * m["d_head"], m["projection_bias"]
        self.heads, self.d_head = m["heads"], m["d_head"]
        self.approximate = "tanh" if m["gelu"] == "tanh" else "none"
        self.norm1 = nn.LayerNorm(d, eps=m["layer_norm_epsilon"])
        self.attention = nn.ModuleDict(
            {"qkv": nn.Linear(d, 3 * inner, bias=bias), "out": nn.Linear(inner, d, bias=bias)}
        )
        self.norm2 = nn.LayerNorm(d, eps=m["layer_norm_epsilon"])
        self.ffn = nn.ModuleDict({"in": nn.Linear(d, m["d_ffn"]), "out": nn.Linear(m["d_ffn"], d)})
        self.attend = attention_of(config, nominal_length)

    def forward(self, x, mask):
        b, n, _ = x.shape
        packed = self.attention["qkv"](self.norm1(x)).view(b, n, 3, self.heads, self.d_head)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        attended = self.attend(q, k, v, mask).transpose(1, 2).reshape(b, n, -1)
        x = x + self.attention["out"](attended)
        hidden = F.gelu(self.ffn["in"](self.norm2(x)), approximate=self.approximate)
        return x + self.ffn["out"](hidden)


def sinusoids(rows, d):
    """Vaswani et al. 2017, section 3.5: sine in even columns, cosine in odd ones."""
    i, j = np.arange(rows)[:, None], np.arange(d)[None, :]
    angle = i * np.exp(-math.log(10000.0) * (j // 2 * 2) / d)
    return np.where(j % 2 == 0, np.sin(angle), np.cos(angle))


class Pixels(nn.Module):
    """A linear layer of (v / 255 - mean) / stddev."""

    def __init__(self, pixels, d):
        super().__init__()
        self.mean, self.stddev = pixels["mean"], pixels["stddev"]
        self.weight, self.bias = nn.Parameter(torch.zeros(1, d)), nn.Parameter(torch.zeros(d))

    def forward(self, tokens):
        values = (tokens.to(self.weight.dtype) / 255 - self.mean) / self.stddev
        return values[..., None] * self.weight[0] + self.bias


class Classifier(nn.Module):
    """The classifier of one run's config.json. Without dropout: it is for comparing. `inputs`: sequences of an example;
    `pixels`: how pixels become numbers, where they do."""

    def __init__(self, config, vocab_size, num_classes, inputs=1, pixels=None):
        super().__init__()
        m = config["model"]
        d, self.pooling, self.nominal_length = m["d_model"], m["pooling"], m["nominal_length"]
        rows = self.nominal_length + (1 if self.pooling == "cls" else 0)
        if m["input"] == "real":
            self.embedding = nn.ModuleDict({"pixels": Pixels(pixels, d)})
        else:
            self.embedding = nn.ModuleDict({"tokens": nn.Embedding(m["vocab_rows"] or vocab_size, d)})
        if m["positions"] == "learned":
            self.embedding["positions"] = nn.Embedding(rows, d)
        else:
            self.register_buffer("sinusoids", torch.from_numpy(sinusoids(rows, d)), persistent=False)
        if self.pooling == "cls":
            self.embedding.register_parameter("cls", nn.Parameter(torch.zeros(1, d)))
        layers = nn.ModuleList(EncoderLayer(config, rows) for _ in range(m["layers"]))
        self.encoder = nn.ModuleDict({"layers": layers, "norm": nn.LayerNorm(d, eps=m["layer_norm_epsilon"])})
        self.pair_features = m["pair_features"] if inputs == 2 else None
        width = d * {None: 1, "concat": 2, "nli": 4}[self.pair_features]
        layers = {}
        for name, hidden in zip(("hidden", "hidden2"), (m["d_classifier"], m["d_classifier"] // 2)):
            if name == "hidden" or m["classifier_layers"] == 2:
                layers[name], width = nn.Linear(width, hidden), hidden
        self.classifier = nn.ModuleDict({**layers, "out": nn.Linear(width, num_classes)})

    def forward(self, tokens, mask=None):
        """tokens: [b, n], of pairs [b, 2, n]; mask likewise, 1 = real token, None when all are. Returns logits
        [b, classes]."""
        if self.pair_features is None:
            x = self.encode(tokens, mask)
        else:
            a, b = (self.encode(tokens[:, i], None if mask is None else mask[:, i]) for i in (0, 1))
            x = torch.cat([a, b] if self.pair_features == "concat" else [a, b, a * b, a - b], -1)
        for name in ("hidden", "hidden2"):
            if name in self.classifier:
                x = F.relu(self.classifier[name](x))
        return self.classifier["out"](x)

    def encode(self, tokens, mask):
        """[b, n] -> pooled [b, d]."""
        x = self.embedding["pixels" if "pixels" in self.embedding else "tokens"](tokens)
        if self.pooling == "cls":
            x = torch.cat([self.embedding.cls.expand(x.shape[0], 1, -1), x], 1)
            mask = None if mask is None else torch.cat([mask[:, :1], mask], 1)
        n = x.shape[1]
        x = x + (self.embedding["positions"].weight[:n] if "positions" in self.embedding else self.sinusoids[:n])
        for layer in self.encoder["layers"]:
            x = layer(x, mask)
        return self.pool(self.encoder["norm"](x), mask)

    def pool(self, x, mask):
        if self.pooling == "cls":
            return x[:, 0]
        if self.pooling == "mean_padded":
            return x.sum(1) / self.nominal_length
        total = x.sum(1) if mask is None else (mask[:, None, :] @ x).squeeze(1)
        if self.pooling == "mean_nominal":
            return total / self.nominal_length
        return total / (x.shape[1] if mask is None else mask.sum(1, keepdim=True).clamp_min(1))

    def linear_weights(self):
        """Names of the parameters that a checkpoint stores transposed."""
        return {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.Linear)}

    def load(self, file):
        """Reads a checkpoint; every parameter must be there, with its shape."""
        tensors, transposed = load_file(file), self.linear_weights()
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                value = torch.from_numpy(tensors[name])
                value = value.t() if name in transposed else value
                if value.shape != parameter.shape:
                    raise ValueError(f"{file}: {name} is {tuple(value.shape)}, the model's {tuple(parameter.shape)}")
                parameter.copy_(value)

    def gradients(self):
        """Under a checkpoint's names, as numpy arrays of its shapes."""
        transposed, arrays = self.linear_weights(), {}
        for name, parameter in self.named_parameters():
            gradient = parameter.grad.t() if name in transposed else parameter.grad
            arrays[name] = gradient.contiguous().numpy()
        return arrays
