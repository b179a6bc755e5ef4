"""A slip in any name is answered with the name that was probably meant."""

import pytest

import tokviz
from tokviz.errors import InputError
from tokviz.names import did_you_mean


@pytest.mark.parametrize(
    ("registry", "slip", "meant"),
    [
        ("METHODS", "fastvlm", "fastervlm"),
        ("METHODS", "Faster-VLM", "fastervlm"),
        ("METHODS", "PruMerge+", "prumerge"),
        ("ANALYSES", "atention", "attention"),
        ("MITIGATIONS", "PAI", "pai"),
        ("FAMILIES", "qwen2_v", "qwen2_vl"),
    ],
)
def test_every_table_of_names(registry, slip, meant):
    with pytest.raises(InputError, match=f"Did you mean '{meant}'"):
        getattr(tokviz, registry)[slip]


def test_options_and_choices():
    with pytest.raises(InputError, match="Did you mean 'layer'"):
        tokviz.METHODS["fastervlm"].check_options({"layr": 3})
    with pytest.raises(InputError, match="one of code, paper, got 'papr'. Did you mean 'paper'"):
        tokviz.METHODS["flowcut"].check_options({"variant": "papr"})


def test_a_name_like_no_other_gets_no_guess():
    assert did_you_mean("zzzz", ["fastv"]) == ""
    with pytest.raises(InputError, match="there is no method .7."):
        tokviz.METHODS[7]
