"""Tests of delivery: following, sharing, and the relays."""
