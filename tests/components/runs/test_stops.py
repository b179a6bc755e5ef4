from components.runs.stops import Stops


def test_stopping_reaches_only_the_sessions_own_run():
    stops = Stops()
    with stops.run("me") as mine, stops.run("you") as yours:
        assert stops.stop("me")
        assert mine.is_set()
        assert not yours.is_set()
        assert not stops.stop("nobody")


def test_a_new_run_stops_the_sessions_older_one():
    stops = Stops()
    with stops.run("me") as old, stops.run("me") as new:
        assert old.is_set()
        assert not new.is_set()
    assert not stops.running


def test_when_the_server_stops_every_run_is_told():
    stops = Stops()
    with stops.run("me") as mine, stops.run("you") as yours:
        stops.stop_all()
        assert mine.is_set()
        assert yours.is_set()


def test_a_flag_is_forgotten_with_its_run():
    stops = Stops()
    for number in range(10):
        with stops.run(str(number)):
            assert stops.running == 1
    assert not stops.stop("9")


def test_the_end_of_an_older_run_leaves_the_newer_ones_flag():
    """A stop still reaches the run that goes on."""
    stops = Stops()
    older = stops.run("me")
    older.__enter__()
    with stops.run("me") as newer:
        older.__exit__(None, None, None)
        assert stops.stop("me")
        assert newer.is_set()
    assert not stops.running
