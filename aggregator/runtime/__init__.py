"""The composition root: the only package that knows which adapter is behind which port.

`lifecycle` runs a process from its start to its exit code, `workers` runs several on one port, whose parent imports
`fork_server`. `roles` says what the processes of each role open, in which order, from `parts`: `build_refresher` builds
the half that calls exchanges, `build_api` the half that answers, `cluster` the connection to other processes,
`exchanges` opens those that the settings name. `stores`, `trade_stores` and `event_stores` open the stores, by the
`attempts` of a start; `catalog` reads the symbols file. `process` has what all parts of a process share. `monitors`
watch the process itself, `progress` shows its warm-up.
"""
