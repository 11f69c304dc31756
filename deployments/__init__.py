"""Data for running corpusmith: presets, deployments, images. No logic."""
