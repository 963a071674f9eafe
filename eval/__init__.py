"""Labelled set to predictions to metrics to a logged run. Import from its modules: `from eval.runner import evaluate`."""
