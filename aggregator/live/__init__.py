"""Topics inside a process: the bus of new values, the fan-out to subscribers, and the queue of one subscriber."""
