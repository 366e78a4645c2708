"""Figures: the cost of streams, and the deliveries per second across several processes.

`python -m tests.faults.figures slow
idle
crossing`. They depend on the machine.
"""
