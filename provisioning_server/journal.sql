-- The journal: what handsets did, in one SQLite file. The provisioning server writes it, the control plane reads it.

CREATE TABLE IF NOT EXISTS fetches (
    mac            TEXT NOT NULL,
    name           TEXT NOT NULL,
    at             TEXT NOT NULL,                 -- ISO 8601, UTC; the newest fetch of this file
    status         INTEGER NOT NULL,              -- HTTP status, or 200/404/403 for TFTP
    etag           TEXT,                          -- of what was served
    version        TEXT,                          -- devices.version at that moment
    scheme         TEXT NOT NULL,                 -- 'https', 'http', 'tftp'
    address        TEXT NOT NULL,
    user_agent     TEXT NOT NULL,                 -- at most 200 printable characters
    count          INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (mac, name)
) WITHOUT ROWID;

-- A window that was used is closed, a link that was used is spent: also after a restart of either process.
CREATE TABLE IF NOT EXISTS spent (
    id             TEXT PRIMARY KEY,              -- devices.window_id or links.token
    at             TEXT NOT NULL,
    address        TEXT NOT NULL
) WITHOUT ROWID;

-- Devices bound at their first authenticated fetch.
CREATE TABLE IF NOT EXISTS bound (
    mac            TEXT PRIMARY KEY,
    certificate    TEXT,                          -- SHA-256 fingerprint of the client certificate; NULL: none
    network        TEXT NOT NULL,
    at             TEXT NOT NULL
) WITHOUT ROWID;

-- Settings and logs that handsets sent; the control plane removes them.
CREATE TABLE IF NOT EXISTS uploads (
    id             INTEGER PRIMARY KEY,
    mac            TEXT NOT NULL,
    name           TEXT NOT NULL,
    at             TEXT NOT NULL,
    sealed         BLOB NOT NULL                  -- encrypted for the control plane alone
);
