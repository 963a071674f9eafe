"""The champion in a container image of its own, built and run with a Docker engine."""
