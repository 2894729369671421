"""The first call in a child of `workers`, which is a new interpreter.

It imports nothing of ours, so that it runs before any of our modules is imported.
"""

import gc
import pickle
import socket


def start(pickled: bytes, listener: socket.socket | None) -> None:
    """Call a pickled function with the socket; its modules are imported without the garbage collector.

    Nothing that the imports make is ever garbage, and collections that look at it would take a fifth of the start, as
    in `aggregator/__main__.py`.
    """
    gc.disable()
    work = pickle.loads(pickled)  # noqa: S301  # it comes from the parent, as all arguments of a child do
    gc.freeze()
    gc.enable()
    work(listener)
