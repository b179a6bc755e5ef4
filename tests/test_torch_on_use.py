"""Lists of methods and mitigations are those that a run uses, and need no torch."""

import json
import pickle
import subprocess
import sys

import pytest
import torch

from tokviz.torch_on_use import torch as on_use

LISTS = """
import json, sys
from tokviz import catalog
rows = [catalog.rows(which) for which in ("methods", "mitigations", "analyses")]
print(json.dumps([bool({"torch", "transformers"} & set(sys.modules)), rows]))
"""


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_lists_are_the_same_before_and_after_torch_is_imported():
    needs_torch, before = printed(LISTS)
    assert not needs_torch
    assert [len(rows) > 10 for rows in before] == [True, True, True]
    assert printed(f"import torch, tokviz.models.load_model\n{LISTS}") == [True, before]


def test_its_names_are_those_of_torch():
    assert on_use.Tensor is torch.Tensor
    assert on_use.nn.functional is torch.nn.functional
    assert pickle.loads(pickle.dumps(on_use)) is torch
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        on_use.no_such_name  # noqa: B018


def test_looking_at_it_does_not_import_torch():
    code = """
import inspect, sys
from tokviz.torch_on_use import torch
inspect.unwrap(torch), inspect.getdoc(torch), hasattr(torch, "__path__"), repr(torch)
print(int("torch" in sys.modules))
"""
    assert printed(code) == 0
