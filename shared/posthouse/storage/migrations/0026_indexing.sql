-- Grams of a message's folded texts (posthouse.mime.indexed), put here by the indexer; null: not yet, or too many.
alter table search add grams int[],
  alter subject_s set default '', alter from_s set default '', alter to_s set default '', alter cc_s set default '',
  alter from_d set default '', alter to_d set default '', alter is_reply set default false, alter refs set default '';
alter table search alter grams set storage external;
create index search_grams on search using gin (grams) with (gin_pending_list_limit = 1024) where grams is not null;
create index search_untold on search (account_id, content_id) where grams is null;

-- Contents that the indexer has not seen. Whoever makes contents need not know of it.
create table unindexed (
  account_id bigint not null,
  content_id bigint not null,
  since      timestamptz not null default now(),
  offered    timestamptz,                        -- put on the queue then; null: not yet
  primary key (account_id, content_id)
) with (fillfactor = 70);
create index unindexed_new on unindexed (since) where offered is null;
create index unindexed_offered on unindexed (offered) where offered is not null;

create function note_unindexed() returns trigger language plpgsql as $$
begin
  insert into unindexed (account_id, content_id) select account_id, content_id from fresh;
  return null;
end $$;
create trigger note_unindexed after insert on contents
  referencing new table as fresh for each statement execute function note_unindexed();

insert into unindexed (account_id, content_id) select account_id, content_id from contents;
