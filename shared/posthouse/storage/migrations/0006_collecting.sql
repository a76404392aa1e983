-- What goes when nobody refers to it any more; see posthouse.storage.collecting.

-- Contents that lost a message, whoever removed it: after the quarantine the collector looks whether
-- another message still shows them. Written by the statement that removes, so nothing is forgotten.
create table expunged (
  account_id  bigint not null,
  content_id  bigint not null,
  at          timestamptz not null default now()
);
create index expunged_at on expunged (at);

create function note_expunged() returns trigger language plpgsql as $$
begin
  insert into expunged (account_id, content_id) select account_id, content_id from gone;
  return null;
end $$;

create trigger note_expunged after delete on messages referencing old table as gone
  for each statement execute function note_expunged();

-- Does anybody's mailbox show this object? Ids rise with time: the index grows at its end only.
create index contents_object on contents (object_id);
