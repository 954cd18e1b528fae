-- +goose Up
-- what a message offers to press: buttons, list, native fields; read when it is sent
CREATE TABLE delivery_choice (org TEXT NOT NULL, message TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (org, message)) {{clustered}};

-- questions that were put to customers. due_at: when to remind or to expire; pending: an answer that waits for something
CREATE TABLE ask (org TEXT NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, customer TEXT NOT NULL, message TEXT NOT NULL, instance TEXT NOT NULL, step TEXT NOT NULL,
  kind TEXT NOT NULL, definition TEXT NOT NULL, words TEXT NOT NULL, language TEXT NOT NULL, channel TEXT NOT NULL, channel_kind TEXT NOT NULL, address TEXT NOT NULL, client_id TEXT NOT NULL,
  state TEXT NOT NULL, value TEXT NOT NULL, value_text TEXT NOT NULL, tries BIGINT NOT NULL, pending TEXT NOT NULL,
  answered_at BIGINT NOT NULL, answered_via TEXT NOT NULL, answered_kind TEXT NOT NULL, answered_by TEXT NOT NULL, answered_name TEXT NOT NULL, answered_message TEXT NOT NULL,
  expires_at BIGINT NOT NULL, due_at BIGINT NOT NULL, reminded_at BIGINT NOT NULL, correct_until BIGINT NOT NULL,
  created_by TEXT NOT NULL, created_name TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX ask_conversation ON ask (org, conversation, id);
CREATE INDEX ask_customer ON ask (org, customer, id);
CREATE INDEX ask_message ON ask (org, message) WHERE message <> '';
CREATE INDEX ask_answer ON ask (org, answered_message) WHERE answered_message <> '';
CREATE INDEX ask_due ON ask (due_at) WHERE due_at > 0;
CREATE UNIQUE INDEX ask_client ON ask (org, client_id, conversation) WHERE client_id <> '';
-- what opens a question without a login: in buttons, links and on paper. One for each question and address; stale: its
-- buttons show options that were replaced since
CREATE TABLE ask_code (org TEXT NOT NULL, code TEXT NOT NULL, ask TEXT NOT NULL, conversation TEXT NOT NULL, address TEXT NOT NULL, stale BIGINT NOT NULL DEFAULT 0, created_at BIGINT NOT NULL, PRIMARY KEY (org, code)) {{clustered}};
CREATE INDEX ask_code_find ON ask_code (code);
CREATE INDEX ask_code_of ON ask_code (org, ask, address);
-- calendars of free times
CREATE TABLE calendar (org TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, zone TEXT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (org, key)) {{clustered}};
CREATE TABLE calendar_slot (org TEXT NOT NULL, id TEXT NOT NULL, calendar TEXT NOT NULL, starts_at BIGINT NOT NULL, ends_at BIGINT NOT NULL, capacity BIGINT NOT NULL, taken BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX calendar_slot_start ON calendar_slot (org, calendar, starts_at, ends_at);

-- dialogs as their authors wrote them; every version stays, because running instances finish on theirs
CREATE TABLE dialog (org TEXT NOT NULL, key TEXT NOT NULL, version BIGINT NOT NULL, enabled BIGINT NOT NULL, live BIGINT NOT NULL, layout TEXT NOT NULL, updated_by TEXT NOT NULL, updated_name TEXT NOT NULL,
  updated_at BIGINT NOT NULL, PRIMARY KEY (org, key)) {{clustered}};
CREATE TABLE dialog_version (org TEXT NOT NULL, key TEXT NOT NULL, version BIGINT NOT NULL, source TEXT NOT NULL, findings BIGINT NOT NULL, made_by TEXT NOT NULL, made_name TEXT NOT NULL, made_at BIGINT NOT NULL,
  PRIMARY KEY (org, key, version)) {{clustered}};
-- running and ended dialogs. due_at: when to look at it again (a wait that ends, a call to be made)
CREATE TABLE dialog_instance (org TEXT NOT NULL, id TEXT NOT NULL, dialog TEXT NOT NULL, version BIGINT NOT NULL, conversation TEXT NOT NULL, customer TEXT NOT NULL, language TEXT NOT NULL,
  channel TEXT NOT NULL, address TEXT NOT NULL, status TEXT NOT NULL, state TEXT NOT NULL, calling TEXT NOT NULL, attempts BIGINT NOT NULL, due_at BIGINT NOT NULL, lease_until BIGINT NOT NULL, outcome TEXT NOT NULL,
  client_id TEXT NOT NULL, started_by TEXT NOT NULL, started_name TEXT NOT NULL, started_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX dialog_instance_conversation ON dialog_instance (org, conversation, id);
CREATE INDEX dialog_instance_running ON dialog_instance (org, dialog, status) WHERE status IN ('asking', 'waiting', 'calling');
CREATE INDEX dialog_instance_due ON dialog_instance (due_at) WHERE due_at > 0;
CREATE UNIQUE INDEX dialog_instance_client ON dialog_instance (org, client_id, conversation) WHERE client_id <> '';
