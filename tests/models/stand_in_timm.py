"""A test's tower in place of timm's MobileNetV5, which needs torchvision (no CPU wheel fits here).

It has nothing of MobileNetV5 but its form: pictures in, a map [b, d, rows, cols] out, no layers of
tokens and no attention that is seen. transformers' own `TimmWrapperModel` builds, saves and loads
it. `test_gemma3n_tower.py` runs the real tower where timm can be imported.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
from torch import nn
from transformers.models.timm_wrapper import modeling_timm_wrapper
from transformers.utils import import_utils, is_timm_available

NAME = "a_tests_tower"
"""As config.json names the architecture."""


class TestsTower(nn.Module):
    """Squares of `patch` pixels, each seen by one place of the map alone."""

    __test__ = False

    def __init__(self, width: int = 32, patch: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, patch, patch)
        self.last = nn.Conv2d(width, width, 1)

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.last(nn.functional.gelu(self.stem(pixels)))


def create_model(architecture: str, pretrained: bool, num_classes: int, **sizes: int) -> nn.Module:
    """timm's function of this name."""
    if architecture != NAME:
        raise RuntimeError(f"Unknown model ({architecture})")
    return TestsTower(**sizes)


def put_in_place() -> None:
    """Let transformers take this for timm where the real package is not installed."""
    if is_timm_available():
        import timm  # noqa: PLC0415

        plain = timm.create_model

        def either(architecture: str, **given) -> nn.Module:
            make = create_model if architecture == NAME else plain
            return make(architecture, **given)

        modeling_timm_wrapper.timm = ModuleType("timm")
        modeling_timm_wrapper.timm.create_model = either
        modeling_timm_wrapper.timm.__version__ = timm.__version__
        return
    stand_in = ModuleType("timm")
    stand_in.__spec__ = ModuleSpec("timm", None)
    stand_in.__version__ = "0"
    stand_in.create_model = create_model
    modeling_timm_wrapper.timm = sys.modules["timm"] = stand_in
    _, message = import_utils.BACKENDS_MAPPING["timm"]
    import_utils.BACKENDS_MAPPING["timm"] = (lambda: True, message)


put_in_place()
