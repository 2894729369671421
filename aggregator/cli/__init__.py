"""The subcommands of the command line, one module or package each, listed in `aggregator/cli/main.py`.

`command` has what all of them have in common, and turns settings into flags. `serve` runs the service, `demo` the
service with three mock exchanges. `doctor` checks everything the service depends on. `drain` and `dead_letters` handle
the outbox in front of DynamoDB or PostgreSQL, `migrate` brings the tables in PostgreSQL up to date, `record` records an
exchange, `symbols` makes a symbols file, `sql` queries archive and hot stores.
"""
