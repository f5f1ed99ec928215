"""What trackers are told of a run or a study, and the processes that bring it to them.

A process of its own, `taker`, imports a tracker's library and never torch.
May import: `cnnkit.report` and the layers below it.
"""
