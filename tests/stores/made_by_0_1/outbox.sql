-- Made by version 0.1 (commit 035719f): the outbox after five prices of an invented market, of which one became a dead
-- letter. `sqlite3` dumped the file. tests/stores/test_upgrade.py reads it.
PRAGMA user_version = 1;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    refused_at REAL NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "dead_letters" VALUES(1796015934217913228,'eigenusdt',1796013740.417,1796013741.417,'a reason made up for this file','{"asset":"eigenusdt","price":0.8445704112,"timestamp":1796013740.417,"tier":"medium","spread":0.0009722102374,"updated_at":1796013740.784311,"sources":[{"exchange":"exchange1","price":0.8449685,"volume":23339605.8,"timestamp":1796013740.355,"weight":0.397410,"clock":"exchange"},{"exchange":"exchange2","price":0.8446241,"volume":11913164.1,"timestamp":1796013740.395,"weight":0.202849,"clock":"exchange"},{"exchange":"exchange3","price":0.8441474,"volume":23476537.4,"timestamp":1796013740.417,"weight":0.399741,"clock":"exchange"}],"left_out":[]}');
CREATE TABLE waiting_cold (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE waiting_hot (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE waiting_medium (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "waiting_medium" VALUES(1796015934217927985,'eigenusdt',1796013761.828,'{"asset":"eigenusdt","price":0.8451022115,"timestamp":1796013761.828,"tier":"medium","spread":0.0002997270585,"updated_at":1796013761.918318,"sources":[{"exchange":"exchange1","price":0.8452147,"volume":23311331.5,"timestamp":1796013761.809,"weight":0.396985,"clock":"exchange"},{"exchange":"exchange2","price":0.8449614,"volume":11935699.1,"timestamp":1796013761.828,"weight":0.203262,"clock":"exchange"},{"exchange":"exchange3","price":0.8450621,"volume":23473864.2,"timestamp":1796013761.823,"weight":0.399753,"clock":"exchange"}],"left_out":[]}');
INSERT INTO "waiting_medium" VALUES(1796015934217935599,'eigenusdt',1796013791.671,'{"asset":"eigenusdt","price":0.8446672538,"timestamp":1796013791.671,"tier":"medium","spread":0.000751064987,"updated_at":1796013791.7250202,"sources":[{"exchange":"exchange1","price":0.8449342,"volume":23270949.3,"timestamp":1796013791.671,"weight":0.396387,"clock":"exchange"},{"exchange":"exchange2","price":0.8448688,"volume":11967039.6,"timestamp":1796013791.671,"weight":0.203841,"clock":"exchange"},{"exchange":"exchange3","price":0.8442998,"volume":23469618.7,"timestamp":1796013791.671,"weight":0.399771,"clock":"exchange"}],"left_out":[]}');
INSERT INTO "waiting_medium" VALUES(1796015934217942262,'eigenusdt',1796013821.4,'{"asset":"eigenusdt","price":0.8445127579,"timestamp":1796013821.4,"tier":"medium","spread":0.0009140181635,"updated_at":1796013821.5728776,"sources":[{"exchange":"exchange1","price":0.8448487,"volume":23229608.3,"timestamp":1796013821.397,"weight":0.395784,"clock":"exchange"},{"exchange":"exchange2","price":0.8440768,"volume":11998186.5,"timestamp":1796013821.396,"weight":0.204424,"clock":"exchange"},{"exchange":"exchange3","price":0.8444031,"volume":23464792.0,"timestamp":1796013821.4,"weight":0.399791,"clock":"exchange"}],"left_out":[]}');
INSERT INTO "waiting_medium" VALUES(1796015934217948263,'eigenusdt',1796013852.718,'{"asset":"eigenusdt","price":0.8446648188,"timestamp":1796013852.718,"tier":"medium","spread":0.0009448718382,"updated_at":1796013853.2672272,"sources":[{"exchange":"exchange1","price":0.8450477,"volume":23184872.1,"timestamp":1796013852.717,"weight":0.395142,"clock":"exchange"},{"exchange":"exchange2","price":0.8447366,"volume":12030898.6,"timestamp":1796013852.718,"weight":0.205044,"clock":"exchange"},{"exchange":"exchange3","price":0.8442496,"volume":23459063.6,"timestamp":1796013852.717,"weight":0.399815,"clock":"exchange"}],"left_out":[]}');
CREATE INDEX waiting_hot_by_asset ON waiting_hot (asset, timestamp);
CREATE INDEX waiting_medium_by_asset ON waiting_medium (asset, timestamp);
CREATE INDEX waiting_cold_by_asset ON waiting_cold (asset, timestamp);
