-- +goose Up
-- further values under which a provider itself knows the account behind an address (WhatsApp: phone and business-scoped id)
CREATE TABLE address_alias (org TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, address TEXT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (org, kind, value)) {{clustered}};
CREATE INDEX address_alias_of ON address_alias (org, address);
-- texts that a provider has approved for writing outside its window, as it said last
CREATE TABLE channel_template (org TEXT NOT NULL, channel TEXT NOT NULL, name TEXT NOT NULL, language TEXT NOT NULL, body TEXT NOT NULL, asked_at BIGINT NOT NULL, PRIMARY KEY (org, channel, name, language)) {{clustered}};
-- offers to go on elsewhere. The code is what the customer carries over; only its hash is kept
CREATE TABLE handover (org TEXT NOT NULL, hash TEXT NOT NULL, conversation TEXT NOT NULL, customer TEXT NOT NULL, address TEXT NOT NULL, message TEXT NOT NULL, created_by TEXT NOT NULL, created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL, used_at BIGINT NOT NULL, used_by TEXT NOT NULL, PRIMARY KEY (org, hash)) {{clustered}};
CREATE INDEX handover_old ON handover (org, expires_at);
-- wrong codes from one address: who tries too many is not listened to for a while
CREATE TABLE handover_miss (org TEXT NOT NULL, address TEXT NOT NULL, n BIGINT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (org, address)) {{clustered}};
-- what went to an address, for receipts that only name a time
CREATE INDEX delivery_unread ON delivery (org, address, created_at) WHERE state IN ('sent', 'delivered');
