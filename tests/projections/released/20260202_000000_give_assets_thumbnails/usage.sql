BEGIN;
CREATE TABLE generation (state TEXT NOT NULL);
INSERT INTO "generation" VALUES ('ready');
CREATE TABLE positions (
        projection TEXT PRIMARY KEY, position INTEGER NOT NULL, log_id TEXT NOT NULL,
        leaf BLOB NOT NULL  -- leaf hash of the fact at that position
    );
INSERT INTO "positions" VALUES ('usage', 22, 'abababababababababababababababab', X'F216CA47693C764BCEF191844AF64B4A0B1D53A2445C4E590997789C1E0676E6');
CREATE TABLE schema_migrations (
        name TEXT PRIMARY KEY, applied_at TEXT NOT NULL
    );
INSERT INTO "schema_migrations" VALUES ('20260130_000000_create_usage', '2026-11-22T18:39:17.987878Z');
CREATE TABLE usage (
        user_id TEXT NOT NULL,
        dimension TEXT NOT NULL,
        key TEXT NOT NULL,  -- '' for none: no id is empty
        count INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        largest INTEGER NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        PRIMARY KEY (user_id, dimension, key)
    ) WITHOUT ROWID
    ;
INSERT INTO "usage" VALUES ('1', 'content_type', 'folder', 1, 0, 0, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.799942Z');
INSERT INTO "usage" VALUES ('1', 'content_type', 'image/png', 6, 3105, 1100, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage" VALUES ('1', 'content_type', 'video/mp4', 5, 3800, 1200, '2026-11-22T18:39:16.810964Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage" VALUES ('1', 'day', '2026-11-22', 12, 6905, 1200, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage" VALUES ('1', 'job_id', '', 1, 0, 0, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.799942Z');
INSERT INTO "usage" VALUES ('1', 'job_id', 'job_0', 5, 3800, 1200, '2026-11-22T18:39:16.810964Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage" VALUES ('1', 'job_id', 'job_1', 6, 3105, 1100, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage" VALUES ('1', 'node_id', '', 1, 0, 0, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.799942Z');
INSERT INTO "usage" VALUES ('1', 'node_id', 'node_0', 4, 3000, 1200, '2026-11-22T18:39:16.819146Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage" VALUES ('1', 'node_id', 'node_1', 3, 1800, 1000, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.862925Z');
INSERT INTO "usage" VALUES ('1', 'node_id', 'node_2', 4, 2105, 1100, '2026-11-22T18:39:16.810964Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage" VALUES ('1', 'workflow_id', '', 3, 2000, 1200, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage" VALUES ('1', 'workflow_id', 'w', 9, 4905, 1100, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage" VALUES ('alice', 'content_type', 'image/png', 1, 4, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage" VALUES ('alice', 'day', '2026-11-22', 1, 4, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage" VALUES ('alice', 'job_id', 'job_1', 1, 4, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage" VALUES ('alice', 'node_id', '', 1, 4, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage" VALUES ('alice', 'workflow_id', '', 1, 4, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
CREATE TABLE usage_assets (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        workflow_id TEXT,
        node_id TEXT,
        job_id TEXT,
        content_type TEXT NOT NULL,
        day TEXT NOT NULL,
        created_at TEXT NOT NULL,
        size INTEGER NOT NULL,
        live INTEGER NOT NULL DEFAULT 1
    );
INSERT INTO "usage_assets" VALUES (3, '00000000000000000000000000000064', '1', NULL, NULL, NULL, 'folder', '2026-11-22', '2026-11-22T18:39:16.799942Z', 0, 1);
INSERT INTO "usage_assets" VALUES (4, '00000000000000000000000000000001', '1', 'w', 'node_1', 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.808088Z', 100, 1);
INSERT INTO "usage_assets" VALUES (5, '00000000000000000000000000000002', '1', 'w', 'node_2', 'job_0', 'video/mp4', '2026-11-22', '2026-11-22T18:39:16.810964Z', 200, 1);
INSERT INTO "usage_assets" VALUES (6, '00000000000000000000000000000003', '1', 'w', 'node_0', 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.819146Z', 300, 1);
INSERT INTO "usage_assets" VALUES (7, '00000000000000000000000000000004', '1', NULL, 'node_1', 'job_0', 'video/mp4', '2026-11-22', '2026-11-22T18:39:16.821898Z', 400, 0);
INSERT INTO "usage_assets" VALUES (8, '00000000000000000000000000000005', '1', 'w', 'node_2', 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.849925Z', 5, 1);
INSERT INTO "usage_assets" VALUES (9, '00000000000000000000000000000006', '1', 'w', 'node_0', 'job_0', 'video/mp4', '2026-11-22', '2026-11-22T18:39:16.855686Z', 600, 1);
INSERT INTO "usage_assets" VALUES (10, '00000000000000000000000000000007', '1', 'w', 'node_1', 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.857934Z', 700, 1);
INSERT INTO "usage_assets" VALUES (11, '00000000000000000000000000000008', '1', NULL, 'node_2', 'job_0', 'video/mp4', '2026-11-22', '2026-11-22T18:39:16.858761Z', 800, 1);
INSERT INTO "usage_assets" VALUES (12, '00000000000000000000000000000009', '1', 'w', 'node_0', 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.862156Z', 900, 1);
INSERT INTO "usage_assets" VALUES (13, '0000000000000000000000000000000a', '1', 'w', 'node_1', 'job_0', 'video/mp4', '2026-11-22', '2026-11-22T18:39:16.862925Z', 1000, 1);
INSERT INTO "usage_assets" VALUES (14, '0000000000000000000000000000000b', '1', 'w', 'node_2', 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.864640Z', 1100, 1);
INSERT INTO "usage_assets" VALUES (15, '0000000000000000000000000000000c', '1', NULL, 'node_0', 'job_0', 'video/mp4', '2026-11-22', '2026-11-22T18:39:16.865446Z', 1200, 1);
INSERT INTO "usage_assets" VALUES (21, '00000000000000000000000000000032', 'alice', NULL, NULL, 'job_1', 'image/png', '2026-11-22', '2026-11-22T18:39:16.871997Z', 4, 1);
CREATE TABLE usage_blocks (
        user_id TEXT NOT NULL,
        dimension TEXT NOT NULL,
        key TEXT NOT NULL,
        block INTEGER NOT NULL,
        largest INTEGER NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        PRIMARY KEY (user_id, dimension, key, block)
    ) WITHOUT ROWID
    ;
INSERT INTO "usage_blocks" VALUES ('1', 'content_type', 'folder', 0, 0, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.799942Z');
INSERT INTO "usage_blocks" VALUES ('1', 'content_type', 'image/png', 0, 1100, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage_blocks" VALUES ('1', 'content_type', 'video/mp4', 0, 1200, '2026-11-22T18:39:16.810964Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage_blocks" VALUES ('1', 'day', '2026-11-22', 0, 1200, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage_blocks" VALUES ('1', 'job_id', '', 0, 0, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.799942Z');
INSERT INTO "usage_blocks" VALUES ('1', 'job_id', 'job_0', 0, 1200, '2026-11-22T18:39:16.810964Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage_blocks" VALUES ('1', 'job_id', 'job_1', 0, 1100, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage_blocks" VALUES ('1', 'node_id', '', 0, 0, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.799942Z');
INSERT INTO "usage_blocks" VALUES ('1', 'node_id', 'node_0', 0, 1200, '2026-11-22T18:39:16.819146Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage_blocks" VALUES ('1', 'node_id', 'node_1', 0, 1000, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.862925Z');
INSERT INTO "usage_blocks" VALUES ('1', 'node_id', 'node_2', 0, 1100, '2026-11-22T18:39:16.810964Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage_blocks" VALUES ('1', 'workflow_id', '', 0, 1200, '2026-11-22T18:39:16.799942Z', '2026-11-22T18:39:16.865446Z');
INSERT INTO "usage_blocks" VALUES ('1', 'workflow_id', 'w', 0, 1100, '2026-11-22T18:39:16.808088Z', '2026-11-22T18:39:16.864640Z');
INSERT INTO "usage_blocks" VALUES ('alice', 'content_type', 'image/png', 0, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage_blocks" VALUES ('alice', 'day', '2026-11-22', 0, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage_blocks" VALUES ('alice', 'job_id', 'job_1', 0, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage_blocks" VALUES ('alice', 'node_id', '', 0, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
INSERT INTO "usage_blocks" VALUES ('alice', 'workflow_id', '', 0, 4, '2026-11-22T18:39:16.871997Z', '2026-11-22T18:39:16.871997Z');
CREATE TABLE usage_changes (
        user_id TEXT NOT NULL, dimension TEXT NOT NULL, key TEXT NOT NULL, block INTEGER NOT NULL,
        sign INTEGER NOT NULL, size INTEGER NOT NULL, created_at TEXT NOT NULL
    );
CREATE TABLE usage_lost (
        user_id TEXT NOT NULL, dimension TEXT NOT NULL, key TEXT NOT NULL, block INTEGER NOT NULL
    );
CREATE INDEX usage_by_bytes ON usage (user_id, dimension, bytes);
CREATE INDEX usage_by_count ON usage (user_id, dimension, count);
CREATE INDEX usage_by_largest ON usage (user_id, dimension, largest);
CREATE VIEW usage_facets AS 
    SELECT seq, id, live, user_id, 'node_id' AS dimension, ifnull(node_id, '') AS key,
        seq / 1024 AS block, size, created_at
    FROM usage_assets
     UNION ALL 
    SELECT seq, id, live, user_id, 'job_id' AS dimension, ifnull(job_id, '') AS key,
        seq / 1024 AS block, size, created_at
    FROM usage_assets
     UNION ALL 
    SELECT seq, id, live, user_id, 'workflow_id' AS dimension, ifnull(workflow_id, '') AS key,
        seq / 1024 AS block, size, created_at
    FROM usage_assets
     UNION ALL 
    SELECT seq, id, live, user_id, 'content_type' AS dimension, ifnull(content_type, '') AS key,
        seq / 1024 AS block, size, created_at
    FROM usage_assets
     UNION ALL 
    SELECT seq, id, live, user_id, 'day' AS dimension, ifnull(day, '') AS key,
        seq / 1024 AS block, size, created_at
    FROM usage_assets;
COMMIT;
