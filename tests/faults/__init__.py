"""One invariant, checked while servers, database, brokers, hints, clients and clocks fail.

`world` is what can break, `faults` breaks it, `senders` and `devices` use it meanwhile, `rounds` puts the
three together, and `invariant` says whether every message reached every device once and in order.
"""
