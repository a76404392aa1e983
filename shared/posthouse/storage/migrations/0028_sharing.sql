-- Who may do what with whose mailboxes (RFC 4314), what is said about mailboxes (RFC 5464), and quotas
-- of users, domains and tenants (RFC 9208).

-- A tenant is a customer with domains; "anyone" on an ACL ends at its border.
create table tenants (
  tenant           text primary key,
  quota_octets     bigint,                       -- null: unlimited, as for every quota here
  quota_messages   bigint,
  quota_mailboxes  bigint,
  used_octets      bigint not null default 0,    -- of its domains, as the postmaster summed them last
  used_messages    bigint not null default 0,
  used_mailboxes   bigint not null default 0,
  created_at       timestamptz not null default now()
);

alter table domains
  add tenant           text references tenants,
  add quota_octets     bigint,
  add quota_messages   bigint,
  add quota_mailboxes  bigint,
  add used_octets      bigint not null default 0,
  add used_messages    bigint not null default 0,
  add used_mailboxes   bigint not null default 0;
create index domains_tenant on domains (tenant) where tenant is not null;

alter table accounts
  add quota_messages   bigint,
  add quota_mailboxes  bigint,
  add is_shared        boolean not null default false;  -- nobody's own: shown below "shared/"

-- Who may set quotas by IMAP (RFC 9208 §4.1.3): of the users of a domain, and of it.
create table quota_managers (
  account_id  bigint not null references accounts on delete cascade,
  domain      text not null references domains on delete cascade,
  primary key (account_id, domain)
);

-- Identifier to rights; null: the owner alone. With the row, so that whoever reads a mailbox knows who
-- may do what. Most mailboxes have none, and no write to messages touches it: updates stay HOT.
alter table mailboxes add acl jsonb;
create index mailboxes_acl on mailboxes using gin (acl) where acl is not null;

-- Groups on an ACL are aliases: which of them lead to an address?
create index aliases_targets on aliases using gin (targets);

-- The names below these two are other people's from now on: what users called so keeps its messages.
update mailboxes set name = 'own ' || name
 where name in ('user', 'shared') or starts_with(name, 'user/') or starts_with(name, 'shared/');

-- What is said about a mailbox, or with mailbox 0 about the account's server. reader 0: to everybody.
create table annotations (
  account_id  bigint not null references accounts on delete cascade,
  mailbox_id  bigint not null,
  reader      bigint not null,
  entry       text not null,                     -- as written; names differ by case in nothing
  value       bytea not null,
  primary key (account_id, mailbox_id, reader, entry)
);

create function forget_annotations() returns trigger language plpgsql as $$
begin
  delete from annotations a using gone g where a.account_id = g.account_id and a.mailbox_id = g.mailbox_id;
  return null;
end $$;
create trigger forget_annotations after delete on mailboxes referencing old table as gone
  for each statement execute function forget_annotations();

-- What an account may still take: the least that its own quota, its domain's and its tenant's leave;
-- null for anything. Mailboxes are summed only where the account itself is limited.
create function quota_room(account bigint, out octets bigint, out messages bigint, out mailboxes bigint)
language sql stable as $$
  select least(a.quota_octets - u.octets, d.quota_octets - d.used_octets, t.quota_octets - t.used_octets),
         least(a.quota_messages - u.messages, d.quota_messages - d.used_messages,
               t.quota_messages - t.used_messages),
         least(a.quota_mailboxes - u.mailboxes, d.quota_mailboxes - d.used_mailboxes,
               t.quota_mailboxes - t.used_mailboxes)
    from accounts a join domains d using (domain) left join tenants t using (tenant)
    cross join lateral (
      select sum(m.octets)::bigint as octets, sum(m.exists_) as messages, count(*) as mailboxes
        from mailboxes m where m.account_id = a.account_id
         and (a.quota_octets is not null or a.quota_messages is not null or a.quota_mailboxes is not null)
    ) u
   where a.account_id = account
$$;
