-- Many messages in one commit (IMAP APPEND): clients that append at the same time share it.
--
-- The mailboxes are named, and locked in the order of their ids as everybody does; only then are the
-- messages filed one by one, in the order in which they stand here. One that is refused ('gone',
-- 'quota') changes nothing and spoils none of the others. words: arrays of keyword ids, as text.
create function append_messages(accounts bigint[], names text[], objects uuid[], sizes int[], envelopes bytea[],
  bodystructures bytea[], headers bytea[], parts_ bytea[], dates timestamptz[], flags_ int[], words text[]
) returns table (box bigint, step bigint, new_uid bigint, validity bigint, refusal text) language plpgsql as $$
begin
  perform 1 from unnest(accounts, names) as asked (account_id, name) join mailboxes m using (account_id, name)
    order by m.account_id, m.mailbox_id for update of m;
  for i in 1 .. cardinality(accounts) loop
    select mailbox_id into box from mailboxes where account_id = accounts[i] and name = names[i];
    select done.step, done.new_uid, done.validity, done.refusal into step, new_uid, validity, refusal
      from append_message(accounts[i], box, objects[i], sizes[i],
        array[envelopes[i], bodystructures[i], headers[i], parts_[i]], dates[i], flags_[i], words[i]::int[]) done;
    return next;
  end loop;
end $$;
