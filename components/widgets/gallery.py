"""The row of uploaded pictures, whose order can be changed."""

from .widget import Widget


class Gallery(Widget):
    """Small pictures in the order of the prompt, or the frames of a film.

    Events: arrange {order: [numbers that stay]}; sample {how, text}: other frames of the film.
    """

    script = "Gallery"
    template = "page/gallery.html"
    emits = ("arrange", "sample")
