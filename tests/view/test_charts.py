import numpy as np

from tests.view.fakes import fake_trace
from tokviz.view.charts import layer_chart, probability_chart, sink_share, time_chart


def test_the_layer_chart_shows_the_share_on_the_image_and_on_sinks():
    trace = fake_trace()
    sinks = np.zeros((4, 6), bool)
    sinks[1:, 5] = True
    figure = layer_chart(trace, sinks)
    share = trace["mass"][..., 1].astype(np.float32).mean((0, 2))
    np.testing.assert_allclose(figure.data[0].y, share, rtol=1e-5)
    np.testing.assert_allclose(figure.data[1].y, share * sink_share(trace, sinks), rtol=1e-5)
    assert figure.data[1].marker.pattern.shape == "x"


def test_without_sinks_there_is_one_row_of_bars():
    assert len(layer_chart(fake_trace(), None).data) == 1


def test_words_in_a_chart_are_text_and_not_markup():
    figure = probability_chart(fake_trace(words=("<b>x</b>", " y", "z")))
    assert figure.layout.xaxis.ticktext[0] == "&lt;b&gt;x&lt;/b&gt;"
    np.testing.assert_allclose(figure.data[0].y, [0.95, 0.675, 0.4], rtol=1e-5)


def test_times_are_stacked_by_phase():
    figure = time_chart(["all", "one"], [{"encode": 1.0, "decode": 2.0}, {"encode": 1.0}])
    assert [bar.name for bar in figure.data] == ["encode", "decode"]
    assert list(figure.data[1].x) == [2.0, 0.0]


def test_shared_steps_are_no_lanes_own_time():
    figure = time_chart(["all"], [{"decode": 2.0, "shared": 1.5}])
    assert {bar.name: list(bar.x) for bar in figure.data} == {
        "decode": [0.5],
        "shared steps": [1.5],
    }
