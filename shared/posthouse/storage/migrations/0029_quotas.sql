-- Copies on terms, and every quota where messages come in (RFC 9208).

-- Copies (or moves) messages between mailboxes of any accounts, with the system flags in mask and, if
-- keep_words, the keywords, which get numbers of the target's account. Contents are copied once per
-- message; objects are shared. Locks: the target's account if keywords are new to it, then mailboxes
-- by account and id, as everybody does. Out values as of copy_messages.
create function copy_messages_to(source_account bigint, source bigint, target_account bigint, target bigint,
  uids bigint[], is_move boolean, mask int, keep_words boolean,
  out source_step bigint, out target_step bigint, out came_from bytea, out first_uid bigint,
  out validity bigint, out refusal text
) language plpgsql as $$
declare
  many int;
  weight bigint;
begin
  if keep_words and source_account <> target_account then
    perform share_keywords(source_account, source, target_account, uids);
  end if;
  perform 1 from unnest(array[source_account, target_account], array[source, target]) as asked (account_id, mailbox_id)
    join mailboxes m using (account_id, mailbox_id) order by m.account_id, m.mailbox_id for update of m;
  select modseq into source_step from mailboxes where account_id = source_account and mailbox_id = source;
  if not found then return; end if;
  select modseq + 1, uidnext, uidvalidity into target_step, first_uid, validity
    from mailboxes where account_id = target_account and mailbox_id = target;
  if not found then refusal := 'gone'; return; end if;
  select count(*), sum(size), string_agg(int8send(uid), '' order by uid) into many, weight, came_from
    from unnest(uids) u cross join lateral (
      select uid, size from messages where account_id = source_account and mailbox_id = source and uid = u offset 0
    ) found;
  if many = 0 then return; end if;
  if not is_move or source_account <> target_account then
    perform 1 from quota_room(target_account) room where weight > room.octets or many > room.messages;
    if found then refusal := 'quota'; return; end if;
  end if;
  with picked as materialized (
    select found.*, row_number() over (order by uid) as n from unnest(uids) u cross join lateral (
      select * from messages where account_id = source_account and mailbox_id = source and uid = u offset 0
    ) found
  ), fresh as materialized (
    select content_id, nextval(pg_get_serial_sequence('contents', 'content_id')) as new_id
      from (select distinct content_id from picked where source_account <> target_account) p
  ), made as (
    insert into contents (account_id, content_id, object_id, size, prefix, envelope, bodystructure, header, parts)
    overriding system value
    select target_account, f.new_id, c.object_id, c.size, c.prefix, c.envelope, c.bodystructure, c.header, c.parts
      from fresh f join contents c on c.account_id = source_account and c.content_id = f.content_id
  )
  insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size, keywords)
  select target_account, target, coalesce(f.new_id, p.content_id), target_step, p.internaldate, now(), first_uid - 1 + p.n,
         p.flags & mask, p.size,
         case when not keep_words then null when source_account = target_account then p.keywords
              else keywords_there(source_account, target_account, p.keywords) end
    from picked p left join fresh f using (content_id);
  insert into changes
  values (target_account, target, target_step, 'a', int8send(first_uid) || int8send(first_uid + many - 1));
  update mailboxes set modseq = target_step, uidnext = uidnext + many, exists_ = exists_ + many, octets = octets + weight
   where account_id = target_account and mailbox_id = target;
  if is_move then
    source_step := case when source = target then target_step else source_step end + 1;
    delete from messages m using unnest(uids) u cross join lateral (
      select ctid as place from messages where account_id = source_account and mailbox_id = source and uid = u offset 0
    ) found where m.ctid = found.place and (source <> target or m.uid < first_uid);
    insert into changes values (source_account, source, source_step, 'e', came_from);
    update mailboxes set modseq = source_step, exists_ = exists_ - many, octets = octets - weight
     where account_id = source_account and mailbox_id = source;
  end if;
end $$;

-- Keywords of these messages that the other account never had get numbers there, up to 200.
create function share_keywords(source_account bigint, source bigint, target_account bigint, uids bigint[])
returns void language plpgsql as $$
begin
  perform 1 from accounts where account_id = target_account for update;
  insert into keywords (account_id, keyword_id, name)
  select target_account, had.last + row_number() over (order by new.name), new.name
    from (select coalesce(max(keyword_id), 0) as last, count(*) as many from keywords where account_id = target_account) had,
         (select distinct s.name from unnest(uids) u cross join lateral (
            select keywords from messages where account_id = source_account and mailbox_id = source and uid = u
               and keywords is not null offset 0
          ) found cross join lateral unnest(found.keywords) k
           join keywords s on s.account_id = source_account and s.keyword_id = k
           where not exists (select from keywords t where t.account_id = target_account and lower(t.name) = lower(s.name))
           limit greatest(0, 200 - (select count(*) from keywords where account_id = target_account))) new
  on conflict do nothing;
end $$;

create function keywords_there(source_account bigint, target_account bigint, words int[]) returns int[]
language sql stable as $$
  select nullif(array(
    select distinct t.keyword_id from unnest(words) k
      join keywords s on s.account_id = source_account and s.keyword_id = k
      join keywords t on t.account_id = target_account and lower(t.name) = lower(s.name) order by 1), '{}')
$$;

-- As in migration 0004, but for the question of room.
create or replace function copy_messages(account bigint, source bigint, target bigint, uids bigint[], is_move boolean,
  out source_step bigint, out target_step bigint, out came_from bytea, out first_uid bigint,
  out validity bigint, out refusal text
) language plpgsql as $$
declare
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
    perform 1 from quota_room(account) room where weight > room.octets or many > room.messages;
    if found then refusal := 'quota'; return; end if;
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

-- Likewise.
create or replace function append_message(account bigint, mailbox bigint, object uuid, octets_ int, summary bytea[],
  dated timestamptz, flags_ int, words int[],
  out step bigint, out new_uid bigint, out validity bigint, out refusal text
) language plpgsql as $$
declare
  content bigint;
begin
  update mailboxes set modseq = modseq + 1, uidnext = uidnext + 1, exists_ = exists_ + 1, octets = octets + octets_
   where account_id = account and mailbox_id = mailbox
  returning modseq, uidnext - 1, uidvalidity into step, new_uid, validity;
  if not found then refusal := 'gone'; return; end if;
  perform 1 from quota_room(account) room where room.octets < 0 or room.messages < 0;
  if found then
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
