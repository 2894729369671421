"""Headlines, their sentiment, and the volume that they moved."""
