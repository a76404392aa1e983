-- What is shown to "anyone" is looked for in one tenant: the index on ACLs knows no tenants, and whoever
-- lists mailboxes read those of all others.
create table shown_to_anyone (
  tenant      text not null,                     -- of the owner's domain; empty without one
  account_id  bigint not null,
  mailbox_id  bigint not null,
  primary key (tenant, account_id, mailbox_id),
  unique (account_id, mailbox_id)
);

create function is_shown_to_anyone(acl jsonb) returns boolean language sql immutable as $$
  select coalesce(acl ->> 'anyone' like '%l%', false)
$$;

-- Row lock: a domain whose tenant changes meanwhile waits for us, then takes our row along.
create function show_to_anyone() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then
    delete from shown_to_anyone where account_id = old.account_id and mailbox_id = old.mailbox_id;
  end if;
  if tg_op <> 'DELETE' and is_shown_to_anyone(new.acl) then
    insert into shown_to_anyone
    select coalesce(d.tenant, ''), new.account_id, new.mailbox_id
      from accounts a join domains d using (domain) where a.account_id = new.account_id for share of d;
  end if;
  return null;
end $$;
create trigger shown_to_anyone_made after insert on mailboxes for each row
  when (is_shown_to_anyone(new.acl)) execute function show_to_anyone();
create trigger shown_to_anyone_changed after update of acl on mailboxes for each row
  when (is_shown_to_anyone(old.acl) <> is_shown_to_anyone(new.acl)) execute function show_to_anyone();
create trigger shown_to_anyone_gone after delete on mailboxes for each row
  when (is_shown_to_anyone(old.acl)) execute function show_to_anyone();

create function show_to_other_tenant() returns trigger language plpgsql as $$
begin
  update shown_to_anyone s set tenant = coalesce(new.tenant, '')
    from accounts a where a.domain = new.domain and s.account_id = a.account_id;
  return null;
end $$;
create trigger shown_to_other_tenant after update of tenant on domains for each row
  when (old.tenant is distinct from new.tenant) execute function show_to_other_tenant();

insert into shown_to_anyone
select coalesce(d.tenant, ''), m.account_id, m.mailbox_id
  from mailboxes m join accounts a using (account_id) join domains d using (domain)
 where m.acl is not null and is_shown_to_anyone(m.acl);
