-- The published store: everything the provisioning server knows of a device, in one SQLite file (WAL).
-- The control plane writes it, the provisioning server only reads it; neither knows the other's code.
-- A device's row and its files are replaced in one transaction, so a handset never gets half of a change.

CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
-- meta: 'schema' = '2' ('1' had no `contents`); 'sequence' counts every publication, so that a reader sees at once whether to look again.
--       'realm' is the realm in every ha1 (default 'provisioning').
--       'sha256' = '1' when every device with an ha1 has an ha1_sha256 too: SHA-256 is offered then.
--       'upload_key' is the control plane's X25519 public key (64 hex digits), for what handsets send.

CREATE TABLE IF NOT EXISTS devices (
    mac            TEXT PRIMARY KEY,              -- 12 lower-case hex digits; softphones: 's' and 11 more
    vendor         TEXT NOT NULL,
    family         TEXT NOT NULL,
    model          TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('enabled', 'disabled')),
    -- SHA-256 (hex) of the path token, and of the one before it while a rotation is under way.
    -- A token is 16 to 128 characters of A-Z a-z 0-9 _ -, with at least 128 random bits.
    token          TEXT NOT NULL UNIQUE,
    token_previous TEXT UNIQUE,
    -- HTTP credentials. ha1 is MD5("user:realm:password") (RFC 7616 3.4.2), as handsets do MD5; the password has
    -- at least 128 random bits, so a plain hash of it is no weaker than a slow one.
    -- 'digest' and 'basic' say what the family can; both are taken over TLS, digest alone without.
    auth           TEXT NOT NULL CHECK (auth IN ('digest', 'basic', 'none')),
    user           TEXT,
    ha1            TEXT,
    user_previous  TEXT,
    ha1_previous   TEXT,
    allowed        TEXT NOT NULL DEFAULT '[]',    -- JSON list of networks; empty: any
    plain          INTEGER NOT NULL DEFAULT 0,    -- secrets also over HTTP and TFTP: the site allows it
    certificate    TEXT NOT NULL DEFAULT 'off' CHECK (certificate IN ('off', 'optional', 'required')),
    -- Enrolment: until this moment (ISO 8601, UTC) one fetch by bare MAC gets the bootstrap. NULL: closed.
    window_id      TEXT,
    window_until   TEXT,
    user_agent     TEXT NOT NULL DEFAULT '',      -- regular expression the family's User-Agent matches; '' any
    version        TEXT NOT NULL,                 -- digest over the files that are `secret`: the device's settings
    -- SHA-256("user:realm:password"), for handsets that do SHA-256 (RFC 7616 3.4.2).
    ha1_sha256          TEXT,
    ha1_sha256_previous TEXT,
    sequence       INTEGER NOT NULL DEFAULT 1     -- grows with every publication of the device
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS files (
    mac            TEXT NOT NULL,                 -- '' : common to all devices, holds no identity and no secret
    name           TEXT NOT NULL,                 -- as the handset asks, in lower case: looked up without case
    content        BLOB,                          -- NULL: it is in `contents` under this etag
    content_type   TEXT NOT NULL,
    etag           TEXT NOT NULL,                 -- hex digest of the content
    secret         INTEGER NOT NULL DEFAULT 0,    -- holds a credential: TLS only unless the device's `plain`
    -- Served by bare MAC in an open window: URL, token and login only. It has the name of the file that is served
    -- at the device's own URL, as a handset asks for the same name at both: the bare MAC never gets the other.
    bootstrap      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mac, bootstrap, name)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS files_shared ON files (etag) WHERE content IS NULL;

-- What many devices have alike and is no secret, above all directories: once. Only a device's file leads here, so
-- it stays behind the token; a row that no file names any more is removed with the publication that let it go.
CREATE TABLE IF NOT EXISTS contents (
    etag           TEXT PRIMARY KEY,
    content        BLOB NOT NULL
) WITHOUT ROWID;

-- A link handed to a person for a softphone; it works once.
CREATE TABLE IF NOT EXISTS links (
    token          TEXT PRIMARY KEY,              -- SHA-256 (hex)
    mac            TEXT NOT NULL,
    name           TEXT NOT NULL,                 -- which of the device's files
    valid_until    TEXT NOT NULL
) WITHOUT ROWID;
