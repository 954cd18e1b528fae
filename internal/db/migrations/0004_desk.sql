-- +goose Up
-- third parties in a conversation; removed_at > 0: gets nothing more
CREATE TABLE participant (org TEXT NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, address TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
  added_by TEXT NOT NULL, added_at BIGINT NOT NULL, removed_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE UNIQUE INDEX participant_address ON participant (org, conversation, address);
-- a copy of what lists by tag need, in their order
CREATE TABLE conversation_tag (org TEXT NOT NULL, conversation TEXT NOT NULL, tag TEXT NOT NULL, status TEXT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY (org, conversation, tag)) {{clustered}};
CREATE INDEX conversation_tag_list ON conversation_tag (org, tag, status, last_at, conversation);
CREATE TABLE mention (org TEXT NOT NULL, staff TEXT NOT NULL, message TEXT NOT NULL, conversation TEXT NOT NULL, at BIGINT NOT NULL, seen_at BIGINT NOT NULL, PRIMARY KEY (org, staff, message)) {{clustered}};
CREATE INDEX mention_list ON mention (org, staff, at, message);
CREATE INDEX mention_unseen ON mention (org, staff, conversation) WHERE seen_at = 0;
-- contract, claim and order numbers by which people name their concern
CREATE TABLE matter_number (org TEXT NOT NULL, number TEXT NOT NULL, conversation TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (org, number, conversation)) {{clustered}};
CREATE INDEX matter_number_of ON matter_number (org, conversation);
-- what staff work with
CREATE TABLE view (org TEXT NOT NULL, id TEXT NOT NULL, staff TEXT NOT NULL, name TEXT NOT NULL, query TEXT NOT NULL, shared BIGINT NOT NULL, pos BIGINT NOT NULL, created_at BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE TABLE text_block (org TEXT NOT NULL, id TEXT NOT NULL, staff TEXT NOT NULL, unit TEXT NOT NULL, name TEXT NOT NULL, shortcut TEXT NOT NULL, text TEXT NOT NULL, updated_at BIGINT NOT NULL,
  PRIMARY KEY (org, id)) {{clustered}};
CREATE TABLE preference (org TEXT NOT NULL, staff TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (org, staff)) {{clustered}};
-- messages whose sender is still to be judged by asking the network
CREATE TABLE assessment (org TEXT NOT NULL, message TEXT NOT NULL, channel TEXT NOT NULL, address TEXT NOT NULL, raw TEXT NOT NULL, attempts BIGINT NOT NULL, next_at BIGINT NOT NULL,
  PRIMARY KEY (org, message)) {{clustered}};
CREATE INDEX assessment_due ON assessment (org, next_at, message);
