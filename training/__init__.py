"""Labelled sets to a local model on disk. Import from its modules: `from training.train import train`."""
