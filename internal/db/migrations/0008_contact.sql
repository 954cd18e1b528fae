-- +goose Up
-- the contact page: ways that were entered by hand, and what was changed about those that are there by themselves
CREATE TABLE contact_way (org TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, url TEXT NOT NULL, label TEXT NOT NULL, note TEXT NOT NULL, section TEXT NOT NULL, hours TEXT NOT NULL, pos BIGINT NOT NULL,
  hidden BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE TABLE contact_hours (org TEXT NOT NULL, body TEXT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (org)) {{clustered}};
-- how often what was offered and used, by day; way = '': the page itself
CREATE TABLE contact_use (org TEXT NOT NULL, day TEXT NOT NULL, way TEXT NOT NULL, what TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (org, day, way, what)) {{clustered}};
