"""Local servers of venues, written from the venues' documentation: one file each, `base` and `sockets` for all.

No answer here was captured from a venue: each file names the pages from which its shapes, errors and limits come.
`servers` finds the server and the feed of each venue in aggregator/exchanges/registry.py.
"""
