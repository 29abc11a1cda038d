"""Train a small sequential model on a lake: HSTU-style attention over rebuilt histories.

    python examples/train.py                                     # on a small lake it makes up
    python examples/train.py --lake lake --checkpoint run.pt     # again: goes on where it stopped

The attention is the pointwise one of HSTU (Zhai et al., 2024, arXiv 2402.17152): SiLU in place of
softmax, gated by a projection of its input. It predicts the label of a request from the history
before it, on CUDA where there is one. A lake of your own has events with `item_id` and `category`,
integers, and requests with `label`, 0 or 1.
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
        seen = history.padding_mask(LENGTH, side="left")  # [batch, LENGTH]
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


class Run:
    """A model in training, and where it stands."""

    def __init__(self, lake: uih.Lake) -> None:
        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Ranker().to(self.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3)
        self.loader = uih.Loader(lake, TENANT, batch_size=256, device=self.device, seed=0)
        self.steps = 0

    def step(self, batch: uih.Batch) -> float:
        """Learn from one batch; its loss before that."""
        wanted = batch.context["label"].float()
        loss = nn.functional.binary_cross_entropy_with_logits(self.model(batch["history"]), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint; one that is killed while writing leaves the one before."""
        parts = {"model": self.model, "optimizer": self.optimizer, "loader": self.loader}
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({**state, "steps": self.steps}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=self.device)
        for name in ("model", "optimizer", "loader"):
            getattr(self, name).load_state_dict(state[name])
        self.steps = state["steps"]
        print(f"going on in epoch {self.loader.epoch} after step {self.steps}")


def train(run: Run, epochs: int, checkpoint: Path | None, every: int, stop: int | None) -> None:
    """Train up to ``epochs``, or ``stop`` steps; with a checkpoint ``every`` so many steps."""
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint)
    while run.loader.epoch < epochs and run.steps != stop:
        epoch, begin, losses = run.loader.epoch, time.perf_counter(), []
        for batch in run.loader:
            losses.append(run.step(batch))
            if checkpoint is not None and run.steps % every == 0:
                run.save(checkpoint)
            if run.steps == stop:
                break
        if losses:
            print(f"epoch {epoch}: {len(losses)} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}, "
                  f"{time.perf_counter() - begin:.1f} s on {run.device}")  # fmt: skip
        if checkpoint is not None:
            run.save(checkpoint)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lake", type=Path, help="a lake; made up where it is not there yet")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--save-every", type=int, default=10, help="steps between checkpoints")
    parser.add_argument("--stop-after", type=int, help="stop after so many steps in all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.lake or Path(folder, "lake")
        lake = uih.Lake.open(path) if path.exists() else made_up(path)
        run = Run(lake)
        train(run, options.epochs, options.checkpoint, options.save_every, options.stop_after)


if __name__ == "__main__":
    main()
