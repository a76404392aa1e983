-- What was found of a message before it was accepted. Null costs nothing: most houses that check
-- nothing have nothing here.
alter table envelopes
  add column verdict jsonb,     -- action, score, rules with their scores (posthouse.mail.content.Kept)
  add column junk boolean,      -- it goes to Junk where it is delivered; null: no
  add column unjudged boolean;  -- nobody has judged its content: routing does; null: no
