-- Example data, made by version 0.2.0 (commit 4d5d865): six invented events for two outlets, of which one was delivered and
-- one became a dead letter. `sqlite3` dumped the file. tests/outlets/outbox/test_upgrade.py reads it.
BEGIN TRANSACTION;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    refused_at REAL NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "dead_letters" VALUES(1796040928756173005,'btcusdt',5.0,1.0,'a reason made up for this file','{"outlet":"desk","topic":"prices","asset":"btcusdt","key":"prices btcusdt 5","timestamp":5.0,"tier":"hot","body":{"asset":"btcusdt","number":5},"retries":0}');
CREATE TABLE ended (outlet TEXT PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE seen (digest TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "seen" VALUES('874d7b5c1124e4d7',1796040928755979612);
INSERT INTO "seen" VALUES('367d4a03cb0815ab',1796040928756086192);
INSERT INTO "seen" VALUES('f6785308d11ac62b',1796040928756102012);
INSERT INTO "seen" VALUES('fe79edbeb124712f',1796040928756112361);
INSERT INTO "seen" VALUES('04ff8b89b43a3445',1796040928756173005);
INSERT INTO "seen" VALUES('d2edbc27876f229f',1796040928756183545);
CREATE TABLE waiting_kept (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    outlet TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "waiting_kept" VALUES(1796040928756086192,'btcusdt',2.0,'desk','367d4a03cb0815ab','{"outlet":"desk","topic":"signals","asset":"btcusdt","key":"signals btcusdt 2","timestamp":2.0,"tier":"hot","body":{"asset":"btcusdt","number":2},"retries":0}');
CREATE TABLE waiting_prices (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    outlet TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "waiting_prices" VALUES(1796040928755979612,'btcusdt',1.0,'desk','874d7b5c1124e4d7','{"outlet":"desk","topic":"prices","asset":"btcusdt","key":"prices btcusdt 1","timestamp":1.0,"tier":"hot","body":{"asset":"btcusdt","number":1},"retries":0}');
INSERT INTO "waiting_prices" VALUES(1796040928756183545,'btcusdt',1.0,'other','d2edbc27876f229f','{"outlet":"other","topic":"prices","asset":"btcusdt","key":"prices btcusdt 1","timestamp":1.0,"tier":"hot","body":{"asset":"btcusdt","number":1},"retries":0}');
CREATE TABLE waiting_rest (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    outlet TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "waiting_rest" VALUES(1796040928756102012,'btcusdt',3.0,'desk','f6785308d11ac62b','{"outlet":"desk","topic":"trades","asset":"btcusdt","key":"trades btcusdt 3","timestamp":3.0,"tier":"hot","body":{"asset":"btcusdt","number":3},"retries":0}');
CREATE INDEX waiting_kept_by_outlet ON waiting_kept (outlet);
CREATE INDEX waiting_rest_by_outlet ON waiting_rest (outlet);
CREATE INDEX waiting_prices_by_outlet ON waiting_prices (outlet);
CREATE INDEX seen_by_at ON seen (at);
COMMIT;
PRAGMA user_version = 301;
