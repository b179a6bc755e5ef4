"""Figures for a paper of what the page shows: what a browser asks for, and the files."""
