"""The row of uploaded pictures, whose order can be changed."""

from .widget import Widget


class Gallery(Widget):
    """Small pictures in the order of the prompt. Event: arrange {order: [numbers that stay]}."""

    script = "Gallery"
    template = "page/gallery.html"
    emits = ("arrange",)
