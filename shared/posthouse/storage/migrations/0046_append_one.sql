-- A message alone (IMAP APPEND by one client at a time, and by far the most there are): as append_messages, but
-- without arrays, and found, locked and counted in one step.
create function append_one(account bigint, mailbox text, object uuid, octets_ int, envelope_ bytea, bodystructure_ bytea,
  header_ bytea, parts_ bytea, dated timestamptz, flags_ int, words int[],
  out box bigint, out step bigint, out new_uid bigint, out validity bigint, out refusal text
) language plpgsql as $$
declare
  content bigint;
begin
  update mailboxes set modseq = modseq + 1, uidnext = uidnext + 1, exists_ = exists_ + 1, octets = octets + octets_
   where account_id = account and name = mailbox
  returning mailbox_id, modseq, uidnext - 1, uidvalidity into box, step, new_uid, validity;
  if not found then refusal := 'gone'; return; end if;
  perform 1 from quota_room(account) room where room.octets < 0 or room.messages < 0;
  if found then
    update mailboxes set modseq = modseq - 1, uidnext = uidnext - 1, exists_ = exists_ - 1, octets = octets - octets_
     where account_id = account and mailbox_id = box;
    refusal := 'quota';
    return;
  end if;
  insert into contents (account_id, object_id, size, envelope, bodystructure, header, parts)
  values (account, object, octets_, envelope_, bodystructure_, header_, parts_) returning content_id into content;
  insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size, keywords)
  values (account, box, content, step, dated, now(), new_uid, flags_, octets_, nullif(words, '{}'));
  insert into changes values (account, box, step, 'a', int8send(new_uid) || int8send(new_uid));
end $$;
