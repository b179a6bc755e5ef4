"""The custom widgets: a template and a script each, fed by one JSON value."""
