-- +goose Up
-- search: one document for each message, note and customer record. doc says where it stands in the index, newest last;
-- the terms are beside it (PostgreSQL) or in a full-text table of their own under the same number (SQLite); hash is of
-- them, so that a message that is touched without saying anything else (a delivery's state) is not written again.
-- cursor: seq of the feed up to which everything is indexed; messages and customers: where reading the tables anew goes
-- on ("" = done)
CREATE TABLE search_state (org TEXT PRIMARY KEY, num BIGINT NOT NULL, version BIGINT NOT NULL, cursor BIGINT NOT NULL, messages TEXT NOT NULL, customers TEXT NOT NULL,
  next_up BIGINT NOT NULL, next_down BIGINT NOT NULL, next_customer BIGINT NOT NULL) {{clustered}};
CREATE UNIQUE INDEX search_state_num ON search_state (num);
CREATE TABLE search_doc (org TEXT NOT NULL, doc BIGINT NOT NULL, ref TEXT NOT NULL, hash BIGINT NOT NULL{{search terms}}, PRIMARY KEY (org, doc)) {{clustered}};
CREATE UNIQUE INDEX search_doc_ref ON search_doc (org, ref);
-- what the messages of a conversation were last indexed with besides their own text
CREATE TABLE search_head (org TEXT NOT NULL, conversation TEXT NOT NULL, hash BIGINT NOT NULL, PRIMARY KEY (org, conversation)) {{clustered}};
{{search index}};
