"""One request from the browser to a finished run, and what is remembered of it."""
