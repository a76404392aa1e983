-- Mail that starts on its way later (RFC 4865), and mail that must have arrived by then (RFC 2852).
-- Null is the ordinary case.

alter table envelopes
  add column hold text,                          -- for;<seconds> or until;<date-time>, as MAIL asked
  add column deliver_by text;                    -- the by-value, as MAIL gave it

-- What was committed and is not to be published yet: written with the envelope, in place of the row
-- in unpublished, and moved there when its time has come.
create table held (
  id          uuid primary key,
  account     text not null,                     -- who submitted it
  release_at  timestamptz not null
);
create index held_due on held (release_at);
create index held_account on held (account);
