-- +goose Up
-- lists by tag read the copy alone: who is responsible, and whether lists leave the conversation out (set aside, or
-- joined into another one)
ALTER TABLE conversation_tag ADD COLUMN assignee TEXT NOT NULL DEFAULT '';
ALTER TABLE conversation_tag ADD COLUMN hidden BIGINT NOT NULL DEFAULT 0;
DROP INDEX conversation_tag_list;
UPDATE conversation_tag SET
  assignee = COALESCE((SELECT c.assignee FROM conversation c WHERE c.org = conversation_tag.org AND c.id = conversation_tag.conversation), ''),
  hidden = COALESCE((SELECT CASE WHEN c.category <> '' OR c.joined_into <> '' THEN 1 ELSE 0 END FROM conversation c WHERE c.org = conversation_tag.org AND c.id = conversation_tag.conversation), 0);
CREATE INDEX conversation_tag_list ON conversation_tag (org, tag, hidden, status, last_at, conversation);
CREATE INDEX conversation_tag_of ON conversation_tag (org, tag, assignee, hidden, status, last_at, conversation);
