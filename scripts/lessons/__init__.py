"""The parts of `scripts/lesson`: one claim of the lesson, or two, in each file."""
