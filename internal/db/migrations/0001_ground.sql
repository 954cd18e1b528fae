-- +goose Up
-- Every row belongs to an organisation; keys begin with it. Times are microseconds UTC, JSON is TEXT, truth is 0/1.

CREATE TABLE installation (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE org (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE unit (org TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, signature TEXT NOT NULL DEFAULT '', created_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};

-- feed: what changed, dense and in the order of commits; floor is the newest seq that was trimmed
CREATE TABLE feed_head (org TEXT PRIMARY KEY, seq BIGINT NOT NULL, floor BIGINT NOT NULL) {{clustered}};
CREATE TABLE feed (org TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (org, seq)) {{clustered}};

-- auth
CREATE TABLE staff (org TEXT NOT NULL, id TEXT NOT NULL, email TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, language TEXT NOT NULL,
  signature TEXT NOT NULL, unit TEXT NOT NULL DEFAULT '', password TEXT NOT NULL, totp TEXT NOT NULL, totp_enabled BIGINT NOT NULL, totp_step BIGINT NOT NULL,
  enabled BIGINT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX staff_email ON staff (email); -- unique per installation
CREATE TABLE session (org TEXT NOT NULL, hash TEXT NOT NULL, staff TEXT NOT NULL, created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
  PRIMARY KEY (org, hash)) {{clustered}};
CREATE UNIQUE INDEX session_hash ON session (hash);
CREATE INDEX session_staff ON session (org, staff);
CREATE TABLE token (org TEXT NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL, staff TEXT NOT NULL, name TEXT NOT NULL, created_at BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX token_hash ON token (hash);
CREATE TABLE invite (org TEXT NOT NULL, hash TEXT NOT NULL, staff TEXT NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (org, hash)) {{clustered}};
CREATE UNIQUE INDEX invite_hash ON invite (hash);
CREATE TABLE idempotency (org TEXT NOT NULL, staff TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, status BIGINT NOT NULL, body TEXT NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (org, staff, key)) {{clustered}};

-- account: configured channels
CREATE TABLE channel (org TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL, mailbox TEXT NOT NULL,
  enabled BIGINT NOT NULL, created_at BIGINT NOT NULL, deleted_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX channel_id ON channel (id);
CREATE UNIQUE INDEX channel_mailbox ON channel (mailbox) WHERE mailbox <> '' AND deleted_at = 0;
CREATE TABLE channel_state (org TEXT NOT NULL, channel TEXT NOT NULL, cursor TEXT NOT NULL, health TEXT NOT NULL, reason TEXT NOT NULL, remedy TEXT NOT NULL,
  checked_at BIGINT NOT NULL, PRIMARY KEY (org, channel)) {{clustered}};

-- intake: raw first, deduplicated, then in order per sender
CREATE TABLE intake_raw (org TEXT NOT NULL, id TEXT NOT NULL, channel TEXT NOT NULL, at BIGINT NOT NULL, type TEXT NOT NULL, size BIGINT NOT NULL,
  body {{blob}}, blob TEXT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE TABLE intake_event (org TEXT NOT NULL, id TEXT NOT NULL, channel TEXT NOT NULL, key TEXT NOT NULL, raw TEXT NOT NULL,
  sender TEXT NOT NULL, type TEXT NOT NULL, event TEXT NOT NULL, state TEXT NOT NULL, error TEXT NOT NULL, attempts BIGINT NOT NULL, next_at BIGINT NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX intake_event_key ON intake_event (org, channel, key);
CREATE INDEX intake_event_pending ON intake_event (org, id) WHERE state = 'pending';
CREATE INDEX intake_event_quarantined ON intake_event (org, id) WHERE state = 'quarantined';
CREATE TABLE intake_count (org TEXT NOT NULL, channel TEXT NOT NULL, node TEXT NOT NULL, received BIGINT NOT NULL, duplicates BIGINT NOT NULL,
  trimmed BIGINT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY (org, channel, node)) {{clustered}};

-- customer
CREATE TABLE customer (org TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, named_by TEXT NOT NULL, language TEXT NOT NULL, notes TEXT NOT NULL,
  advisor TEXT NOT NULL, merged_into TEXT NOT NULL, merged_at BIGINT NOT NULL, created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX customer_seen ON customer (org, seen_at, id);
CREATE INDEX customer_merged ON customer (org, merged_into) WHERE merged_into <> '';
CREATE TABLE address (org TEXT NOT NULL, id TEXT NOT NULL, customer TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, name TEXT NOT NULL, assurance TEXT NOT NULL,
  channel TEXT NOT NULL, used_at BIGINT NOT NULL, opted_out_at BIGINT NOT NULL, rule TEXT NOT NULL DEFAULT '', ruled_by TEXT NOT NULL DEFAULT '', ruled_at BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX address_rule ON address (org, ruled_at, id) WHERE rule <> '';
CREATE UNIQUE INDEX address_value ON address (org, kind, value);
CREATE INDEX address_customer ON address (org, customer);

-- conversation: one list row per conversation, with copied fields, so that lists need no joins
CREATE TABLE conversation (org TEXT NOT NULL, id TEXT NOT NULL, customer TEXT NOT NULL, customer_name TEXT NOT NULL, subject TEXT NOT NULL, status TEXT NOT NULL,
  snoozed_until BIGINT NOT NULL, closed_at BIGINT NOT NULL, assignee TEXT NOT NULL, assignee_name TEXT NOT NULL, unit TEXT NOT NULL, unit_name TEXT NOT NULL,
  channel TEXT NOT NULL, channel_kind TEXT NOT NULL, address TEXT NOT NULL, tags TEXT NOT NULL, category TEXT NOT NULL, participants BIGINT NOT NULL, joined_into TEXT NOT NULL,
  last_at BIGINT NOT NULL, last_direction TEXT NOT NULL, last_author TEXT NOT NULL, last_text TEXT NOT NULL,
  waiting_since BIGINT NOT NULL, received BIGINT NOT NULL, pos BIGINT NOT NULL, failed BIGINT NOT NULL, suggestion TEXT NOT NULL, created_at BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX conversation_status ON conversation (org, status, last_at, id);
CREATE INDEX conversation_assignee ON conversation (org, assignee, status, last_at, id);
CREATE INDEX conversation_kind ON conversation (org, channel_kind, status, last_at, id);
CREATE INDEX conversation_customer ON conversation (org, customer);
CREATE INDEX conversation_waiting ON conversation (org, status, waiting_since, id) WHERE waiting_since > 0;
CREATE INDEX conversation_waiting_of ON conversation (org, assignee, status, waiting_since, id) WHERE waiting_since > 0;
CREATE INDEX conversation_unit ON conversation (org, unit, status, last_at, id) WHERE unit <> '';
CREATE INDEX conversation_category ON conversation (org, category, last_at, id) WHERE category <> '';
CREATE INDEX conversation_failed ON conversation (org, last_at, id) WHERE failed > 0;
CREATE INDEX conversation_joined ON conversation (org, joined_into) WHERE joined_into <> '';
CREATE INDEX conversation_snoozed ON conversation (org, snoozed_until) WHERE snoozed_until > 0;
-- which conversations an address took part in, newest last: messengers go on where they left off
CREATE TABLE conversation_address (org TEXT NOT NULL, address TEXT NOT NULL, conversation TEXT NOT NULL, last_in_at BIGINT NOT NULL,
  PRIMARY KEY (org, address, conversation)) {{clustered}};
CREATE TABLE message (org TEXT NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, pos BIGINT NOT NULL, kind TEXT NOT NULL, direction TEXT NOT NULL,
  author TEXT NOT NULL, author_id TEXT NOT NULL, author_name TEXT NOT NULL, channel TEXT NOT NULL, channel_kind TEXT NOT NULL,
  address TEXT NOT NULL, address_value TEXT NOT NULL, assurance TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, html TEXT NOT NULL, remote_images BIGINT NOT NULL,
  headers TEXT NOT NULL, external_id TEXT NOT NULL, reply_to TEXT NOT NULL, attachments BIGINT NOT NULL, automatic BIGINT NOT NULL, unsupported TEXT NOT NULL,
  client_id TEXT NOT NULL, source_key TEXT NOT NULL, raw TEXT NOT NULL, event TEXT NOT NULL, reactions TEXT NOT NULL,
  audience TEXT NOT NULL, participant TEXT NOT NULL, quoted_from BIGINT NOT NULL, authentication TEXT NOT NULL, origin TEXT NOT NULL,
  at BIGINT NOT NULL, received_at BIGINT NOT NULL, edited_at BIGINT NOT NULL, deleted_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX message_pos ON message (org, conversation, pos);
CREATE INDEX message_external ON message (org, channel_kind, external_id) WHERE external_id <> '';
CREATE UNIQUE INDEX message_client ON message (org, client_id, conversation) WHERE client_id <> '';
CREATE TABLE message_history (org TEXT NOT NULL, message TEXT NOT NULL, at BIGINT NOT NULL, text TEXT NOT NULL, html TEXT NOT NULL, PRIMARY KEY (org, message, at)) {{clustered}};
-- the HTML before remote images were taken out, for those who want to see them
CREATE TABLE message_source (org TEXT NOT NULL, message TEXT NOT NULL, html TEXT NOT NULL, PRIMARY KEY (org, message)) {{clustered}};
CREATE TABLE attachment (org TEXT NOT NULL, id TEXT NOT NULL, message TEXT NOT NULL, pos BIGINT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL, size BIGINT NOT NULL,
  content_id TEXT NOT NULL, inline BIGINT NOT NULL, blob TEXT NOT NULL, state TEXT NOT NULL, channel TEXT NOT NULL, remote TEXT NOT NULL,
  attempts BIGINT NOT NULL, next_at BIGINT NOT NULL, created_by TEXT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX attachment_message ON attachment (org, message, pos);
CREATE INDEX attachment_pending ON attachment (org, next_at) WHERE state = 'pending';
CREATE TABLE conversation_read (org TEXT NOT NULL, staff TEXT NOT NULL, conversation TEXT NOT NULL, received BIGINT NOT NULL, pos BIGINT NOT NULL,
  PRIMARY KEY (org, staff, conversation)) {{clustered}};
CREATE TABLE draft (org TEXT NOT NULL, staff TEXT NOT NULL, conversation TEXT NOT NULL, body TEXT NOT NULL, updated_at BIGINT NOT NULL,
  PRIMARY KEY (org, staff, conversation)) {{clustered}};
CREATE TABLE reply_token (org TEXT NOT NULL, token TEXT NOT NULL, conversation TEXT NOT NULL, address TEXT NOT NULL, created_at BIGINT NOT NULL,
  PRIMARY KEY (org, token)) {{clustered}};
CREATE UNIQUE INDEX reply_token_for ON reply_token (org, conversation, address);

-- outbox: one outbound message is one state machine
CREATE TABLE delivery (org TEXT NOT NULL, id TEXT NOT NULL, message TEXT NOT NULL, conversation TEXT NOT NULL, channel TEXT NOT NULL, channel_kind TEXT NOT NULL,
  address TEXT NOT NULL, state TEXT NOT NULL, attempts BIGINT NOT NULL, next_at BIGINT NOT NULL, hold_until BIGINT NOT NULL, node TEXT NOT NULL, lease_until BIGINT NOT NULL,
  external_id TEXT NOT NULL, code TEXT NOT NULL, error TEXT NOT NULL, reason TEXT NOT NULL, handled BIGINT NOT NULL, automatic BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX delivery_due ON delivery (next_at) WHERE state = 'queued';
CREATE INDEX delivery_sending ON delivery (lease_until) WHERE state = 'sending';
CREATE INDEX delivery_lane ON delivery (org, conversation, address, id) WHERE state IN ('queued', 'sending');
CREATE INDEX delivery_message ON delivery (org, message);
CREATE INDEX delivery_external ON delivery (org, channel, external_id) WHERE external_id <> '';
CREATE INDEX delivery_automatic ON delivery (org, address, created_at) WHERE automatic = 1;
CREATE INDEX delivery_failed ON delivery (org, id) WHERE state = 'failed';
CREATE INDEX delivery_uncertain ON delivery (org, id) WHERE state = 'uncertain';
CREATE TABLE delivery_part (org TEXT NOT NULL, channel TEXT NOT NULL, external_id TEXT NOT NULL, delivery TEXT NOT NULL, PRIMARY KEY (org, channel, external_id)) {{clustered}};
CREATE INDEX attachment_blob ON attachment (org, blob) WHERE blob <> '';
CREATE INDEX intake_raw_blob ON intake_raw (org, blob) WHERE blob <> '';
