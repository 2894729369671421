"""Live prices: the bus of new prices in a process, the fan-out to subscribers, and the queue of one subscriber."""
