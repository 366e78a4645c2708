"""Sabotage: the product with one of its parts broken or held up on purpose, by name.

`python -m tests.faults.sabotage NAME... -- serve` breaks the named parts in its own process and then does as
`messenger serve`. The product knows nothing of it.
"""
