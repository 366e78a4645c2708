"""The rules of each operation: who may do it, which input is valid, what is stored and published."""
