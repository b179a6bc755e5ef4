"""Where methods stand in the surveys' taxonomies, and the lists that are filtered by it."""

import json

import pytest

from tokviz.cli.main import main
from tokviz.errors import InputError
from tokviz.method_filters import FILTERS
from tokviz.reduction.method import METHODS, PLACES
from tokviz.reduction.taxonomy import ACTS, READS, matching, taxonomy


def test_the_filters_have_the_values_that_are_explained():
    assert (FILTERS["where"], FILTERS["reads"], FILTERS["kind"]) == tuple(
        map(tuple, (PLACES, READS, ACTS))
    )


@pytest.mark.parametrize("name", list(METHODS))
def test_what_a_method_reads_agrees_with_its_other_declarations(name):
    found = taxonomy(METHODS[name])
    assert set(found.reads) <= set(READS)
    assert found.query_aware or "question" not in found.reads
    assert (found.reads == ("nothing",)) == (not METHODS[name].needs)


def test_examples_of_each_family_stand_where_the_surveys_put_them():
    known = {
        "fastv": ("language_model", "attention", "select"),
        "fastervlm": ("before", "attention", "select"),
        "prumerge": ("before", "attention", "merge"),
        "divprune": ("before", "features", "select"),
        "tome": ("tower", "features", "merge"),
        "snapkv": ("cache", "attention", "select"),
        "downsample": ("picture", "nothing", "merge"),
    }
    for name, (where, reads, kind) in known.items():
        found = taxonomy(METHODS[name])
        assert (found.where, found.reads[0], found.kind) == (where, reads, kind), name
    assert not taxonomy(METHODS["p_mod"]).training_free
    assert taxonomy(METHODS["fastv"]).training_free


def test_filters_join_and_a_comma_means_either():
    both = {entry.name for entry in matching({"where": "before,tower", "kind": "merge"})}
    assert {"tome", "prumerge"} <= both
    assert "fastv" not in both
    everything = {name: ",".join(values) for name, values in FILTERS.items()}
    assert len(matching(everything)) == len(METHODS)


def test_an_unknown_filter_or_value_is_answered_with_those_that_there_are():
    with pytest.raises(InputError, match="Did you mean 'tower'"):
        matching({"where": "towr"})
    with pytest.raises(InputError, match="no filter 'place'"):
        matching({"place": "tower"})


def test_the_command_line_lists_only_what_fits(capsys):
    assert main(["methods", "--where", "cache", "--query-aware", "no", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["streamingllm"]
    assert rows[0]["taxonomy"]["where"] == "cache"
