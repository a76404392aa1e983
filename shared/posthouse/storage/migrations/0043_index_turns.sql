-- What waits for the indexer is noted for accounts alone whose texts are searched: the others cost nothing.
-- That something is not searchable yet is told by what it lacks in `search`; this table only makes it quick.
drop index unindexed_new, unindexed_offered;
truncate unindexed;  -- found again by `below`
alter table unindexed drop column offered;
create index unindexed_since on unindexed (since);

alter table searchers
  add since    timestamptz not null default now(),
  add below    bigint not null default 9223372036854775807,  -- contents below are still to be looked through; 0: none
  add unlooked bigint not null default 0,                    -- about how many these are
  add turn     timestamptz;                                  -- of the account's turn, which is on the queue since; null: none
alter table searchers set (fillfactor = 70);
create index searchers_behind on searchers (last_on desc) where below > 0;
comment on column searchers.last_on is 'when it searched last; infinity: indexed whether it searches or not';

create or replace function note_unindexed() returns trigger language plpgsql as $$
begin
  insert into unindexed (account_id, content_id)
  select f.account_id, f.content_id from fresh f
   where (select true from searchers s where s.account_id = f.account_id);
  return null;
end $$;
