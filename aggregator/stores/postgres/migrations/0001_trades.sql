-- Trades, each key once. Names are compared by their bytes, so that pages are in the order that the service promises.
CREATE TABLE trades (
    asset text COLLATE "C" NOT NULL,
    timestamp timestamptz NOT NULL,
    venue text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    price numeric NOT NULL,
    volume numeric,
    side text,
    sequence_number bigint,
    late boolean NOT NULL,
    PRIMARY KEY (asset, timestamp, venue, id)
);
