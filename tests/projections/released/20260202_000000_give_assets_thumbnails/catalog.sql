BEGIN;
CREATE TABLE catalog (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest TEXT,  -- its first 16 digits: enough to find by, half as much to keep in order
        live INTEGER NOT NULL DEFAULT 1
    );
INSERT INTO "catalog" VALUES (3, '00000000000000000000000000000064', '1', 'A folder', 0, NULL, 1);
INSERT INTO "catalog" VALUES (4, '00000000000000000000000000000001', '1', '1 Katze 猫.png', 100, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (5, '00000000000000000000000000000002', '1', '2 Katze 猫.png', 200, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (6, '00000000000000000000000000000003', '1', 'dog.png', 300, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (7, '00000000000000000000000000000004', '1', '4 Katze 猫.png', 400, 'aaaaaaaaaaaaaaaa', 0);
INSERT INTO "catalog" VALUES (8, '00000000000000000000000000000005', '1', '5 Katze 猫.png', 5, 'bbbbbbbbbbbbbbbb', 1);
INSERT INTO "catalog" VALUES (9, '00000000000000000000000000000006', '1', '6 Katze 猫.png', 600, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (10, '00000000000000000000000000000007', '1', '7 Katze 猫.png', 700, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (11, '00000000000000000000000000000008', '1', '8 Katze 猫.png', 800, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (12, '00000000000000000000000000000009', '1', '9 Katze 猫.png', 900, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (13, '0000000000000000000000000000000a', '1', '10 Katze 猫.png', 1000, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (14, '0000000000000000000000000000000b', '1', '11 Katze 猫.png', 1100, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (15, '0000000000000000000000000000000c', '1', '12 Katze 猫.png', 1200, 'aaaaaaaaaaaaaaaa', 1);
INSERT INTO "catalog" VALUES (21, '00000000000000000000000000000032', 'alice', 'cat.png', 4, 'aaaaaaaaaaaaaaaa', 1);
CREATE TABLE generation (state TEXT NOT NULL);
INSERT INTO "generation" VALUES ('ready');
CREATE TABLE positions (
        projection TEXT PRIMARY KEY, position INTEGER NOT NULL, log_id TEXT NOT NULL,
        leaf BLOB NOT NULL  -- leaf hash of the fact at that position
    );
INSERT INTO "positions" VALUES ('catalog', 22, 'abababababababababababababababab', X'F216CA47693C764BCEF191844AF64B4A0B1D53A2445C4E590997789C1E0676E6');
CREATE TABLE schema_migrations (
        name TEXT PRIMARY KEY, applied_at TEXT NOT NULL
    );
INSERT INTO "schema_migrations" VALUES ('20260201_000000_create_catalog', '2026-11-22T18:39:18.019583Z');
CREATE INDEX catalog_by_digest ON catalog (user_id, digest) WHERE live AND digest NOT NULL;
CREATE INDEX catalog_by_name ON catalog (user_id, name) WHERE live;
CREATE INDEX catalog_by_size ON catalog (user_id, size) WHERE live;
COMMIT;
