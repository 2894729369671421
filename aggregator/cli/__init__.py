"""The subcommands of the command line, one module or package each, listed in `aggregator/cli/main.py`.

`command` is the base of all of them, and turns settings into flags.

    serve, demo          run the service; demo with three mock exchanges
    doctor               checks everything that the service depends on
    drain, dead_letters  send what waits in outboxes; handle what was refused
    migrate              brings the tables in PostgreSQL up to date
    archive, sql         list and verify the archive; query it and the hot stores
    backtest             runs the paper strategy over stored trades
    record, replay       record an exchange; send the trades of a file to a service
    produce              writes invented trades to a Kafka topic
    symbols, cost        make a symbols file; estimate the cost on AWS
    completion           prints a script for shells
"""
