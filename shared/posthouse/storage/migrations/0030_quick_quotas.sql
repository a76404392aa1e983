-- The question of room comes with every message: as a function whose plans are kept it takes a tenth of the time.
drop function quota_room(bigint);
create function quota_room(account bigint, out octets bigint, out messages bigint, out mailboxes bigint)
language plpgsql stable as $$
declare
  a accounts;
  d domains;
  t tenants;
begin
  select * into a from accounts where account_id = account;
  if a.quota_octets is not null or a.quota_messages is not null or a.quota_mailboxes is not null then
    select a.quota_octets - sum(m.octets), a.quota_messages - sum(m.exists_), a.quota_mailboxes - count(*)
      into octets, messages, mailboxes from mailboxes m where m.account_id = account;
  end if;
  select * into d from domains where domain = a.domain;
  octets := least(octets, d.quota_octets - d.used_octets);
  messages := least(messages, d.quota_messages - d.used_messages);
  mailboxes := least(mailboxes, d.quota_mailboxes - d.used_mailboxes);
  if d.tenant is null then return; end if;
  select * into t from tenants where tenant = d.tenant;
  octets := least(octets, t.quota_octets - t.used_octets);
  messages := least(messages, t.quota_messages - t.used_messages);
  mailboxes := least(mailboxes, t.quota_mailboxes - t.used_mailboxes);
end $$;

-- Whoever lists mailboxes asks this index; ACLs change seldom, so it is kept in order at once.
alter index mailboxes_acl set (fastupdate = off);
select gin_clean_pending_list('mailboxes_acl');
