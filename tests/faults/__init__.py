"""One invariant, checked while servers, database, brokers, hints, clients and clocks fail.

`world` contains everything that can break, and `faults` breaks it. Meanwhile `senders` do what users do, the
`operations`, and `devices` receive events. `rounds` combines these. Afterwards, `truth` is what the database
contains, and `invariant` checks that every acknowledged operation is stored, that it has reached every device
once and in order, and that devices know what a new one would fetch.
"""
