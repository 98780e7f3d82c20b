"""The PyTorch side of the comparison: the same models, batches and steps as `candor bench`, as PyTorch's users write them.

    python3 bench/pytorch.py train small --threads 2 --seconds 3
    {"tokens_per_s": ...}

compare.py runs it; see there. Every measurement warms up first and prints the median over blocks of steps.

What makes it quick, beyond the obvious: query, key and value in one product; the causal mask, the scale and the product of
queries and keys in one call (baddbmm), but a single token's attention by multiplying and summing, which is half as much
again as fast; AdamW over all tensors at once (foreach); a KV cache that is allocated once; sampling
by exponential noise instead of multinomial; and with --variant script, TorchScript for the forward passes.
"""

import argparse
import json
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Layers, width, heads; the same table stands in candor's train/speed.
MODELS = {"small": (1, 48, 4), "large": (4, 64, 4), "wide": (6, 256, 8)}
VOCAB, CONTEXT = 64, 64
BATCH, LENGTH = 128, 40  # training
SEQUENCES, PROMPT, NEW = 256, 16, 24  # sampling
PROMPTS, GROUP = 16, 8  # GRPO, with the same prompts and completions


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.scale = heads, 1 / math.sqrt(width // heads)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.fc_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [batch x heads, time, head width]."""
        b, t, w = x.shape
        qkv = self.attn(self.ln_1(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, b * self.heads, t, w // self.heads).unbind(0)
        return q, k, v

    def finish(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Attention of q to k and v, then the MLP. mask is 0 or -inf, [time of q, time of k]."""
        b, t, w = x.shape
        if t == 1:  # bmm would make one call to BLAS for each head of each sequence
            p = ((k * q).sum(-1) * self.scale).softmax(-1)
            z = (v * p.unsqueeze(-1)).sum(1)
        else:
            p = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=self.scale).softmax(-1)
            z = torch.bmm(p, v)
        z = z.view(b, self.heads, t, w // self.heads).transpose(1, 2).reshape(b, t, w)
        x = x + self.proj(z)
        return x + self.fc_proj(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.finish(x, q, k, v, mask)


class GPT(nn.Module):
    def __init__(self, layers: int, width: int, heads: int):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.ln_f, self.head = nn.LayerNorm(width), nn.Linear(width, VOCAB, bias=False)
        self.register_buffer("mask", torch.full((CONTEXT, CONTEXT), -math.inf).triu(1))

    def forward(self, tokens: Tensor) -> Tensor:
        t = tokens.shape[1]
        x = self.wte(tokens) + self.wpe.weight[:t]
        mask = self.mask[:t, :t]
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.ln_f(x))


class Decoder(nn.Module):
    """Carries tokens [batch, time] at position `at` through a GPT, with keys and values kept in caches."""

    def __init__(self, gpt: GPT):
        super().__init__()
        self.gpt = gpt

    def forward(self, tokens: Tensor, at: int, keys: list[Tensor], values: list[Tensor], group: int) -> Tensor:
        """Logits of the last token. group > 1 says that each row's keys and values are stored that many times."""
        gpt = self.gpt
        t = tokens.shape[1]
        end = at + t
        x = gpt.wte(tokens) + gpt.wpe.weight[at:end]
        mask = gpt.mask[at:end, :end]
        for i, block in enumerate(gpt.blocks):
            q, k, v = block.split(x)
            if group > 1:
                for cache, new in ((keys[i], k), (values[i], v)):
                    b, heads, hw = tokens.shape[0], block.heads, new.shape[2]
                    cache.view(b, group, heads, CONTEXT, hw)[:, :, :, :t].copy_(new.view(b, 1, heads, t, hw))
                x = block.finish(x, q, k, v, mask)
            else:
                keys[i][:, at:end], values[i][:, at:end] = k, v
                x = block.finish(x, q, keys[i][:, :end], values[i][:, :end], mask)
        return gpt.head(gpt.ln_f(x[:, -1]))


def draw(logits: Tensor) -> Tensor:
    """Samples from softmax(logits): the largest of p/e for exponential e has that distribution."""
    return logits.softmax(-1).div_(torch.empty_like(logits).exponential_()).argmax(-1, keepdim=True)


class Sampler:
    def __init__(self, gpt: GPT, sequences: int, script: bool):
        self.gpt, self.n = gpt, sequences
        self.decoder = torch.jit.script(Decoder(gpt)) if script else Decoder(gpt)
        shape = (sequences * gpt.blocks[0].heads, CONTEXT, gpt.ln_f.weight.shape[0] // gpt.blocks[0].heads)
        self.keys = [torch.zeros(shape) for _ in gpt.blocks]
        self.values = [torch.zeros(shape) for _ in gpt.blocks]

    @torch.inference_mode()
    def sample(self, prompts: Tensor, new: int, group: int = 1) -> Tensor:
        """Prompts with `new` tokens after them; each prompt `group` times, but read once."""
        n, t = prompts.shape
        logits = self.decoder(prompts, 0, self.keys, self.values, group)
        if group > 1:
            logits = logits.repeat_interleave(group, 0)
            prompts = prompts.repeat_interleave(group, 0)
        tokens = torch.empty((n * group, t + new), dtype=torch.long)
        tokens[:, :t] = prompts
        tokens[:, t : t + 1] = draw(logits)
        for at in range(t, t + new - 1):
            logits = self.decoder(tokens[:, at : at + 1], at, self.keys, self.values, 1)
            tokens[:, at + 1 : at + 2] = draw(logits)
        return tokens


def optimizer(gpt: GPT):
    return torch.optim.AdamW(gpt.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, foreach=True)


def train(gpt: GPT, script: bool):
    opt = optimizer(gpt)
    model = torch.jit.script(gpt) if script else gpt
    tokens = torch.randint(VOCAB, (BATCH, LENGTH + 1))

    def step():
        opt.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1])
        F.cross_entropy(logits.reshape(-1, VOCAB), tokens[:, 1:].reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
        opt.step()

    return step, BATCH * LENGTH, "tokens_per_s"


def sample(gpt: GPT, script: bool):
    sampler = Sampler(gpt, SEQUENCES, script)
    prompts = torch.randint(VOCAB, (SEQUENCES, PROMPT))
    return lambda: sampler.sample(prompts, NEW), SEQUENCES * NEW, "tokens_per_s"


def grpo(gpt: GPT, script: bool):
    """Dr. GRPO with one update a batch: the ratio is 1 and only its gradient matters. Reward: the share of even tokens."""
    opt = optimizer(gpt)
    model = torch.jit.script(gpt) if script else gpt
    sampler = Sampler(gpt, PROMPTS * GROUP, script)

    def step():
        prompts = torch.randint(VOCAB, (PROMPTS, PROMPT))
        tokens = sampler.sample(prompts, NEW, GROUP)
        tokens = tokens.clone()  # an ordinary tensor again, for autograd
        written = tokens[:, PROMPT:]
        reward = (written % 2 == 0).float().mean(1).view(PROMPTS, GROUP)
        advantage = (reward - reward.mean(1, keepdim=True)).view(-1, 1)
        opt.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1])[:, PROMPT - 1 :]
        logp = -F.cross_entropy(logits.reshape(-1, VOCAB), written.reshape(-1), reduction="none").view(written.shape)
        ratio = (logp - logp.detach()).exp()
        objective = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        (-objective.sum() / objective.numel()).backward()
        torch.nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
        opt.step()

    return step, 1, "steps_per_s"


def measure(step, units: int, seconds: float) -> float:
    """The median rate over blocks of steps of about a fifth of a second."""
    for _ in range(4):
        step()
    start = time.perf_counter()
    step()
    once = time.perf_counter() - start
    block = max(1, round(0.2 / once))
    rates = []
    end = time.perf_counter() + seconds
    while len(rates) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(block):
            step()
        rates.append(units * block / (time.perf_counter() - start))
    return statistics.median(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "sample", "grpo"])
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--variant", choices=["eager", "script"], default="eager")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    layers, width, heads = MODELS[args.model]
    step, units, name = {"train": train, "sample": sample, "grpo": grpo}[args.what](GPT(layers, width, heads), args.variant == "script")
    print(json.dumps({name: measure(step, units, args.seconds), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
