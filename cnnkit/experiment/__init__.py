"""One run: the run directory, its checkpoints, and the walk from a configuration to a result.

May import: `cnnkit.training` and the layers below it.
"""
