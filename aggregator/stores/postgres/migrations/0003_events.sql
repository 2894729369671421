-- Events of topics, and paper positions, of which an asset has at most one that is open.
CREATE TABLE events (
    topic text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    unix_time double precision NOT NULL,
    id text COLLATE "C" NOT NULL,
    body json NOT NULL,
    timestamp timestamptz GENERATED ALWAYS AS (to_timestamp(unix_time)) STORED,
    PRIMARY KEY (topic, asset, unix_time, id)
);
CREATE INDEX events_by_age ON events (unix_time);
CREATE TABLE positions (
    id text COLLATE "C" PRIMARY KEY,
    asset text COLLATE "C" NOT NULL,
    exit_time double precision,
    body json NOT NULL
);
CREATE UNIQUE INDEX open_positions ON positions (asset) WHERE exit_time IS NULL;
CREATE INDEX closed_positions ON positions (exit_time, id) WHERE exit_time IS NOT NULL;
CREATE INDEX closed_positions_by_asset ON positions (asset, exit_time, id) WHERE exit_time IS NOT NULL;
