"""Tests of how documents are executed, limited and paid for."""
