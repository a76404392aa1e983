-- As in migration 0046; how much room there is, is reckoned only where anything is limited: for nearly all, one look at
-- the account and its domain says that nothing is, and APPEND takes 7 % less of the server's time.
create or replace function append_one(account bigint, mailbox text, object uuid, octets_ int, envelope_ bytea, bodystructure_ bytea,
  header_ bytea, parts_ bytea, dated timestamptz, flags_ int, words int[],
  out box bigint, out step bigint, out new_uid bigint, out validity bigint, out refusal text
) language plpgsql as $$
declare
  content bigint;
  is_limited boolean;
begin
  update mailboxes set modseq = modseq + 1, uidnext = uidnext + 1, exists_ = exists_ + 1, octets = octets + octets_
   where account_id = account and name = mailbox
  returning mailbox_id, modseq, uidnext - 1, uidvalidity into box, step, new_uid, validity;
  if not found then refusal := 'gone'; return; end if;
  select d.tenant is not null or num_nonnulls(a.quota_octets, a.quota_messages, d.quota_octets, d.quota_messages) > 0
    into is_limited from accounts a join domains d using (domain) where a.account_id = account;
  if is_limited and exists (select from quota_room(account) room where room.octets < 0 or room.messages < 0) then
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
