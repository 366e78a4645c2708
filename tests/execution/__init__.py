"""Tests of how documents are executed, limited and charged for."""
