"""`cnnkit probe`: why one wins. What the kept networks of a study do with moved, worn or hidden images.

Also where in the network information goes. All of it is measured without training again.
May import: `cnnkit.comparison` and the layers below it.
"""
