"""Train a small sequential model on a lake: HSTU-style attention over rebuilt histories.

    python examples/train.py                                     # on a small lake it makes up
    python examples/train.py --lake lake --checkpoint run.pt     # again: goes on where it stopped

The attention is the pointwise one of HSTU (Zhai et al., 2024, arXiv 2402.17152): SiLU in place of
softmax, gated by a projection of its input. It predicts the label of a request from the history
before it, on CUDA where there is one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import uih_lake as uih
from uih_lake.workload import Workload

LENGTH, ITEMS, WIDTH = 64, 20_000, 32
TENANT = uih.Tenant(
    name="example",
    context=["label"],
    groups={"history": uih.Group(traits=["item_id", "category"], max_len=LENGTH)},
)


class Attention(nn.Module):
    """One HSTU block: ``x`` [batch, length, width]; ``seen`` [batch, length], False at padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 4 * width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        gate, value, query, key = nn.functional.silu(self.project(x)).chunk(4, dim=-1)
        length = x.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        weight = nn.functional.silu(query @ key.transpose(1, 2)) / length
        weight = weight * (causal & seen[:, None, :])
        return x + self.out(self.norm(weight @ value) * gate)


class Ranker(nn.Module):
    """Items and categories, two attention blocks, one logit per request."""

    def __init__(self) -> None:
        super().__init__()
        self.item = nn.Embedding(ITEMS, WIDTH)
        self.category = nn.Embedding(256, WIDTH)
        self.blocks = nn.ModuleList([Attention(WIDTH), Attention(WIDTH)])
        self.score = nn.Linear(WIDTH, 1)

    def forward(self, history: uih.Jagged) -> Tensor:
        padded = history.to_padded(LENGTH, side="left")  # {trait: [batch, LENGTH]}, newest last
        places = torch.arange(LENGTH, device=history.lengths.device)
        seen = places[None, :] >= LENGTH - history.lengths[:, None]
        x = self.item(padded["item_id"] % ITEMS) + self.category(padded["category"] % 256)
        for block in self.blocks:
            x = block(x * seen[..., None], seen)
        return self.score(x[:, -1]).squeeze(-1)


def made_up(path: Path) -> uih.Lake:
    """A small sealed lake with logged requests."""
    workload = Workload(users=200, mean_events=200, max_events=2_000, requests=4_000)
    lake = uih.Lake.create(path, buckets=8)
    for delivery in workload.appends(2):
        lake.append(delivery)
    lake.seal()
    lake.log(workload.requests_table())
    return lake


def train(lake: uih.Lake, epochs: int, checkpoint: Path | None, stop_after: int | None) -> None:
    """Train for ``epochs``, or for ``stop_after`` steps; where it stands goes to ``checkpoint``."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Ranker().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loader = uih.Loader(lake, TENANT, batch_size=256, device=device, seed=0)
    first, step = 0, 0
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        loader.load_state_dict(state["loader"])
        first, step = state["epoch"], state["step"]
        print(f"going on in epoch {first} after step {step}")
    for epoch in range(first, epochs):
        if epoch != first:
            loader.set_epoch(epoch)
        begin, losses = time.perf_counter(), []
        for batch in loader:
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(batch["history"]), batch.context["label"].float()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
            if step == stop_after:
                break
        print(f"epoch {epoch}: {len(losses)} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}, "
              f"{time.perf_counter() - begin:.1f} s on {device}")  # fmt: skip
        if checkpoint is not None:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            state |= {"loader": loader.state_dict(), "epoch": epoch, "step": step}
            torch.save(state, checkpoint)
        if step == stop_after:
            return


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lake", type=Path, help="a lake; made up where it is not there yet")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--stop-after", type=int, help="stop after so many steps in all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.lake or Path(folder, "lake")
        lake = uih.Lake.open(path) if path.exists() else made_up(path)
        train(lake, options.epochs, options.checkpoint, options.stop_after)


if __name__ == "__main__":
    main()
