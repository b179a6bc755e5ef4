"""The page: one file per panel and per custom widget; their scripts and styles lie in assets/."""
