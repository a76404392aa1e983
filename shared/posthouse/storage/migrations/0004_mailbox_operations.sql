-- Writes to mailboxes: each is one round trip and one commit.
--
-- UIDs come as arrays and are looked up one by one in the index (lateral, with "offset 0" so that it
-- stays so), then touched by their place in the table: whatever the planner believes of these tables,
-- the costs grow with the number of UIDs and never with the mailbox. The lock keeps the places valid.
--
-- Every function locks the mailbox row first and only then looks at messages: statements of a
-- volatile function see what was committed before the lock was had, so modseq and UIDs rise in
-- commit order and a reader never misses a step. Two mailboxes are locked in the order of their ids.
-- A function that finds its mailbox gone returns a null modseq.
--
-- Clients mostly name neighbours (STORE 1:1000, MOVE 1:*): a range is one descent of the index, where
-- so many single UIDs are as many descents and each message is fetched once more by its place. The
-- plan of a range can be no other than the index scan: all its conditions are on the key, and there
-- is no second table that a planner who believes these tables empty could begin with.

-- Packed UIDs hardly compress, and trying took half as long as deleting the messages.
alter table changes alter column data set storage external;

-- True if uids (ascending, each once) are all the numbers from the first to the last: then a range
-- names the same messages, and those that were expunged meanwhile are in neither.
create function are_neighbours(uids bigint[]) returns boolean language sql immutable as $$
  select cardinality(uids) > 1 and uids[cardinality(uids)] - uids[1] = cardinality(uids) - 1
$$;

-- What 'f' rows of changes and whole views carry: count int4, then per message (uid << 32 | flags) int8,
-- then the text 'uid:keyword,keyword;...' of those that have keywords.
create function merged_keywords(old int[], mode "char", words int[]) returns int[]
language sql immutable as $$
  select case mode
    when '+' then nullif(array(select distinct w from unnest(coalesce(old, '{}') || words) w order by 1), '{}')
    when '-' then nullif(array(select w from unnest(old) w where w <> all (words) order by 1), '{}')
    else nullif(words, '{}')
  end
$$;

-- mode: '+' adds, '-' removes, '=' replaces. Messages with a modseq above unchanged_since are left
-- alone and returned in modified (RFC 7162 §3.1.3). changed is null when nothing changed.
create function store_flags(
  account bigint, mailbox bigint, uids bigint[], mode "char", bits int, words int[], unchanged_since bigint,
  out step bigint, out changed bytea, out modified bigint[]
) language plpgsql as $$
begin
  select modseq + 1 into step from mailboxes where account_id = account and mailbox_id = mailbox for update;
  if not found then return; end if;
  if unchanged_since is not null then
    select array_agg(m.uid order by m.uid) into modified from unnest(uids) u cross join lateral (
      select uid, modseq from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
    ) m where m.modseq > unchanged_since;
  end if;
  if are_neighbours(uids) then
    with done as (
      update messages m set modseq = step,
             flags = case mode when '+' then m.flags | bits when '-' then m.flags & ~bits else bits end,
             keywords = case when mode <> '=' and words = '{}' then m.keywords
                             else merged_keywords(m.keywords, mode, words) end
       where m.account_id = account and m.mailbox_id = mailbox and m.uid between uids[1] and uids[cardinality(uids)]
         and (unchanged_since is null or m.modseq <= unchanged_since)
         and (m.flags <> case mode when '+' then m.flags | bits when '-' then m.flags & ~bits else bits end
              or (mode = '=' or words <> '{}') and m.keywords is distinct from merged_keywords(m.keywords, mode, words))
      returning m.uid, m.flags, m.keywords
    )
    select int4send(count(*)::int) || string_agg(int8send(d.uid << 32 | d.flags), '')
           || coalesce(convert_to(string_agg(d.uid || ':' || array_to_string(d.keywords, ','), ';')
                                  filter (where d.keywords is not null), 'UTF8'), '')
      into changed from done d;
  else
    with done as (
      update messages m set modseq = step,
             flags = case mode when '+' then m.flags | bits when '-' then m.flags & ~bits else bits end,
             keywords = case when mode <> '=' and words = '{}' then m.keywords
                             else merged_keywords(m.keywords, mode, words) end
        from unnest(uids) u cross join lateral (
          select ctid as place from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
        ) found
       where m.ctid = found.place
         and (unchanged_since is null or m.modseq <= unchanged_since)
         and (m.flags <> case mode when '+' then m.flags | bits when '-' then m.flags & ~bits else bits end
              or (mode = '=' or words <> '{}') and m.keywords is distinct from merged_keywords(m.keywords, mode, words))
      returning m.uid, m.flags, m.keywords
    )
    select int4send(count(*)::int) || string_agg(int8send(d.uid << 32 | d.flags), '')
           || coalesce(convert_to(string_agg(d.uid || ':' || array_to_string(d.keywords, ','), ';')
                                  filter (where d.keywords is not null), 'UTF8'), '')
      into changed from done d;
  end if;
  if changed is null then
    step := step - 1;
    return;
  end if;
  insert into changes values (account, mailbox, step, 'f', changed);
  update mailboxes set modseq = step where account_id = account and mailbox_id = mailbox;
