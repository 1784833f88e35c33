"""Processes that train one model together: each has a share of every batch, and gradients are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True, slots=True)
class Team:
    """This process's `rank` among `size`. On small matrices two processes of one thread beat one process of two."""

    rank: int = 0
    size: int = 1

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by the mean over the team; every member gets the same bits."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.ravel() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))


ALONE = Team()


def join(rank: int, size: int, meeting: Path) -> Team:
    """Join the team that meets at the file `meeting`, which must be new for each run."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    return Team(rank, size)


def leave() -> None:
    """Leave the team, when all have done their work."""
    dist.barrier()
    dist.destroy_process_group()
