"""Between which lines of a model card do its measurements stand?"""

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
