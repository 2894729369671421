"""The analytics of a process that processes trades, their routes, and the alerts on what they find."""
