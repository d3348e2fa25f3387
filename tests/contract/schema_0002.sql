BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	revision BIGINT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	actor TEXT NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"key" TEXT NOT NULL, 
	"before" JSON, 
	"after" JSON, 
	CONSTRAINT pk_audit PRIMARY KEY (id)
);
INSERT INTO "audit" VALUES(1,1,'2030-01-01T00:00:01+00:00','test','organisation','landlord',NULL,'{"id": "landlord", "name": "Landlord", "kind": "operator"}');
INSERT INTO "audit" VALUES(2,1,'2030-01-01T00:00:01+00:00','test','organisation','acme',NULL,'{"id": "acme", "name": "Acme", "kind": "occupier"}');
INSERT INTO "audit" VALUES(3,1,'2030-01-01T00:00:01+00:00','test','trunk','carrier',NULL,'{"id": "carrier", "node": "lab", "host": "127.0.0.2", "port": 5060, "region": "GB", "username": "us", "password": "***"}');
INSERT INTO "audit" VALUES(4,1,'2030-01-01T00:00:01+00:00','test','site','london',NULL,'{"id": "london", "name": "London", "region": "GB", "time_zone": "Europe/London", "node": "lab", "trunk": "carrier", "caller_id": null, "media_address": null, "reception": []}');
INSERT INTO "audit" VALUES(5,1,'2030-01-01T00:00:01+00:00','test','person','ann',NULL,'{"id": "ann", "org": "acme", "name": "Ann", "email": "ann@example.com", "kind": "occupier_user"}');
INSERT INTO "audit" VALUES(6,1,'2030-01-01T00:00:01+00:00','test','number','+442071838750',NULL,'{"e164": "+442071838750", "site": "london", "org": "acme", "extension": null, "status": "active", "label": ""}');
INSERT INTO "audit" VALUES(7,1,'2030-01-01T00:00:01+00:00','test','extension','acme/100',NULL,'{"org": "acme", "key": "100", "site": "london", "label": "", "type": "normal", "person": null, "number": null, "voicemail_pin": "***", "ring_devices": [], "primary_device": null, "call_waiting": true, "dnd": false, "dnd_action": "auto", "forwarding": {"enabled": false, "numbers": [], "extensions": [], "vip": [], "vip_ring_devices": []}, "no_answer": {"action": "hangup", "ring_timeout_s": 20, "number": null, "notify": []}, "restricted": false}');
INSERT INTO "audit" VALUES(8,1,'2030-01-01T00:00:01+00:00','test','device','d00000000001',NULL,'{"id": "d00000000001", "org": "acme", "extension": "100", "kind": "ip_phone", "name": "", "transport": "udp", "srtp": false, "stun": false, "sip_password": "***"}');
CREATE TABLE changes (
	revision BIGINT NOT NULL, 
	seq INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"before" JSON, 
	"after" JSON, 
	CONSTRAINT pk_changes PRIMARY KEY (revision, seq)
);
INSERT INTO "changes" VALUES(1,0,'organisation',NULL,'{"id": "landlord", "name": "Landlord", "kind": "operator"}');
INSERT INTO "changes" VALUES(1,1,'organisation',NULL,'{"id": "acme", "name": "Acme", "kind": "occupier"}');
INSERT INTO "changes" VALUES(1,2,'trunk',NULL,'{"id": "carrier", "node": "lab", "host": "127.0.0.2", "port": 5060, "region": "GB", "username": "us", "password": "trunk-secret"}');
INSERT INTO "changes" VALUES(1,3,'site',NULL,'{"id": "london", "name": "London", "region": "GB", "time_zone": "Europe/London", "node": "lab", "trunk": "carrier", "caller_id": null, "media_address": null, "reception": []}');
INSERT INTO "changes" VALUES(1,4,'person',NULL,'{"id": "ann", "org": "acme", "name": "Ann", "email": "ann@example.com", "kind": "occupier_user"}');
INSERT INTO "changes" VALUES(1,5,'number',NULL,'{"e164": "+442071838750", "site": "london", "org": "acme", "extension": null, "status": "active", "label": ""}');
INSERT INTO "changes" VALUES(1,6,'extension',NULL,'{"org": "acme", "key": "100", "site": "london", "label": "", "type": "normal", "person": null, "number": null, "voicemail_pin": "482913", "ring_devices": [], "primary_device": null, "call_waiting": true, "dnd": false, "dnd_action": "auto", "forwarding_enabled": false, "forwarding_numbers": [], "forwarding_extensions": [], "forwarding_vip": [], "forwarding_vip_ring_devices": [], "no_answer_action": "hangup", "no_answer_ring_timeout_s": 20, "no_answer_number": null, "no_answer_notify": [], "restricted": false}');
INSERT INTO "changes" VALUES(1,7,'device',NULL,'{"id": "d00000000001", "org": "acme", "extension": "100", "kind": "ip_phone", "name": "", "transport": "udp", "srtp": false, "stun": false, "sip_password": "Password000000000001"}');
CREATE TABLE devices (
	id TEXT NOT NULL, 
	org TEXT NOT NULL, 
	extension TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	transport TEXT NOT NULL, 
	srtp BOOLEAN NOT NULL, 
	stun BOOLEAN NOT NULL, 
	sip_password TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (id), 
	CONSTRAINT fk_devices_org_extension FOREIGN KEY(org, extension) REFERENCES extensions (org, "key") ON DELETE RESTRICT, 
	CONSTRAINT uq_devices_org_extension_kind UNIQUE (org, extension, kind), 
	CONSTRAINT ck_devices_kind CHECK (kind IN ('ip_phone', 'mobile', 'desktop'))
);
INSERT INTO "devices" VALUES('d00000000001','acme','100','ip_phone','','udp',0,0,'Password000000000001',1);
CREATE TABLE extensions (
	org TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	site TEXT NOT NULL, 
	label TEXT NOT NULL, 
	type TEXT NOT NULL, 
	person TEXT, 
	number TEXT, 
	voicemail_pin TEXT NOT NULL, 
	ring_devices JSON NOT NULL, 
	primary_device TEXT, 
	call_waiting BOOLEAN NOT NULL, 
	dnd BOOLEAN NOT NULL, 
	dnd_action TEXT NOT NULL, 
	forwarding_enabled BOOLEAN NOT NULL, 
	forwarding_numbers JSON NOT NULL, 
	forwarding_extensions JSON NOT NULL, 
	forwarding_vip JSON NOT NULL, 
	forwarding_vip_ring_devices JSON NOT NULL, 
	no_answer_action TEXT NOT NULL, 
	no_answer_ring_timeout_s INTEGER NOT NULL, 
	no_answer_number TEXT, 
	no_answer_notify JSON NOT NULL, 
	restricted BOOLEAN NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_extensions PRIMARY KEY (org, "key"), 
	CONSTRAINT fk_extensions_org FOREIGN KEY(org) REFERENCES organisations (id) ON DELETE RESTRICT, 
	CONSTRAINT fk_extensions_site FOREIGN KEY(site) REFERENCES sites (id) ON DELETE RESTRICT, 
	CONSTRAINT fk_extensions_person FOREIGN KEY(person) REFERENCES people (id) ON DELETE RESTRICT, 
	CONSTRAINT fk_extensions_number FOREIGN KEY(number) REFERENCES numbers (e164) ON DELETE RESTRICT
);
INSERT INTO "extensions" VALUES('acme','100','london','','normal',NULL,NULL,'482913','[]',NULL,1,0,'auto',0,'[]','[]','[]','[]','hangup',20,NULL,'[]',0,1);
CREATE TABLE head (
	id INTEGER NOT NULL CONSTRAINT ck_head_one_row CHECK (id = 1), 
	revision BIGINT NOT NULL, 
	floor BIGINT NOT NULL, 
	retained BIGINT NOT NULL, 
	CONSTRAINT pk_head PRIMARY KEY (id)
);
INSERT INTO "head" VALUES(1,1,0,8);
CREATE TABLE numbers (
	e164 TEXT NOT NULL, 
	site TEXT NOT NULL, 
	org TEXT, 
	extension TEXT, 
	status TEXT NOT NULL, 
	label TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_numbers PRIMARY KEY (e164), 
	CONSTRAINT fk_numbers_site FOREIGN KEY(site) REFERENCES sites (id) ON DELETE RESTRICT, 
	CONSTRAINT fk_numbers_org FOREIGN KEY(org) REFERENCES organisations (id) ON DELETE RESTRICT, 
	CONSTRAINT fk_numbers_org_extension FOREIGN KEY(org, extension) REFERENCES extensions (org, "key") DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "numbers" VALUES('+442071838750','london','acme',NULL,'active','',1);
CREATE TABLE occupancies (
	org TEXT NOT NULL, 
	site TEXT NOT NULL, 
	authorization_code_id TEXT, 
	authorization_code_salt TEXT, 
	authorization_code_digest TEXT, 
	reception JSON NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_occupancies PRIMARY KEY (org, site), 
	CONSTRAINT fk_occupancies_org FOREIGN KEY(org) REFERENCES organisations (id) ON DELETE RESTRICT, 
	CONSTRAINT fk_occupancies_site FOREIGN KEY(site) REFERENCES sites (id) ON DELETE RESTRICT
);
CREATE TABLE organisations (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_organisations PRIMARY KEY (id)
);
INSERT INTO "organisations" VALUES('landlord','Landlord','operator',1);
INSERT INTO "organisations" VALUES('acme','Acme','occupier',1);
CREATE TABLE people (
	id TEXT NOT NULL, 
	org TEXT NOT NULL, 
	name TEXT NOT NULL, 
	email TEXT, 
	kind TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_people PRIMARY KEY (id), 
	CONSTRAINT fk_people_org FOREIGN KEY(org) REFERENCES organisations (id) ON DELETE RESTRICT
);
INSERT INTO "people" VALUES('ann','acme','Ann','ann@example.com','occupier_user',1);
CREATE TABLE pushed (
	node TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	CONSTRAINT pk_pushed PRIMARY KEY (node, "key")
);
CREATE TABLE sites (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	region TEXT NOT NULL, 
	time_zone TEXT NOT NULL, 
	node TEXT NOT NULL, 
	trunk TEXT, 
	caller_id TEXT, 
	media_address TEXT, 
	reception JSON NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_sites PRIMARY KEY (id), 
	CONSTRAINT fk_sites_trunk FOREIGN KEY(trunk) REFERENCES trunks (id) ON DELETE RESTRICT
);
INSERT INTO "sites" VALUES('london','London','GB','Europe/London','lab','carrier',NULL,NULL,'[]',1);
CREATE TABLE trunks (
	id TEXT NOT NULL, 
	node TEXT NOT NULL, 
	host TEXT NOT NULL, 
	port INTEGER NOT NULL, 
	region TEXT NOT NULL, 
	username TEXT, 
	password TEXT, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_trunks PRIMARY KEY (id)
);
INSERT INTO "trunks" VALUES('carrier','lab','127.0.0.2',5060,'GB','us','trunk-secret',1);
CREATE INDEX ix_numbers_org_extension ON numbers (org, extension);
CREATE INDEX ix_extensions_number ON extensions (number);
CREATE INDEX ix_audit_kind_key_id ON audit (kind, "key", id);
CREATE TRIGGER audit_is_append_only_on_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_append_only_on_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
COMMIT;
