-- As in migration 0031, but what was read is looked at once: to ask of each message whether it is in those ranges
-- unpacked all of them each time, seconds for a guest who reads here and there, with the mailbox locked.
create or replace function store_seen(account bigint, mailbox bigint, who bigint, uids_ bigint[], is_seen boolean,
  unchanged_since bigint, out step bigint, out changed bytea, out modified bigint[]
) language plpgsql as $$
declare
  had int8multirange;
  wanted int8multirange;
begin
  select modseq + 1 into step from mailboxes where account_id = account and mailbox_id = mailbox for update;
  if not found then return; end if;
  insert into seen (account_id, mailbox_id, reader) values (account, mailbox, who) on conflict do nothing;
  select s.uids into had from seen s where s.account_id = account and s.mailbox_id = mailbox and s.reader = who;
  select array_agg(m.uid order by m.uid) filter (where m.modseq > unchanged_since),
         range_agg(int8range(m.uid, m.uid, '[]')) filter (where unchanged_since is null or m.modseq <= unchanged_since)
    into modified, wanted
    from unnest(uids_) u cross join lateral (
      select uid, modseq from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
    ) m;
  wanted := case when is_seen then wanted - had else wanted * had end;
  if wanted is null or isempty(wanted) then
    step := step - 1;
    return;
  end if;
  update seen s set uids = case when is_seen then had + wanted else had - wanted end
   where s.account_id = account and s.mailbox_id = mailbox and s.reader = who;
  with done as (
    update messages m set modseq = step from unnest(uids_) u cross join lateral (
      select ctid as place from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
    ) found where m.ctid = found.place and wanted @> m.uid
    returning m.uid, m.flags, m.keywords
  )
  select int4send(count(*)::int) || string_agg(int8send(d.uid << 32 | d.flags), '')
         || coalesce(convert_to(string_agg(d.uid || ':' || array_to_string(d.keywords, ','), ';')
                                filter (where d.keywords is not null), 'UTF8'), '')
    into changed from done d;
  insert into changes values (account, mailbox, step, 'f', changed);
  update mailboxes set modseq = step where account_id = account and mailbox_id = mailbox;
end $$;
