"""What is only to be measured on a GPU of NVIDIA's: python benchmarks/gpu.py. Without one it says what it leaves out.

Training steps of small networks as one CUDA graph (which ``lightseq fit`` does not make: here is what it would bring),
beside the same steps one kernel after another and the roofline; one
kernel for all weights beside one for each; where ``lightseq fit`` waits for the device; and the parallel scan beside
the sequential one. None of it is in a table of the README yet: it has not been run on a GPU.
"""

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from pytorch_lightning import Callback
from runs import TOKENS, machine, network
from torch import nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from lightseq import cli
from lightseq.backbones.scan import Kernel, doubling, scan_with, sequential
from lightseq.model import SequenceModel

ROWS, WINDOW, REPEATS = 64, 64, 20
NETWORKS = (("lstm", 128, 1), ("lstm", 256, 2), ("gru", 128, 1), ("mingru", 128, 2))
WINDOWS = (256, 1024, 4096, 16384)
WAITS = ("aten::_local_scalar_dense", "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
LOG_EVERY = 50


def step_of(model: SequenceModel, fused: bool) -> Callable[[], None]:
    """An update in bf16 on tokens that stay where they are, the state carried in place: what a graph can replay."""
    device = model.head.weight.device
    tokens = torch.randint(len(TOKENS), (ROWS, WINDOW + 1), device=device)
    state = tuple(part.clone() for part in model.initial_state(ROWS))
    on_gpu = device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused, foreach=False, capturable=on_gpu)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            logits, after = model(tokens[:, :-1], state)
        optimizer.zero_grad(set_to_none=False)
        functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        for kept, new in zip(state, after, strict=True):
            kept.copy_(new.detach())

    return step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The same work as one CUDA graph. It must have run before, on a stream of its own, which makes what it keeps."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def seconds(work: Callable[[], Any], times: int = 10) -> float:
    """Of one call, the median of several stretches."""
    work()
    found = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        began = perf_counter()
        for _ in range(times):
            work()
        torch.cuda.synchronize()
        found.append((perf_counter() - began) / times)
    return median(found)


def roofline() -> float:
    """Floating-point operations a second in bf16, of a product large enough to keep the device busy."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 2 * 8192**3 / seconds(lambda: a @ a)


def graphs() -> None:
    """Training steps."""
    peak, tokens = roofline(), ROWS * WINDOW
    print(f"\ntraining steps of {ROWS} x {WINDOW} tokens, tokens a second")
    print(f"the roofline is a large product of matrices: {peak / 1e12:.0f} TFLOP/s")
    print("| network | a kernel a weight | one kernel for all | one graph | graph : one kernel | of the roofline |")
    print("|---|---|---|---|---|---|")
    for backbone, hidden, layers in NETWORKS:
        model = network(backbone, hidden, layers).to("cuda")
        weights = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "embedding" not in name)
        many = tokens / seconds(step_of(model, False))
        one = tokens / seconds(step_of(model, True))
        graph = tokens / seconds(captured(step_of(model, True)))
        share = graph * 6 * weights / peak  # two operations a weight forward, four backward
        rates = f"{many:,.0f} | {one:,.0f} | {graph:,.0f} | {graph / one:.2f} | {share:.2%}"
        print(f"| {backbone} {hidden} x {layers} | {rates} |", flush=True)


class Waits(Callback):
    """Prints where a training waits for the device: over the updates between two that log, and over one that does."""

    def __init__(self) -> None:
        self.profile: Any = None
        self.found: list[dict[str, int]] = []

    def on_train_batch_start(self, trainer, system, batch, batch_idx):
        done = trainer.global_step
        if done < LOG_EVERY or done % LOG_EVERY not in (1, LOG_EVERY - 1):
            return
        if self.profile is not None:
            self.profile.stop()
            counts = {event.key: event.count for event in self.profile.key_averages()}
            self.found.append({name: counts.get(name, 0) for name in WAITS})
        self.profile = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
        self.profile.start()

    def on_train_end(self, trainer, system):
        self.profile.stop()
        print(f"\nwaits of `lightseq fit` over {LOG_EVERY - 2} updates without a log, and over 2 of which one logs")
        print("| | without | with |\n|---|---|---|")
        for name in WAITS:
            without, within = ([count[name] for count in self.found[place::2]] for place in (0, 1))
            print(f"| {name} | {without} | {within} |")


def waits() -> None:
    """``lightseq fit`` under the profiler."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["fit", "--config", "dinos", "--config", "trainer/gpu", "--trainer.callbacks+=gpu.Waits"]
        words += ["--trainer.log_every_n_steps", str(LOG_EVERY), "--trainer.max_steps", str(4 * LOG_EVERY)]
        words += ["--trainer.limit_val_batches", "0", "--sampling.every_n_steps", "0", "--last.every_n_steps", "0"]
        if status := cli.main([*words, "--trainer.default_root_dir", folder]):
            sys.exit(status)


def scans() -> None:
    """Both passes of a linear recurrence."""
    print("\nboth passes of a linear recurrence, 8 rows, 256 units, milliseconds")
    print("| window | sequential | doubling | times |\n|---|---|---|---|")
    for window in WINDOWS:
        shape, on = (8, window, 256), {"device": "cuda", "requires_grad": True}
        values = torch.rand(shape, **on), torch.randn(shape, **on), torch.zeros(8, 256, **on)
        took = [1e3 * seconds(partial(both_passes, kernel, *values), times=1) for kernel in (sequential, doubling)]
        print(f"| {window:,} | {took[0]:.2f} | {took[1]:.2f} | {took[0] / took[1]:.1f} |", flush=True)


def both_passes(kernel: Kernel, *values: torch.Tensor) -> None:
    scan_with(kernel, *values).sum().backward()


def main() -> None:
    print(machine())
    if not torch.cuda.is_available():
        print("no GPU: CUDA graphs, fused optimiser, waits for the device and parallel scans are left out")
        return
    for part in (graphs, scans, waits):
        part()


if __name__ == "__main__":
    main()
