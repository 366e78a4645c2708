"""Figures: what streams cost, and how many deliveries a second several processes make.

`python -m tests.faults.figures slow|idle|crossing`. They tell of the machine they are taken on.
"""
