"""The parts of scripts/torture. Each try of a part follows from the seed and its number alone."""
