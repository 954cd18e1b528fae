-- +goose Up
-- sessions of web chats: who holds the token behind the hash is the visitor
CREATE TABLE chat_session (org TEXT NOT NULL, hash TEXT NOT NULL, channel TEXT NOT NULL, visitor TEXT NOT NULL, name TEXT NOT NULL, language TEXT NOT NULL,
  created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (org, hash)) {{clustered}};
CREATE INDEX chat_session_expires ON chat_session (org, expires_at);
-- mails that visitors asked for, so that nobody can have third parties mailed
CREATE TABLE chat_mail (org TEXT NOT NULL, id TEXT NOT NULL, visitor TEXT NOT NULL, email TEXT NOT NULL, address TEXT NOT NULL, conversation TEXT NOT NULL, message TEXT NOT NULL,
  client_id TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (org, id)) {{clustered}};
CREATE INDEX chat_mail_visitor ON chat_mail (org, visitor, at);
CREATE INDEX chat_mail_email ON chat_mail (org, email, at);
-- who has read a conversation, for the tick at the visitor's message
CREATE INDEX conversation_read_of ON conversation_read (org, conversation);
