-- \Seen of guests: which messages of somebody else's mailbox a reader has read. The flag of the messages
-- themselves is the owner's. A row per reader and mailbox: what was read are mostly few long ranges.
create table seen (
  account_id  bigint not null,
  mailbox_id  bigint not null,
  reader      bigint not null references accounts on delete cascade,
  uids        int8multirange not null default '{}',
  primary key (account_id, mailbox_id, reader)
);

create or replace function forget_annotations() returns trigger language plpgsql as $$
begin
  delete from annotations a using gone g where a.account_id = g.account_id and a.mailbox_id = g.mailbox_id;
  delete from seen s using gone g where s.account_id = g.account_id and s.mailbox_id = g.mailbox_id;
  return null;
end $$;

-- Sets or clears \Seen of one reader. It is a step of the mailbox as every change of flags is (RFC 7162), so
-- that the reader's other sessions and clients learn of it; to all others the messages are as they were.
-- Out values as of store_flags.
create function store_seen(account bigint, mailbox bigint, who bigint, uids_ bigint[], is_seen boolean,
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
         range_agg(int8range(m.uid, m.uid, '[]'))
           filter (where (had @> m.uid) <> is_seen and (unchanged_since is null or m.modseq <= unchanged_since))
    into modified, wanted
    from unnest(uids_) u cross join lateral (
      select uid, modseq from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
    ) m;
  if wanted is null then
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
