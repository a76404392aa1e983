-- STORE, COPY, MOVE and EXPUNGE as in migrations 0004 and 0029, at half the cost where not all of a range are named.
--
-- Messages are named from lowest to highest; of these, where marks is not null, those whose octet in it is 1. Where
-- they lie too far apart for that, uids names them. They are looked up once, then touched by their places in the table,
-- which the lock on the mailbox's row keeps valid. Whatever the planner believes of these tables, the costs grow with what
-- is named and never with the mailbox: ranges are one descent of the index, single UIDs one each ("offset 0" keeps it so).
drop function store_flags(bigint, bigint, bigint[], "char", int, int[], bigint);
drop function expunge_messages(bigint, bigint, bigint[], boolean);
drop function copy_messages(bigint, bigint, bigint, bigint[], boolean);
drop function are_neighbours(bigint[]);

create function named_places(account bigint, mailbox bigint, lowest bigint, highest bigint, marks bytea, uids bigint[])
returns tid[] language plpgsql as $$
begin
  if uids is not null then
    return array(select found.place from unnest(uids) u cross join lateral (
      select ctid as place from messages where account_id = account and mailbox_id = mailbox and uid = u offset 0
    ) found);
  elsif marks is not null then
    return array(select ctid from messages where account_id = account and mailbox_id = mailbox
                    and uid between lowest and highest and get_byte(marks, (uid - lowest)::int) = 1);
  end if;
  return array(select ctid from messages
                where account_id = account and mailbox_id = mailbox and uid between lowest and highest);
end $$;

-- mode: '+' adds, '-' removes, '=' replaces. Messages with a modseq above unchanged_since are left
-- alone and returned in modified (RFC 7162 §3.1.3). changed is null when nothing changed.
create function store_flags(
  account bigint, mailbox bigint, lowest bigint, highest bigint, marks bytea, uids bigint[],
  mode "char", bits int, words int[], unchanged_since bigint,
  out step bigint, out changed bytea, out modified bigint[]
) language plpgsql as $$
declare
  places tid[];
  keep constant int := case mode when '+' then -1 when '-' then ~bits else 0 end;
  put constant int := case mode when '-' then 0 else bits end;
  has_words constant boolean := mode = '=' or words <> '{}';
begin
  select modseq + 1 into step from mailboxes where account_id = account and mailbox_id = mailbox for update;
  if not found then return; end if;
  places := named_places(account, mailbox, lowest, highest, marks, uids);
  if unchanged_since is not null then
    select array_agg(uid order by uid) filter (where modseq > unchanged_since),
           coalesce(array_agg(ctid) filter (where modseq <= unchanged_since), '{}')
      into modified, places from messages where ctid = any (places);
  end if;
  with done as (
    update messages m set modseq = step, flags = m.flags & keep | put,
           keywords = case when has_words then merged_keywords(m.keywords, mode, words) else m.keywords end
     where m.ctid = any (places)
       and (m.flags & keep | put <> m.flags
            or has_words and m.keywords is distinct from merged_keywords(m.keywords, mode, words))
    returning m.uid, m.flags, m.keywords
  )
  select int4send(count(*)::int) || string_agg(int8send(d.uid << 32 | d.flags), '')
         || coalesce(convert_to(string_agg(d.uid || ':' || array_to_string(d.keywords, ','), ';')
                                filter (where d.keywords is not null), 'UTF8'), '')
    into changed from done d;
  if changed is null then
    step := step - 1;
    return;
  end if;
  insert into changes values (account, mailbox, step, 'f', changed);
  update mailboxes set modseq = step where account_id = account and mailbox_id = mailbox;
end $$;

-- Removes of the named messages those that are \Deleted, or all of them when any_flags.
create function expunge_messages(account bigint, mailbox bigint, lowest bigint, highest bigint, marks bytea,
  uids bigint[], any_flags boolean,
  out step bigint, out gone bytea
) language plpgsql as $$
declare
  places tid[];
  many int;
  weight bigint;
