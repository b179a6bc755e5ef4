"""Charts are drawn by Gradio, so the server puts them into the reader's language."""

import types

import pytest
from gradio.context import LocalContext

from components.chart_language import for_reader, in_language
from components.i18n import KEPT, reader_language
from tests.view.fakes import fake_trace
from tokviz.analysis import Result
from tokviz.view.charts import layer_chart, probability_chart, time_chart
from tokviz.view.result_chart import result_chart


@pytest.fixture
def asked():
    """Sets the headers of the request that is being handled."""

    def ask(**headers):
        request = types.SimpleNamespace(headers=headers)
        tokens.append(LocalContext.request.set(request))

    tokens = []
    yield ask
    LocalContext.request.set(None)


def test_the_language_is_the_chosen_one_then_the_browsers(asked):
    assert reader_language() == "en"
    asked(**{"accept-language": "zh-CN,en;q=0.8"})
    assert reader_language() == "zh"
    asked(**{"accept-language": "zh-CN,en;q=0.8", "cookie": f"a=b; {KEPT}=de"})
    assert reader_language() == "de"
    asked(**{"accept-language": "fr", "cookie": f"{KEPT}=<script>"})
    assert reader_language() == "en"


def test_titles_axes_series_and_hover_texts_are_translated(asked):
    chart = layer_chart(fake_trace(6, 6))
    asked(**{"accept-language": "zh"})
    shown = for_reader(chart)
    assert shown.layout.title.text == "每层对图像的注意力"
    assert shown.layout.xaxis.title.text == "层"
    assert shown.data[0].hovertemplate == "第 %{x} 层：%{y:.1%}<extra>在图像上</extra>"
    assert chart.layout.title.text == "Attention on the image, per layer", "it is kept in English"
    times = in_language(time_chart(["all tokens", "FastV"], [{"prefill": 1.0}] * 2), "de")
    assert list(times.data[0].y) == ["alle Token", "FastV"]


def test_words_of_an_answer_stay_as_they_are_and_as_escaped():
    trace = fake_trace(6, 6, words=("layer", "<b>nothing</b>", "kept"))
    shown = in_language(probability_chart(trace), "de")
    assert list(shown.data[0].customdata) == ["layer", "&lt;b&gt;nothing&lt;/b&gt;", "kept"]
    assert list(shown.layout.xaxis.ticktext) == list(shown.data[0].customdata)


def test_a_title_of_analysis_and_array_is_translated_in_its_parts():
    trace = fake_trace(6, 6)
    values = trace["attention"][:, :, 0]
    result = Result(values, "t l", title="Attention rollout", meaning="m", not_meaning="x")
    shown = in_language(result_chart(result, trace, "result"), "es")
    assert shown.layout.xaxis.title.text in ("capa", "token de la respuesta")
