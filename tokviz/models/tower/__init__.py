"""The vision tower: run once for all lanes, observed, and reduced inside."""