end $$;

-- Removes of the named UIDs (null: of all) those that are \Deleted, or all of them when any_flags.
create function expunge_messages(account bigint, mailbox bigint, uids bigint[], any_flags boolean,
  out step bigint, out gone bytea
) language plpgsql as $$
declare
  many int;
  weight bigint;
begin
  select modseq + 1 into step from mailboxes where account_id = account and mailbox_id = mailbox for update;
  if not found then return; end if;
  if uids is null then
    with done as (
      delete from messages m where m.account_id = account and m.mailbox_id = mailbox
         and (any_flags or m.flags & 8 <> 0)
      returning m.uid, m.size
    )
    select count(*), sum(d.size), string_agg(int8send(d.uid), '' order by d.uid) into many, weight, gone from done d;
  elsif are_neighbours(uids) then
    with done as (
      delete from messages m where m.account_id = account and m.mailbox_id = mailbox
         and m.uid between uids[1] and uids[cardinality(uids)] and (any_flags or m.flags & 8 <> 0)
      returning m.uid, m.size
    )
    select count(*), sum(d.size), string_agg(int8send(d.uid), '' order by d.uid) into many, weight, gone from done d;
  else
    with done as (
      delete from messages m using unnest(uids) u cross join lateral (
        select ctid as place from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
      ) found where m.ctid = found.place and (any_flags or m.flags & 8 <> 0)
      returning m.uid, m.size
    )
    select count(*), sum(d.size), string_agg(int8send(d.uid), '' order by d.uid) into many, weight, gone from done d;
  end if;
  if many = 0 then
    step := step - 1;
    return;
  end if;
  insert into changes values (account, mailbox, step, 'e', gone);
  update mailboxes set modseq = step, exists_ = exists_ - many, octets = octets - weight
   where account_id = account and mailbox_id = mailbox;
end $$;

-- Copies (or moves) messages; UIDs in the target follow the order of those in the source.
-- came_from and first_uid make COPYUID (RFC 4315 §3). refusal: 'quota', or 'gone' when the target is.
create function copy_messages(account bigint, source bigint, target bigint, uids bigint[], is_move boolean,
  out source_step bigint, out target_step bigint, out came_from bytea, out first_uid bigint,
  out validity bigint, out refusal text
) language plpgsql as $$
declare
  many int;
  weight bigint;
  allowed bigint;
