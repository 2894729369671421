"""The parts of a process, one module for each: opened from the settings, closed by the exit stack of the process."""