begin
  select modseq + 1 into step from mailboxes where account_id = account and mailbox_id = mailbox for update;
  if not found then return; end if;
  places := named_places(account, mailbox, lowest, highest, marks, uids);
  with done as (
    delete from messages m where m.ctid = any (places) and (any_flags or m.flags & 8 <> 0)
    returning m.uid, m.size
  )
  select count(*), sum(d.size), string_agg(int8send(d.uid), '' order by d.uid) into many, weight, gone from done d;
  if many = 0 then
    step := step - 1;
    return;
  end if;
  insert into changes values (account, mailbox, step, 'e', gone);
  update mailboxes set modseq = step, exists_ = exists_ - many, octets = octets - weight
   where account_id = account and mailbox_id = mailbox;
end $$;

-- Copies (or moves) messages; UIDs in the target follow the order of those in the source. What moves stays one row:
-- its content lost no message, and nobody need look whether it may go. came_from and first_uid make COPYUID
-- (RFC 4315 §3). refusal: 'quota', or 'gone' when the target is.
create function copy_messages(account bigint, source bigint, target bigint,
  lowest bigint, highest bigint, marks bytea, uids bigint[], is_move boolean,
  out source_step bigint, out target_step bigint, out came_from bytea, out first_uid bigint,
  out validity bigint, out refusal text
) language plpgsql as $$
declare
  places tid[];
  many int;
  weight bigint;
begin
  perform 1 from mailboxes where account_id = account and mailbox_id in (source, target)
    order by mailbox_id for update;
  select modseq into source_step from mailboxes where account_id = account and mailbox_id = source;
  if not found then return; end if;
  select modseq + 1, uidnext, uidvalidity into target_step, first_uid, validity
    from mailboxes where account_id = account and mailbox_id = target;
  if not found then refusal := 'gone'; return; end if;
  places := named_places(account, source, lowest, highest, marks, uids);
  select count(*), sum(size), string_agg(int8send(uid), '' order by uid) into many, weight, came_from
    from messages where ctid = any (places);
  if many = 0 then return; end if;
  if is_move then
    if many = highest - lowest + 1 then
      update messages set mailbox_id = target, modseq = target_step, savedate = now(), uid = first_uid + (uid - lowest)
       where ctid = any (places);
    else
      update messages m set mailbox_id = target, modseq = target_step, savedate = now(), uid = first_uid - 1 + found.n
        from (select ctid as place, row_number() over (order by uid) as n from messages where ctid = any (places)) found
       where m.ctid = found.place;
    end if;
  else
    perform 1 from quota_room(account) room where weight > room.octets or many > room.messages;
    if found then refusal := 'quota'; return; end if;
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size, keywords)
    select account, target, content_id, target_step, internaldate, now(),
           first_uid - 1 + row_number() over (order by uid), flags, size, keywords
      from messages where ctid = any (places);
  end if;
  insert into changes
  values (account, target, target_step, 'a', int8send(first_uid) || int8send(first_uid + many - 1));
  update mailboxes set modseq = target_step, uidnext = uidnext + many, exists_ = exists_ + many, octets = octets + weight
   where account_id = account and mailbox_id = target;
  if is_move then
    source_step := case when source = target then target_step else source_step end + 1;
    insert into changes values (account, source, source_step, 'e', came_from);
    update mailboxes set modseq = source_step, exists_ = exists_ - many, octets = octets - weight
     where account_id = account and mailbox_id = source;
  end if;
end $$;

-- As in migration 0042; numbering each of a thousand rows took as long as removing them.
create or replace function note_expunged() returns trigger language plpgsql as $$
begin
  insert into expunged (account_id, contents)
  select account_id, ids[start : start + 199]
    from (select account_id, array_agg(content_id) as ids from gone group by account_id) of_account,
         generate_series(1, cardinality(ids), 200) start;
  return null;
end $$;
