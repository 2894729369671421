"""Live prices: topics inside a process, the fan-out to subscribers, and the queue of one subscriber."""
