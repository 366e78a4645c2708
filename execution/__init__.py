"""Executing documents: parsed, measured, limited and cached; and what their answers look like."""
