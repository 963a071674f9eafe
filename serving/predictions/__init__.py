"""What the server answered, kept for later: labels, comparisons, drift."""
