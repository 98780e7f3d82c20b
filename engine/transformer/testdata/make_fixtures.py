#!/usr/bin/env python3
"""Writes the reference values that fixtures_test.go compares the engine with, one JSON file for each configuration.

    python3 make_fixtures.py        # needs PyTorch; written with 1.13

The model is written out here in plain tensor operations, sequence by sequence, and computed in float64; only the starting
weights are rounded to float32 first. Each file holds the weights, a ragged batch, the logits of the weighted predictions,
loss and gradients, and losses, norms and weights over ten steps of torch.optim.AdamW with clipping and a linear schedule.
Numbers are base64 of little-endian float32.
"""
import base64
import json
import math
import pathlib
import struct

import torch

CONTEXT, VOCAB = 12, 13
STEPS, WARMUP, LR, FINAL, CLIP = 10, 3, 2e-2, 0.1, 0.5
BETAS, EPS, DECAY = (0.9, 0.98), 1e-4, 0.1  # eps is large so that gradients that are zero but for rounding stay harmless

CONFIGS = {
    "gpt2": dict(layers=2, heads=4, width=16, positions=["learned"], token_shift=False, tied=True),
    "rotary_none_shift": dict(layers=1, heads=2, width=12, positions=["rotary", "none"], token_shift=True, tied=False),
    "mixed": dict(layers=2, heads=4, width=16, positions=["learned", "rotary", "none", "learned"], token_shift=False, tied=False),
}


