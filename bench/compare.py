"""Measures candor beside PyTorch on this machine and prints the table of the README.

    python3 bench/compare.py                    everything, about 15 minutes
    python3 bench/compare.py --only train/small sample/wide

It builds candor, finds the fastest way to run PyTorch here (one thread or all, the BLAS libraries that are installed, malloc
with and without returning memory to the system, eager or TorchScript) with short trials, and then lets the two sides take
turns. A ratio is the median over rounds of candor's speed by PyTorch's in the same round, so that a slow minute of the
machine hits both. Needs Go and Python with PyTorch; on Debian: apt install golang python3-torch libopenblas0-openmp
libopenblas0-pthread. An interpreter other than the one that runs this can be named with --python.
"""

import argparse
import glob
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [f"{part}/{model}" for part in ("train", "sample") for model in ("small", "large", "wide")] + ["grpo/small"]
UNITS = {"train": "tokens_per_s", "sample": "tokens_per_s", "grpo": "steps_per_s"}
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456"}


class Variant:
    """One way to run PyTorch."""

    def __init__(self, threads, blas, keep, mode):
        self.threads, self.blas, self.keep, self.mode = threads, blas, keep, mode

    def __str__(self):
        library = os.path.basename(self.blas) if self.blas else "default BLAS"
        return f"{self.threads} threads, {library}, {'memory kept' if self.keep else 'plain malloc'}, {self.mode}"

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}  # let OpenBLAS find its own best kernels
        env["OMP_WAIT_POLICY"] = "passive"
        if self.blas:
            env["LD_LIBRARY_PATH"] = self.blas
        if self.keep:
            env.update(MALLOC)
        return env


def output(command, env=None):
    """The JSON that the command prints, or None if it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)


def pytorch(args, case, variant, seconds):
    """PyTorch's speed, or None if this variant does not run."""
    part, model = case.split("/")
    out = output([args.python, os.path.join(HERE, "pytorch.py"), part, model, "--threads", str(variant.threads),
                  "--seconds", str(seconds), "--variant", variant.mode], variant.environment())
    if out is None:
        return None
    args.torch = out["torch"]
    return out[UNITS[part]]


def candor(args, case, seconds):
    part, _ = case.split("/")
    out = output([args.binary, "bench", "--json", "--only", case, "--threads", str(args.threads), "--seconds", str(seconds)])
    if out is None:
        sys.exit(f"compare.py: candor bench --only {case} failed; run it by hand to see why")
    args.cpu, args.kernel, args.peak = out["cpu"], out["kernel"], out["peak_gflops"]
    return out[part][0][UNITS[part]], out[part][0].get("share")


def fastest(args, case):
    """The variant that wins two short trials."""
    libraries = [None, *sorted(glob.glob("/usr/lib/*-linux-gnu/openblas-*/"))]
    modes = ["eager", "script"] if case.startswith("train") else ["eager"]
    tried = []
    # the plainest way first, then what may improve on the best so far
    variants = [Variant(t, b.rstrip("/") if b else None, k, "eager")
                for t, b, k in itertools.product(sorted({1, args.threads}), libraries, (False, True))]
    for v in variants:
        speed = pytorch(args, case, v, args.trial)
        if speed is None:
            if v is variants[0]:
                sys.exit(f"compare.py: {args.python} bench/pytorch.py does not run; is PyTorch installed? Name an interpreter with --python")
            continue
        tried.append((speed, v))
        print(f"  {case}: {speed:12,.1f}/s with {v}", file=sys.stderr)
    tried.sort(key=lambda t: -t[0])
    for mode in modes[1:]:
        v = Variant(tried[0][1].threads, tried[0][1].blas, tried[0][1].keep, mode)
        if (speed := pytorch(args, case, v, args.trial)) is not None:
            tried.append((speed, v))
            print(f"  {case}: {speed:12,.1f}/s with {v}", file=sys.stderr)
    finals = sorted(tried, key=lambda t: -t[0])[:3]
    return max(finals, key=lambda t: pytorch(args, case, t[1], 2 * args.trial))[1]


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the head of this file.")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=2, help="of each turn")
    parser.add_argument("--trial", type=float, default=1, help="seconds of each trial of a PyTorch variant")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="at most")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has PyTorch")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        args.binary = os.path.join(folder, "candor")
        subprocess.run(["go", "build", "-o", args.binary, "./cmd/candor"], cwd=os.path.dirname(HERE), check=True)
        for case in args.only:
            variant = fastest(args, case)
            ours, theirs, shares = [], [], []
            for _ in range(args.rounds):
                theirs.append(pytorch(args, case, variant, args.seconds))
                speed, share = candor(args, case, args.seconds)
                ours.append(speed)
                shares.append(share)
            ratios = sorted(a / b for a, b in zip(ours, theirs))
            share = f"{100 * statistics.median(shares):.0f}%" if shares[0] is not None else ""
            rows.append((case, number(statistics.median(ours)), share, number(statistics.median(theirs)),
                         f"**{statistics.median(ratios):.2f}x**", f"{ratios[0]:.2f} to {ratios[-1]:.2f}", str(variant)))
            print("  " + "  ".join(rows[-1]), file=sys.stderr)
    go = subprocess.run(["go", "version"], capture_output=True, text=True).stdout.split()[2]
    print(f"\n{args.cpu}, {args.threads} threads, peak {args.peak:.0f} GFLOP/s, kernels {args.kernel}, {go}; PyTorch {args.torch}; "
          f"medians of {args.rounds} paired rounds of {args.seconds:g} s\n")
    print("| | candor /s | of peak | PyTorch /s | ratio | range | PyTorch with |\n|---|---:|---:|---:|---:|---:|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
