"""Measuring speed: the messenger beside a floor, in turns, as a ratio."""
