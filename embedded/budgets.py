"""Three simple rules that keep some of the visual tokens, for accuracy curves.

Random, [CLS] attention (FasterVLM: keep the patches with most [CLS] attention) and diversity
(DivPrune: keep tokens that are far from each other). tokviz has the complete methods; these only
show that removing tokens hurts and that saliency helps.
"""

import torch
from torch import Tensor
from torch.nn import functional


def keep_random(features: Tensor, cls: Tensor, count: int) -> Tensor:
    """Keep random tokens, drawn from a fixed seed."""
    score = torch.rand(cls.shape, generator=torch.Generator().manual_seed(0))
    return score.topk(count, dim=1).indices.sort(1).values


def keep_cls(features: Tensor, cls: Tensor, count: int) -> Tensor:
    """Keep the tokens that [CLS] attends to most."""
    return cls.topk(count, dim=1).indices.sort(1).values


def keep_diverse(features: Tensor, cls: Tensor, count: int) -> Tensor:
    """Keep tokens one by one, each as far (cosine) as possible from those kept."""
    unit = functional.normalize(features, dim=-1)
    distance = 1 - unit @ unit.mT
    rows = torch.arange(len(features))
    # The first is the one whose nearest neighbour is farthest; 2 hides each token from itself.
    to_others = distance + 2 * torch.eye(distance.shape[1])
    chosen = [to_others.amin(-1).argmax(-1)]
    nearest = distance[rows, chosen[0]]
    while len(chosen) < count:
        chosen.append(nearest.argmax(-1))
        nearest = torch.minimum(nearest, distance[rows, chosen[-1]])
        nearest[rows, chosen[-1]] = -1
    return torch.stack(chosen, 1).sort(1).values


RULES = {"random": keep_random, "[CLS] attention": keep_cls, "diversity": keep_diverse}
