"""Delivery: hints, and the follower that turns log and hints into one ordered stream."""
