"""The optimizers: Muon for matrices, AdamW for all other weights, one cosine schedule."""

import math

import torch
from torch import Tensor, nn


def orthogonalise(update: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of stacked matrices [m, rows, columns] near 1.

    Newton-Schulz iteration of Muon (Keller Jordan, 2024) with its quintic coefficients.
    """
    tall = update.shape[-2] > update.shape[-1]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates for weight matrices, stacked by shape."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.05):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Move all matrices; updates are scaled to the root mean square of AdamW's."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    shapes.setdefault(param.shape, []).append(param)
            for shape, params in shapes.items():
                updates = torch.stack([self.momentum_of(p, group["momentum"]) for p in params])
                scale = 0.2 * math.sqrt(max(shape))
                for param, update in zip(params, orthogonalise(updates), strict=True):
                    param.mul_(1 - group["lr"] * group["weight_decay"])
                    param.add_(update, alpha=-group["lr"] * scale)

    def momentum_of(self, param: Tensor, momentum: float) -> Tensor:
        """Update a parameter's Nesterov momentum and return the step it asks for."""
        buffer = self.state[param].setdefault("buffer", torch.zeros_like(param))
        buffer.lerp_(param.grad, 1 - momentum)
        return param.grad.lerp(buffer, momentum)


def build_optimizers(modules: list[nn.Module], lr: float) -> list[torch.optim.Optimizer]:
    """Split parameters: hidden matrices go to Muon; embeddings, read-outs, gains to AdamW."""
    matrices, others, seen = [], [], set()
    for module in modules:
        for name, param in module.named_parameters():
            if not param.requires_grad or id(param) in seen:
                continue
            seen.add(id(param))
            hidden = param.ndim == 2 and "layers." in name
            (matrices if hidden else others).append(param)
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, lr=lr))
    made.append(torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.02))
    return made


def rate(step: int, steps: int, warmup: int) -> float:
    """Share of the peak learning rate: linear warm-up, then cosine to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
