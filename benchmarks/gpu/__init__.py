"""Everything that only a card can tell, measured on one by one command, and kept as JSON.

    python -m benchmarks.gpu [--minutes 25]       on the machine with the card
    python -m benchmarks.gpu show FILE            the tables for benchmarks/README.md
    python -m benchmarks.gpu --rehearse           every part with small sizes on the CPU

Parts run in the order of their worth. Each row is on the disk as soon as it was measured, and the
same command again measures what is missing: a rented hour that ends early keeps what was done.
"""
