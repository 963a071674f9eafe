"""Runs side by side, in groups and over time, with thresholds and notifications."""
