"""What the server remembers of a visitor does not grow with what the visitor does."""

from datetime import datetime

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from components.server.session_memory import IDLE, Session, Sessions, remember_little
from tests.loops import finished
from tests.serving import IN_PROCESS


@pytest.fixture
def page():
    """A page whose event leaves its output as it is every second time."""
    turns = iter(range(1000))
    with gr.Blocks() as page:
        said, asked = gr.HTML(), gr.Textbox()
        asked.submit(lambda text: gr.skip() if next(turns) % 2 else text, asked, said)
        asked.change(lambda: gr.Textbox(interactive=True), None, asked)
    return page


def use(page: gr.Blocks, visitor: SessionState, times: int = 20) -> int:
    """Send the page's events so many times; return how many components are remembered then."""
    events = {event.targets[0][1]: event for event in page.fns.values()}
    for turn in range(times):
        finished(page.process_api(events["submit"], [f"text {turn}"], state=visitor))
        finished(page.process_api(events["change"], [], state=visitor))
    return len(visitor.blocks_config.blocks)


def test_a_visitor_takes_the_same_room_after_any_number_of_events(page):
    visitor = Session(page)
    assert use(page, visitor) == use(page, visitor) == len(page.blocks)
    assert not visitor.config_values


def test_gradio_still_needs_our_help(page):
    """When this fails, Gradio has mended it, and session_memory.py can lose half of its lines."""
    visitor = SessionState(page)
    assert use(page, visitor) < use(page, visitor)


def test_what_an_event_changed_stays_changed_for_this_visitor_alone(page):
    one, other = Session(page), Session(page)
    box = next(block for block in page.blocks.values() if isinstance(block, gr.Textbox))
    use(page, one, times=1)
    assert one[box._id].interactive is True
    assert one[box._id]._id == box._id
    assert other[box._id].interactive is None


def test_whoever_is_gone_is_forgotten_and_whoever_is_here_is_not(page):
    sessions = Sessions()
    sessions.set_blocks(page)
    here, _ = sessions["here"], sessions["gone"]
    sessions.time_last_used["gone"] = datetime.now() - 2 * IDLE
    sessions.delete_all_expired_state()
    assert list(sessions.session_data) == list(sessions.time_last_used) == ["here"]
    assert sessions["here"] is here


def test_a_launched_page_remembers_little(page):
    page.launch(**IN_PROCESS)
    try:
        remember_little(page)
        assert isinstance(page.app.state_holder["a visitor"], Session)
        assert page.app.state_holder is page.state_holder
    finally:
        page.close(verbose=False)
