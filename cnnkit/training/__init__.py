"""torch at work: devices, batches, optimizers, the loop over epochs, evaluation.

Writes no file and prints nothing; progress is told as events.
May import: `cnnkit.nn`, `cnnkit.data` and the layers below them.
"""
