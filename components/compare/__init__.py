"""Compare: methods beside the full answer, the keep sweep, choosing tokens by hand."""
