"""A price service between clients and exchanges. This is the map: the way of a price, module by module.

From an exchange into history and cache:

    prices/schedule.py                   yields a job when assets of a tier are due (several processes: cluster/jobs.py)
    -> prices/refresher.py               calls every exchange for the assets of the job
    -> exchanges/guarded_exchange.py     applies listing, cool-down, circuit breaker, concurrency limit and rate limiter
    -> exchanges/http.py                 sends the request and bounds the answer
    -> exchanges/venues/binance.py       parses the bytes into tickers; one module for each venue
    -> prices/quorum.py                  waits for a majority of the exchanges, and a moment for the others
    -> prices/price_maker.py             prices each asset of the job, and counts the tickers that were left out
    -> prices/pricing.py                 drops outliers and weights by volume: one price, or the reasons for none
    -> prices/publisher.py               publishes a price only if it is newer, and only once history has it
    -> resilience/group_commit.py        collects concurrent writes into batches
    -> stores/sqlite.py                  writes history; for DynamoDB stores/outbox.py -> stores/dynamodb/table.py,
                                         for PostgreSQL -> stores/postgres/table.py
    -> stores/redis/cache.py             writes the cache that processes share; in a single process stores/memory.py

An exchange that pushes sends its tickers to exchanges/push/feed.py. A pushed ticker of a hot asset makes a price after
50 ms (prices/repricer.py, prices/price_maker.py); the refresher, too, takes tickers from the feed, without a call.

From the cache to clients with an open stream:

    stores/redis/cache.py                publishes the new prices through Redis
    -> cluster/topic_feed.py             receives them in every process
    -> live/topics.py                    passes them to every listener in the process (stores/memory.py publishes here)
    -> stores/two_level_cache.py         is one listener: the local cache
    -> live/fanout.py                    is another: it picks the subscribers of each asset
    -> live/price_topic.py               declares the topic of prices, and makes the JSON of an event
    -> live/subscriber.py                queues batches for one subscriber
    -> api/streams/stream.py             sends them as server-sent events; api/streams/socket.py by WebSocket

From a trade to its features:

    exchanges/push/trade_feed.py         reads the trades that a venue pushes
    api/trades/ingest.py                 is POST /ingest; api/fast_path/ingest.py serves small calls
    -> trades/ingest.py                  reads each record
    -> trades/validation.py              checks it, and makes the trade
    -> trades/event_log/memory.py        holds trades until they are stored
    -> trades/processor.py               takes micro-batches, and acknowledges them in the end
    -> stores/trades/sqlite.py           stores each key once; for DynamoDB stores/trades/outbox.py
    -> trades/features.py                measures a trade in the windows of its asset (trades/windows.py)
    -> trades/topics.py                  declares the topics of trades and features, which live/ serves
    -> cluster/topic_publisher.py        passes them to all processes on one Redis

With a topic of Kafka in the place of memory:

    trades/event_log/kafka/producer.py   writes trades of this process to the topic
    -> trades/event_log/kafka/consumer.py  reads the partitions of this process in a thread
    -> trades/event_log/kafka/log.py     is the log: it gives the processor batches, and commits their offsets
    -> trades/event_log/records.py       parses records, as trades/ingest.py does

From a trade to the archive:

    archive/writes/marked_trades.py      marks the trade's range before the store has it (archive/writes/marks.py)
    -> archive/writes/archiver.py        reads a complete range from the store, page by page
    -> archive/writes/writer.py          writes, checks and publishes its file, and the day's manifest
    -> archive/writes/compaction.py      joins the files of an hour

From a measured trade to a paper position:

    trades/asset_states.py               passes each measured trade to the analytics (trades/analytic.py)
    -> strategy/rules.py                 decides whether it opens or closes a position
    -> strategy/writer.py                stores the position, then its signal, and publishes the signal

From a headline to its correlation with the volume of trades:

    newsfeeds/rss.py                     reads a feed; one module for each kind of source
    -> news/reader.py                    calls it again and again, whatever it does
    -> news/mentions.py                  finds the assets that an article is about
    -> news/desk.py                      scores it (news/vader.py), and joins it with trades of unusual volume
    -> news/join.py                      decides how strong sentiment and volume were together
    -> trades/event_writer.py            stores it, then publishes it on the topic of news/topic.py

From a written price, trade or event to an outlet:

    outlets/sources.py                   stands behind history and the store of trades, and before that of events
    -> outlets/outbox/outbox.py          filters the event for each outlet (outlets/filters.py)
    -> outlets/outbox/queue_file.py      writes it to a file, unless its key was sent within 300 seconds
    -> outlets/outbox/sender.py          sends batches, in the order of each asset (outlets/outbox/lanes.py)
    -> outlets/receivers/sqs_queue.py    is one outlet; outlets/registry.py lists the kinds

From a GET to its answer:

    api/server/protocol.py               reads the request
    -> api/fast_path/get.py              answers if the local cache has the price; nearly every request ends here
    -> api/prices/routes.py              is the route for all other cases
    -> prices/lookup.py                  searches the shared cache, then history; then it asks for a refresh
    -> api/prices/bodies.py              returns the JSON and its ETag
    -> prices/figures_keeper.py          has the 24-hour figures, with details=true; another listener of the bus

From a chart to its bars:

    api/udf/routes.py                    speaks TradingView's protocol
    -> api/reads/bar_reader.py           finds the newest bars before a time
    -> stores/sqlite_bars.py             has them beside the prices; for other histories prices/bar_cache.py in memory

Where to start reading: `models` (the nouns), `ports` (the interfaces between packages), prices/pricing.py (the
arithmetic of a price), runtime/roles.py (what a process consists of). Each package says in its docstring what it holds:

    cli            the subcommands; cli/main.py lists them
    runtime        the composition root: opens what the settings name, and connects it; runtime/parts builds each part
    settings       every setting, its default and its checks
    api            HTTP: routes, streams, keys and limits; api/server is uvicorn with bounds
    cluster        what processes share through Redis: jobs, refresh requests, status, popularity, new prices
    table_streams  the stream of a DynamoDB table that others write, as a source of events for outlets
    outlets        queues, Kafka topics and webhooks that events are sent to (receivers), and the outbox before them
    archive        Parquet files of what was stored, on disk or S3
    newsfeeds      sources of news: feeds, Finnhub, the mock exchanges
    exchanges      calls to exchanges, and feeds that they push
    stores         caches; histories; stores of trades, of events and of positions; outboxes and dead letters
    strategy       paper trading: signals and positions of measured trades, and the backtest
    alerts         rules of users over prices, anomalies and headlines: evaluation, and where they are kept
    anomalies      unusual trades: a model of each asset, in a worker process
    news           articles: their assets, their sentiment, and the volume that moved with them
    trades         parser, event log, processor, windows and features of trades
    live           topics inside a process: the bus, the fan-out, the subscribers
    prices         tiers, schedule, refresh, arithmetic, lookup
    resilience     circuit breaker, single flight, group commit, backoff
    observability  logs, traces and metrics
    libraries      which extras are installed, and the sessions of AWS's clients

A package imports only packages below it in this list; `lint-imports` checks that, by the contracts in pyproject.toml.
"""
