"""Delivery: hints, and following an inbox as one ordered sequence of its log and the hints."""
