-- History. `timestamp` is rounded to the microsecond; `unix_time` is the same time in seconds as the service made it.
CREATE TABLE prices (
    asset text COLLATE "C" NOT NULL,
    timestamp timestamptz NOT NULL,
    price numeric NOT NULL,
    unix_time double precision NOT NULL,
    tier text NOT NULL,
    spread numeric NOT NULL,
    updated_at double precision NOT NULL,
    sources jsonb NOT NULL,
    left_out jsonb NOT NULL,
    PRIMARY KEY (asset, timestamp)
);