def shapes(c):
    w, p = c["width"], positions(c)
    learned = sum(x == "learned" for x in p)
    everywhere = learned == c["heads"]
    yield "wte.weight", (VOCAB, w)
    if everywhere:
        yield "wpe.weight", (CONTEXT, w)
    if c["token_shift"]:
        yield "shift.weight", (w, w)
    for i in range(c["layers"]):
        h = f"h.{i}."
        yield h + "ln_1.weight", (w,)
        yield h + "ln_1.bias", (w,)
        yield h + "attn.c_attn.weight", (w, 3 * w)
        yield h + "attn.c_attn.bias", (3 * w,)
        if learned and not everywhere:
            yield h + "attn.wpe", (CONTEXT, 2 * learned * w // c["heads"])
        yield h + "attn.c_proj.weight", (w, w)
        yield h + "attn.c_proj.bias", (w,)
        yield h + "ln_2.weight", (w,)
        yield h + "ln_2.bias", (w,)
        yield h + "mlp.c_fc.weight", (w, 4 * w)
        yield h + "mlp.c_fc.bias", (4 * w,)
        yield h + "mlp.c_proj.weight", (4 * w, w)
        yield h + "mlp.c_proj.bias", (w,)
    yield "ln_f.weight", (w,)
    yield "ln_f.bias", (w,)
    if not c["tied"]:
        yield "lm_head.weight", (VOCAB, w)


def positions(c):
    return c["positions"] * c["heads"] if len(c["positions"]) == 1 else c["positions"]


def rotate(x):
    n, width = x.shape
    freq = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.outer(torch.arange(n, dtype=torch.float64), freq)
    angle = torch.cat([angle, angle], dim=1)
    half = torch.cat([-x[:, width // 2:], x[:, :width // 2]], dim=1)
    return x * angle.cos() + half * angle.sin()


def attention(c, p, i, x, blocks):
    n, w = x.shape
    hw = w // c["heads"]
    q, k, v = (x @ p[f"h.{i}.attn.c_attn.weight"] + p[f"h.{i}.attn.c_attn.bias"]).split(w, dim=1)
    allowed = torch.ones(n, n, dtype=torch.bool).tril()
    for (a, b), (d, e) in blocks:
        allowed[a:b, d:e] = False
    kinds, out, seen = positions(c), [], 0
    learned = kinds.count("learned")
    for h, kind in enumerate(kinds):
        cut = slice(h * hw, (h + 1) * hw)
        qh, kh = q[:, cut], k[:, cut]
        if kind == "rotary":
            qh, kh = rotate(qh), rotate(kh)
        if kind == "learned" and learned < c["heads"]:
            table = p[f"h.{i}.attn.wpe"][:n]
            qh = qh + table[:, seen * hw:(seen + 1) * hw]
            kh = kh + table[:, (learned + seen) * hw:(learned + seen + 1) * hw]
            seen += 1
        score = (qh @ kh.T / math.sqrt(hw)).masked_fill(~allowed, -1e30)
        out.append((score.softmax(dim=1) * allowed) @ v[:, cut])
    return torch.cat(out, dim=1) @ p[f"h.{i}.attn.c_proj.weight"] + p[f"h.{i}.attn.c_proj.bias"]


def norm(p, name, x):
    return torch.nn.functional.layer_norm(x, x.shape[1:], p[name + ".weight"], p[name + ".bias"], 1e-5)


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def forward(c, p, tokens, blocks):
    tokens = torch.tensor(tokens)
    x = p["wte.weight"][tokens]
    if c["token_shift"]:
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        x = x + before @ p["shift.weight"]
    if "wpe.weight" in p:
        x = x + p["wpe.weight"][:len(tokens)]
    for i in range(c["layers"]):
        x = x + attention(c, p, i, norm(p, f"h.{i}.ln_1", x), blocks)
        y = gelu(norm(p, f"h.{i}.ln_2", x) @ p[f"h.{i}.mlp.c_fc.weight"] + p[f"h.{i}.mlp.c_fc.bias"])
        x = x + y @ p[f"h.{i}.mlp.c_proj.weight"] + p[f"h.{i}.mlp.c_proj.bias"]
    head = p["wte.weight"] if c["tied"] else p["lm_head.weight"]
    return norm(p, "ln_f", x) @ head.T


def total_loss(c, p, batch, logits=None):
    """Weighted cross-entropy over all sequences; the weight of token j belongs to its prediction from the tokens before."""
    loss = 0
    for s in batch:
        out = forward(c, p, s["tokens"][:CONTEXT], s["spans"])
        logp = out.log_softmax(dim=1)
        for j in range(1, len(s["tokens"])):
            if s["weight"][j] != 0:
                loss = loss - s["weight"][j] * logp[j - 1, s["tokens"][j]]
                if logits is not None:
                    logits.append(out[j - 1].detach())
    return loss


def pack(t):
    flat = t.detach().reshape(-1).tolist()
    return base64.b64encode(struct.pack(f"<{len(flat)}f", *flat)).decode()


def make_batch():
    batch = []
    for n in (7, CONTEXT + 1, 1, 10, 4):
        tokens = torch.randint(VOCAB, (n,)).tolist()
        weight = [round(w, 3) if torch.rand(()) < 0.7 else 0 for w in (torch.rand(n) * 0.4).tolist()]
        batch.append(dict(tokens=tokens, weight=weight, spans=[]))
    batch[3]["spans"] = [((5, 9), (1, 4)), ((2, 3), (0, 10))]  # query 2 has no key left
    return batch


def main():
    here = pathlib.Path(__file__).parent
    for name, c in CONFIGS.items():
        torch.manual_seed(7)
        p = {}
        for key, shape in shapes(c):
            x = 0.3 * torch.randn(shape)
            if ".ln" in "." + key and key.endswith("weight"):
                x += 1
            p[key] = x.float().double().requires_grad_()
        batch = make_batch()
        logits = []
        start = {k: pack(v) for k, v in p.items()}
        loss = total_loss(c, p, batch, logits)
        loss.backward()
        grads = {k: pack(v.grad) for k, v in p.items()}
        opt = torch.optim.AdamW([
            dict(params=[v for v in p.values() if v.dim() > 1], weight_decay=DECAY),
            dict(params=[v for v in p.values() if v.dim() == 1], weight_decay=0),
        ], lr=LR, betas=BETAS, eps=EPS)
        losses, norms, rates = [], [], []
        for t in range(STEPS):
            rate = (t + 1) / WARMUP if t < WARMUP else 1 - (1 - FINAL) * (t - WARMUP) / (STEPS - WARMUP)
            for group in opt.param_groups:
                group["lr"] = LR * rate
            opt.zero_grad()
            l = total_loss(c, p, batch)
            l.backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(p.values(), CLIP)))
            rates.append(LR * rate)
            losses.append(l.item())
            opt.step()
        fixture = dict(
            config=dict(c, context=CONTEXT, vocab=VOCAB),
            optim=dict(lr=LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, weight_decay=DECAY, clip=CLIP, schedule="linear",
                       warmup=WARMUP, final_share=FINAL),
            batch=batch,
            logits=pack(torch.cat(logits)),
            losses=losses, norms=norms, rates=rates,
            tensors=[dict(name=k, shape=list(v.shape), start=start[k], grad=grads[k], after=pack(v)) for k, v in p.items()],
        )
        (here / f"{name}.json").write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    main()
