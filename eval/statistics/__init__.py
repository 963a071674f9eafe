"""Whether a difference is one: intervals, resamples, paired tests, power. What is compared is known elsewhere."""
