"""Labelled set to predictions to metrics to a logged run. Import its modules: `from eval.runner import evaluate`."""
