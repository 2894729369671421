-- From when each archiver needs trades to be kept: its archive may lack those. Trades are deleted by the minimum.
CREATE TABLE archivers (
    archiver text PRIMARY KEY,
    keep_from timestamptz NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
