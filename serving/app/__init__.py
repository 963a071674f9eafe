"""The production server: `news-classifier serve app`."""
