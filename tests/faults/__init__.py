"""One invariant, checked while servers, database, brokers, hints, clients and clocks fail.

`world` contains everything that can break, and `faults` breaks it. Meanwhile `senders` and `devices` use it.
`rounds` combines the three, and `invariant` checks that every message reached every device once and in order.
"""
