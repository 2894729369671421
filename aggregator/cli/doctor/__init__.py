"""`aggregator doctor`: looks at everything the service depends on, by the service's own means, and says what to mend.

`machine`, `stores` and `exchanges` know what to look at, `examination` looks at one after the other within a bound,
`report` says what was found. Nothing is left behind: what has to be written to be tried is taken away again.
"""
