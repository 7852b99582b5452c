BEGIN;
CREATE TABLE assets (
        seq INTEGER PRIMARY KEY,  -- position of the first event: every index ends with it for free
        json TEXT NOT NULL,       -- the asset as the API answers it
        id TEXT NOT NULL UNIQUE GENERATED ALWAYS AS (substr(json, 8, 32)) VIRTUAL,
        user_id TEXT NOT NULL,
        workflow_id TEXT,
        parent_id TEXT,           -- NULL at home
        name TEXT NOT NULL,
        content_type TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest TEXT GENERATED ALWAYS AS (CASE substr(json, 137, 1) WHEN '"' THEN substr(json, 138, 71) END) VIRTUAL,
        metadata TEXT GENERATED ALWAYS AS (json ->> 'metadata') VIRTUAL,
        tags TEXT NOT NULL,
        derived_from TEXT NOT NULL,
        duration REAL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        created_at TEXT NOT NULL GENERATED ALWAYS AS (substr(json, 56, 27)) VIRTUAL,
        updated_at TEXT NOT NULL GENERATED ALWAYS AS (substr(json, 99, 27)) VIRTUAL,
        deleted_at TEXT,
        deleted_by TEXT
    );
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (3, '{"id":"00000000000000000000000000000064","created_at":"2026-11-22T18:39:16.799942Z","updated_at":"2026-11-22T18:39:16.799942Z","digest":null,"user_id":"1","workflow_id":null,"parent_id":"1","name":"A folder","content_type":"folder","size":0,"metadata":null,"get_url":null,"thumb_url":null,"duration":null,"etag":"v1","version":1,"position":3,"tags":[],"derived_from":[]}', '1', NULL, NULL, 'A folder', 'folder', 0, '[]', '[]', NULL, 1, 3, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (4, '{"id":"00000000000000000000000000000001","created_at":"2026-11-22T18:39:16.808088Z","updated_at":"2026-11-22T18:39:16.808088Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"1 Katze 猫.png","content_type":"image/png","size":100,"metadata":{"fps":23.976,"none":null,"seed":1},"get_url":"/api/assets/00000000000000000000000000000001/content","thumb_url":"/api/assets/00000000000000000000000000000001/thumbnail","duration":0.25,"etag":"v1","version":1,"position":4,"tags":["b","a"],"derived_from":[]}', '1', 'w', NULL, '1 Katze 猫.png', 'image/png', 100, '["b","a"]', '[]', 0.25, 1, 4, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (5, '{"id":"00000000000000000000000000000002","created_at":"2026-11-22T18:39:16.810964Z","updated_at":"2026-11-22T18:39:16.810964Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"2 Katze 猫.png","content_type":"video/mp4","size":200,"metadata":{"fps":23.976,"none":null,"seed":2},"get_url":"/api/assets/00000000000000000000000000000002/content","thumb_url":"/api/assets/00000000000000000000000000000002/thumbnail","duration":0.5,"etag":"v1","version":1,"position":5,"tags":["b","a"],"derived_from":[]}', '1', 'w', NULL, '2 Katze 猫.png', 'video/mp4', 200, '["b","a"]', '[]', 0.5, 1, 5, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (6, '{"id":"00000000000000000000000000000003","created_at":"2026-11-22T18:39:16.819146Z","updated_at":"2026-11-22T18:39:16.867362Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"dog.png","content_type":"image/png","size":300,"metadata":{"fps":23.976,"none":null,"seed":3},"get_url":"/api/assets/00000000000000000000000000000003/content","thumb_url":"/api/assets/00000000000000000000000000000003/thumbnail","duration":0.75,"etag":"v2","version":2,"position":16,"tags":[],"derived_from":[]}', '1', 'w', NULL, 'dog.png', 'image/png', 300, '[]', '[]', 0.75, 2, 16, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (7, '{"id":"00000000000000000000000000000004","created_at":"2026-11-22T18:39:16.821898Z","updated_at":"2026-11-22T18:39:16.869154Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":null,"parent_id":"1","name":"4 Katze 猫.png","content_type":"video/mp4","size":400,"metadata":{"fps":23.976,"none":null,"seed":4},"get_url":"/api/assets/00000000000000000000000000000004/content","thumb_url":"/api/assets/00000000000000000000000000000004/thumbnail","duration":1.0,"etag":"v2","version":2,"position":18,"tags":["b","a"],"derived_from":[],"deleted_at":"2026-11-22T18:39:16.869154Z","deleted_by":"1"}', '1', NULL, NULL, '4 Katze 猫.png', 'video/mp4', 400, '["b","a"]', '[]', 1.0, 2, 18, '2026-11-22T18:39:16.869154Z', '1');
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (8, '{"id":"00000000000000000000000000000005","created_at":"2026-11-22T18:39:16.849925Z","updated_at":"2026-11-22T18:39:16.868500Z","digest":"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","user_id":"1","workflow_id":"w","parent_id":"00000000000000000000000000000064","name":"5 Katze 猫.png","content_type":"image/png","size":5,"metadata":{"fps":23.976,"none":null,"seed":5},"get_url":"/api/assets/00000000000000000000000000000005/content","thumb_url":"/api/assets/00000000000000000000000000000005/thumbnail","duration":1.25,"etag":"v2","version":2,"position":17,"tags":["b","a"],"derived_from":[]}', '1', 'w', '00000000000000000000000000000064', '5 Katze 猫.png', 'image/png', 5, '["b","a"]', '[]', 1.25, 2, 17, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (9, '{"id":"00000000000000000000000000000006","created_at":"2026-11-22T18:39:16.855686Z","updated_at":"2026-11-22T18:39:16.855686Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"6 Katze 猫.png","content_type":"video/mp4","size":600,"metadata":{"fps":23.976,"none":null,"seed":6},"get_url":"/api/assets/00000000000000000000000000000006/content","thumb_url":"/api/assets/00000000000000000000000000000006/thumbnail","duration":1.5,"etag":"v1","version":1,"position":9,"tags":[],"derived_from":["00000000000000000000000000000005"]}', '1', 'w', NULL, '6 Katze 猫.png', 'video/mp4', 600, '[]', '["00000000000000000000000000000005"]', 1.5, 1, 9, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (10, '{"id":"00000000000000000000000000000007","created_at":"2026-11-22T18:39:16.857934Z","updated_at":"2026-11-22T18:39:16.857934Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"7 Katze 猫.png","content_type":"image/png","size":700,"metadata":{"fps":23.976,"none":null,"seed":7},"get_url":"/api/assets/00000000000000000000000000000007/content","thumb_url":"/api/assets/00000000000000000000000000000007/thumbnail","duration":1.75,"etag":"v1","version":1,"position":10,"tags":["b","a"],"derived_from":["00000000000000000000000000000006"]}', '1', 'w', NULL, '7 Katze 猫.png', 'image/png', 700, '["b","a"]', '["00000000000000000000000000000006"]', 1.75, 1, 10, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (11, '{"id":"00000000000000000000000000000008","created_at":"2026-11-22T18:39:16.858761Z","updated_at":"2026-11-22T18:39:16.871032Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":null,"parent_id":"1","name":"8 Katze 猫.png","content_type":"video/mp4","size":800,"metadata":{"fps":23.976,"none":null,"seed":8},"get_url":"/api/assets/00000000000000000000000000000008/content","thumb_url":"/api/assets/00000000000000000000000000000008/thumbnail","duration":2.0,"etag":"v3","version":3,"position":20,"tags":["b","a"],"derived_from":[]}', '1', NULL, NULL, '8 Katze 猫.png', 'video/mp4', 800, '["b","a"]', '[]', 2.0, 3, 20, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (12, '{"id":"00000000000000000000000000000009","created_at":"2026-11-22T18:39:16.862156Z","updated_at":"2026-11-22T18:39:16.862156Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"9 Katze 猫.png","content_type":"image/png","size":900,"metadata":{"fps":23.976,"none":null,"seed":9},"get_url":"/api/assets/00000000000000000000000000000009/content","thumb_url":"/api/assets/00000000000000000000000000000009/thumbnail","duration":2.25,"etag":"v1","version":1,"position":12,"tags":[],"derived_from":[]}', '1', 'w', NULL, '9 Katze 猫.png', 'image/png', 900, '[]', '[]', 2.25, 1, 12, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (13, '{"id":"0000000000000000000000000000000a","created_at":"2026-11-22T18:39:16.862925Z","updated_at":"2026-11-22T18:39:16.862925Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"00000000000000000000000000000064","name":"10 Katze 猫.png","content_type":"video/mp4","size":1000,"metadata":{"fps":23.976,"none":null,"seed":10},"get_url":"/api/assets/0000000000000000000000000000000a/content","thumb_url":"/api/assets/0000000000000000000000000000000a/thumbnail","duration":2.5,"etag":"v1","version":1,"position":13,"tags":["b","a"],"derived_from":[]}', '1', 'w', '00000000000000000000000000000064', '10 Katze 猫.png', 'video/mp4', 1000, '["b","a"]', '[]', 2.5, 1, 13, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (14, '{"id":"0000000000000000000000000000000b","created_at":"2026-11-22T18:39:16.864640Z","updated_at":"2026-11-22T18:39:16.864640Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":"w","parent_id":"1","name":"11 Katze 猫.png","content_type":"image/png","size":1100,"metadata":{"fps":23.976,"none":null,"seed":11},"get_url":"/api/assets/0000000000000000000000000000000b/content","thumb_url":"/api/assets/0000000000000000000000000000000b/thumbnail","duration":2.75,"etag":"v1","version":1,"position":14,"tags":["b","a"],"derived_from":[]}', '1', 'w', NULL, '11 Katze 猫.png', 'image/png', 1100, '["b","a"]', '[]', 2.75, 1, 14, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (15, '{"id":"0000000000000000000000000000000c","created_at":"2026-11-22T18:39:16.865446Z","updated_at":"2026-11-22T18:39:16.865446Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"1","workflow_id":null,"parent_id":"1","name":"12 Katze 猫.png","content_type":"video/mp4","size":1200,"metadata":{"fps":23.976,"none":null,"seed":12},"get_url":"/api/assets/0000000000000000000000000000000c/content","thumb_url":"/api/assets/0000000000000000000000000000000c/thumbnail","duration":3.0,"etag":"v1","version":1,"position":15,"tags":[],"derived_from":[]}', '1', NULL, NULL, '12 Katze 猫.png', 'video/mp4', 1200, '[]', '[]', 3.0, 1, 15, NULL, NULL);
INSERT INTO "assets" (seq, json, user_id, workflow_id, parent_id, name, content_type, size, tags, derived_from, duration, version, position, deleted_at, deleted_by) VALUES (21, '{"id":"00000000000000000000000000000032","created_at":"2026-11-22T18:39:16.871997Z","updated_at":"2026-11-22T18:39:16.871997Z","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","user_id":"alice","workflow_id":null,"parent_id":"alice","name":"cat.png","content_type":"image/png","size":4,"metadata":null,"get_url":"/api/assets/00000000000000000000000000000032/content","thumb_url":"/api/assets/00000000000000000000000000000032/thumbnail","duration":null,"etag":"v1","version":1,"position":21,"tags":[],"derived_from":[]}', 'alice', NULL, NULL, 'cat.png', 'image/png', 4, '[]', '[]', NULL, 1, 21, NULL, NULL);
CREATE TABLE deferred_indexes (
        name TEXT PRIMARY KEY, sql TEXT NOT NULL  -- taken away to be made when the rows are there
    );
CREATE TABLE edges (
        source TEXT NOT NULL,
        derived TEXT NOT NULL,
        user_id TEXT NOT NULL,
        digest TEXT,              -- of the source's bytes as they were then
        PRIMARY KEY (source, derived)
    ) WITHOUT ROWID
    ;
INSERT INTO "edges" VALUES ('00000000000000000000000000000005', '00000000000000000000000000000006', '1', 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "edges" VALUES ('00000000000000000000000000000006', '00000000000000000000000000000007', '1', 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
CREATE TABLE expanded_migrations (
        name TEXT PRIMARY KEY  -- the table was changed, its older rows were not
    );
CREATE TABLE generation (state TEXT NOT NULL);
INSERT INTO "generation" VALUES ('ready');
CREATE TABLE job_attempts (
            user_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            status TEXT NOT NULL,
            error TEXT,
            started_at TEXT,
            finished_at TEXT,
            PRIMARY KEY (user_id, job_id, attempt)
        ) WITHOUT ROWID
        ;
INSERT INTO "job_attempts" VALUES ('1', 'job_1', 1, 'completed', NULL, '2026-11-22T18:39:16.797055Z', '2026-11-22T18:39:16.873112Z');
CREATE TABLE jobs (
            user_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 1,  -- the last
            workflow_id TEXT,
            parent_job_id TEXT,
            status TEXT NOT NULL DEFAULT 'untracked',
            error TEXT,
            parameters TEXT,
            started_at TEXT,
            finished_at TEXT,
            assets INTEGER NOT NULL DEFAULT 0,  -- live ones
            bytes INTEGER NOT NULL DEFAULT 0,   -- of live ones
            first_position INTEGER NOT NULL,
            last_position INTEGER NOT NULL,
            updated_at TEXT NOT NULL,           -- the time of the last event
            PRIMARY KEY (user_id, job_id)
        ) WITHOUT ROWID
        ;
INSERT INTO "jobs" VALUES ('1', 'job_0', 1, 'w', NULL, 'untracked', NULL, NULL, NULL, NULL, 5, 3800, 5, 20, '2026-11-22T18:39:16.871032Z');
INSERT INTO "jobs" VALUES ('1', 'job_1', 1, 'w', NULL, 'completed', NULL, '{"steps":20}', '2026-11-22T18:39:16.797055Z', '2026-11-22T18:39:16.873112Z', 6, 3105, 2, 22, '2026-11-22T18:39:16.873112Z');
INSERT INTO "jobs" VALUES ('alice', 'job_1', 1, NULL, NULL, 'untracked', NULL, NULL, NULL, NULL, 1, 4, 21, 21, '2026-11-22T18:39:16.871997Z');
CREATE TABLE node_runs (
            user_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            node_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            run TEXT NOT NULL,
            workflow_id TEXT,
            status TEXT NOT NULL,
            error TEXT,
            micros INTEGER,  -- the duration in microseconds: sums of integers are exact
            started_at TEXT,
            finished_at TEXT,
            first_position INTEGER NOT NULL,
            last_position INTEGER NOT NULL,
            PRIMARY KEY (user_id, job_id, node_id, attempt, run)
        ) WITHOUT ROWID;
CREATE TABLE positions (
        projection TEXT PRIMARY KEY, position INTEGER NOT NULL, log_id TEXT NOT NULL,
        leaf BLOB NOT NULL  -- leaf hash of the fact at that position
    );
INSERT INTO "positions" VALUES ('jobs', 22, 'abababababababababababababababab', X'1FAA96E923E1C46AB3439F1A986208A121E5C76BD85DFEE56E1C8AB918335C21');
INSERT INTO "positions" VALUES ('assets', 22, 'abababababababababababababababab', X'1FAA96E923E1C46AB3439F1A986208A121E5C76BD85DFEE56E1C8AB918335C21');
INSERT INTO "positions" VALUES ('lineage', 22, 'abababababababababababababababab', X'1FAA96E923E1C46AB3439F1A986208A121E5C76BD85DFEE56E1C8AB918335C21');
CREATE TABLE schema_migrations (
        name TEXT PRIMARY KEY, applied_at TEXT NOT NULL
    );
INSERT INTO "schema_migrations" VALUES ('20260101_000000_create_assets', '2026-01-01T00:00:00.000000Z');
INSERT INTO "schema_migrations" VALUES ('20260101_000000_create_edges', '2026-01-01T00:00:00.000000Z');
INSERT INTO "schema_migrations" VALUES ('20260101_000000_create_jobs', '2026-01-01T00:00:00.000000Z');
CREATE INDEX assets_by_media ON assets (user_id, content_type) WHERE deleted_at IS NULL;
CREATE INDEX assets_by_parent ON assets (user_id, parent_id) WHERE deleted_at IS NULL;
CREATE INDEX assets_by_user ON assets (user_id) WHERE deleted_at IS NULL;
CREATE INDEX assets_by_workflow ON assets (user_id, workflow_id) WHERE deleted_at IS NULL;
CREATE INDEX assets_deleted_folders ON assets (user_id, id)
        WHERE deleted_at IS NOT NULL AND content_type = 'folder'
    ;
CREATE INDEX edges_by_digest ON edges (user_id, digest);
CREATE INDEX jobs_by_user ON jobs (user_id, first_position);
CREATE INDEX jobs_by_workflow ON jobs (user_id, workflow_id, first_position);
CREATE INDEX node_runs_by_node ON node_runs (user_id, node_id);
CREATE INDEX node_runs_by_workflow ON node_runs (user_id, workflow_id, node_id);
CREATE VIEW nodetool_assets AS
        SELECT id, user_id, workflow_id, coalesce(parent_id, user_id) AS parent_id, name,
            content_type, metadata, created_at, updated_at, duration, size
        FROM assets WHERE deleted_at IS NULL;
COMMIT;