begin
  perform 1 from mailboxes where account_id = account and mailbox_id in (source, target)
    order by mailbox_id for update;
  select modseq into source_step from mailboxes where account_id = account and mailbox_id = source;
  if not found then return; end if;
  select modseq + 1, uidnext, uidvalidity into target_step, first_uid, validity
    from mailboxes where account_id = account and mailbox_id = target;
  if not found then refusal := 'gone'; return; end if;
  if are_neighbours(uids) then
    select count(*), sum(size), string_agg(int8send(uid), '' order by uid) into many, weight, came_from
      from messages where account_id = account and mailbox_id = source
       and uid between uids[1] and uids[cardinality(uids)];
  else
    select count(*), sum(size), string_agg(int8send(uid), '' order by uid) into many, weight, came_from
      from unnest(uids) u cross join lateral (
        select uid, size from messages where account_id = account and mailbox_id = source and uid = u offset 0
      ) found;
  end if;
  if many = 0 then return; end if;
  if not is_move then
    select quota_octets into allowed from accounts where account_id = account;
    if allowed < weight + (select sum(octets) from mailboxes where account_id = account) then
      refusal := 'quota';
      return;
    end if;
  end if;
  if are_neighbours(uids) then
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size, keywords)
    select account, target, content_id, target_step, internaldate, now(),
           first_uid - 1 + row_number() over (order by uid), flags, size, keywords
      from messages where account_id = account and mailbox_id = source
       and uid between uids[1] and uids[cardinality(uids)];
  else
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size, keywords)
    select account, target, content_id, target_step, internaldate, now(),
           first_uid - 1 + row_number() over (order by uid), flags, size, keywords
      from unnest(uids) u cross join lateral (
        select * from messages where account_id = account and mailbox_id = source and uid = u offset 0
      ) found;
  end if;
  insert into changes
  values (account, target, target_step, 'a', int8send(first_uid) || int8send(first_uid + many - 1));
  update mailboxes set modseq = target_step, uidnext = uidnext + many, exists_ = exists_ + many, octets = octets + weight
   where account_id = account and mailbox_id = target;
  if is_move then
    source_step := case when source = target then target_step else source_step end + 1;
    if are_neighbours(uids) then
      delete from messages m where m.account_id = account and m.mailbox_id = source
         and m.uid between uids[1] and uids[cardinality(uids)] and (source <> target or m.uid < first_uid);
    else
      delete from messages m using unnest(uids) u cross join lateral (
        select ctid as place from messages where account_id = account and mailbox_id = source and uid = u offset 0
      ) found where m.ctid = found.place and (source <> target or m.uid < first_uid);
    end if;
    insert into changes values (account, source, source_step, 'e', came_from);
    update mailboxes set modseq = source_step, exists_ = exists_ - many, octets = octets - weight
     where account_id = account and mailbox_id = source;
  end if;
end $$;

-- One message with content of its own (IMAP APPEND). refusal: 'quota' or 'gone'.
create function append_message(account bigint, mailbox bigint, object uuid, octets_ int, summary bytea[],
  dated timestamptz, flags_ int, words int[],
  out step bigint, out new_uid bigint, out validity bigint, out refusal text
) language plpgsql as $$
declare
  allowed bigint;
  content bigint;
begin
  update mailboxes set modseq = modseq + 1, uidnext = uidnext + 1, exists_ = exists_ + 1, octets = octets + octets_
   where account_id = account and mailbox_id = mailbox
  returning modseq, uidnext - 1, uidvalidity into step, new_uid, validity;
  if not found then refusal := 'gone'; return; end if;
  select quota_octets into allowed from accounts where account_id = account;
  if allowed < (select sum(octets) from mailboxes where account_id = account) then
    update mailboxes set modseq = modseq - 1, uidnext = uidnext - 1, exists_ = exists_ - 1, octets = octets - octets_
     where account_id = account and mailbox_id = mailbox;
    refusal := 'quota';
    return;
  end if;
  insert into contents (account_id, object_id, size, envelope, bodystructure, header, parts)
  values (account, object, octets_, summary[1], summary[2], summary[3], summary[4]) returning content_id into content;
  insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size, keywords)
  values (account, mailbox, content, step, dated, now(), new_uid, flags_, octets_, nullif(words, '{}'));
  insert into changes values (account, mailbox, step, 'a', int8send(new_uid) || int8send(new_uid));
end $$;

-- Folded text is read far more often than written: the quicker compression, where the server has it.
do $$ begin
  alter table search alter column header_f set compression lz4, alter column body_f set compression lz4;
exception when feature_not_supported then null;
end $$;
