"""Gold labels that look wrong."""
