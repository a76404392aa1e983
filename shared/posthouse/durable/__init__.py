"""Files made durable on the disk of one machine: blocking, Linux, no loop and no logs.

Light enough to be all that a process of its own is made of (`posthouse.durable.scribe`).
"""
