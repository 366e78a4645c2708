"""Tests of delivery: following inboxes, sharing events, and the relays."""
