"""Figures for a paper: views, rows of lanes, boards and curves as PDF, SVG and PNG.

Drawn with matplotlib at the size at which they are printed: a column (3.3 in) or a page (6.9 in),
text of 7 to 8 points. Texts and lines are vectors; the picture under a map is an image.
"""

from tokviz.view.paper.board import BoardFigure, board_figure
from tokviz.view.paper.chart import chart_figure
from tokviz.view.paper.lanes import LanePanel, lanes_figure
from tokviz.view.paper.sheet import FORMATS, WIDTHS, saved
from tokviz.view.paper.view import ViewPanel, view_figure

__all__ = [
    "FORMATS",
    "WIDTHS",
    "BoardFigure",
    "LanePanel",
    "ViewPanel",
    "board_figure",
    "chart_figure",
    "lanes_figure",
    "saved",
    "view_figure",
]
