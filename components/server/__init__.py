"""The web server around the page: settings, limits, the queue, uploads, start and stop."""
