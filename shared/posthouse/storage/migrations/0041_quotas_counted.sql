-- What domains and tenants with limits use is counted in the commit that changes it (decision 0024).
--
-- Parts instead of one row: whoever counts takes a part that nobody else has locked, or makes one. Nobody
-- waits and nobody deadlocks; there are as many parts as ever counted at the same moment.
create table quota_use (
  part       bigint generated always as identity primary key,
  domain     text references domains on delete cascade,
  tenant     text references tenants on delete cascade,
  octets     bigint not null,
  messages   bigint not null,
  mailboxes  bigint not null,
  check (num_nonnulls(domain, tenant) = 1)
) with (fillfactor = 50);
create index quota_use_domain on quota_use (domain) where domain is not null;
create index quota_use_tenant on quota_use (tenant) where tenant is not null;

create function add_use(in_domain text, in_tenant text, more_octets bigint, more_messages bigint, more_mailboxes bigint)
returns void language plpgsql as $$
begin
  if in_domain is not null then
    update quota_use set octets = octets + more_octets, messages = messages + more_messages,
           mailboxes = mailboxes + more_mailboxes
     where part = (select part from quota_use where domain = in_domain order by part limit 1 for update skip locked);
    if not found then
      insert into quota_use (domain, octets, messages, mailboxes)
      values (in_domain, more_octets, more_messages, more_mailboxes);
    end if;
  end if;
  if in_tenant is not null then
    update quota_use set octets = octets + more_octets, messages = messages + more_messages,
           mailboxes = mailboxes + more_mailboxes
     where part = (select part from quota_use where tenant = in_tenant order by part limit 1 for update skip locked);
    if not found then
      insert into quota_use (tenant, octets, messages, mailboxes)
      values (in_tenant, more_octets, more_messages, more_mailboxes);
    end if;
  end if;
end $$;

-- Which counts an account is in: its domain if that is limited, and its tenant likewise.
create function limits_above(account bigint, out in_domain text, out in_tenant text) language plpgsql stable as $$
begin
  select case when num_nonnulls(d.quota_octets, d.quota_messages, d.quota_mailboxes) > 0 then d.domain end,
         case when num_nonnulls(t.quota_octets, t.quota_messages, t.quota_mailboxes) > 0 then t.tenant end
    into in_domain, in_tenant
    from accounts a join domains d using (domain) left join tenants t using (tenant) where a.account_id = account;
end $$;

-- Most houses limit no domain and no tenant: one look into two empty indexes.
create index domains_limited on domains (domain)
 where quota_octets is not null or quota_messages is not null or quota_mailboxes is not null;
create index tenants_limited on tenants (tenant)
 where quota_octets is not null or quota_messages is not null or quota_mailboxes is not null;
create function are_limits_above() returns boolean language plpgsql stable as $$
begin
  return exists (select from domains
                  where quota_octets is not null or quota_messages is not null or quota_mailboxes is not null)
      or exists (select from tenants
                  where quota_octets is not null or quota_messages is not null or quota_mailboxes is not null);
end $$;

create function count_mailbox() returns trigger language plpgsql as $$
declare
  above record;
begin
  if not are_limits_above() then return null; end if;
  if tg_op = 'INSERT' then
    select * into above from limits_above(new.account_id);
    perform add_use(above.in_domain, above.in_tenant, new.octets, new.exists_, 1);
  else
    select * into above from limits_above(old.account_id);
    perform add_use(above.in_domain, above.in_tenant, -old.octets, -old.exists_, -1);
  end if;
  return null;
end $$;
create trigger mailbox_made after insert on mailboxes for each row execute function count_mailbox();
create trigger mailbox_gone after delete on mailboxes for each row execute function count_mailbox();

-- Once for all mailboxes of a statement: a batch of deliveries counts as one.
create function count_mailboxes() returns trigger language plpgsql as $$
begin
  if not are_limits_above() then return null; end if;
  perform add_use(in_domain, in_tenant, sum(octets)::bigint, sum(messages)::bigint, 0) from (
    select case when num_nonnulls(d.quota_octets, d.quota_messages, d.quota_mailboxes) > 0 then d.domain end as in_domain,
           case when num_nonnulls(t.quota_octets, t.quota_messages, t.quota_mailboxes) > 0 then t.tenant end as in_tenant,
           used.octets, used.messages
      from (select account_id, sum(octets) as octets, sum(messages) as messages
              from (select account_id, octets, exists_ as messages from after_it
                     union all select account_id, -octets, -exists_ from before_it) steps
             group by account_id having sum(octets) <> 0 or sum(messages) <> 0) used
      join accounts a using (account_id) join domains d using (domain) left join tenants t using (tenant)
  ) counted where in_domain is not null or in_tenant is not null group by in_domain, in_tenant;
  return null;
end $$;
create trigger mailboxes_filled after update on mailboxes referencing old table as before_it new table as after_it
  for each statement execute function count_mailboxes();

-- Before, because afterwards nobody knows any more in which domain its mailboxes were.
create function count_account() returns trigger language plpgsql as $$
declare
  above record;
begin
  select * into above from limits_above(old.account_id);
  if above.in_domain is not null or above.in_tenant is not null then
    perform add_use(above.in_domain, above.in_tenant, -coalesce(sum(octets), 0)::bigint,
                    -coalesce(sum(exists_), 0)::bigint, -count(*))
       from mailboxes where account_id = old.account_id;
  end if;
  return old;
end $$;
create trigger account_goes before delete on accounts for each row execute function count_account();

-- As in migration 0030, but for where the use stands.
create or replace function quota_room(account bigint, out octets bigint, out messages bigint, out mailboxes bigint)
language plpgsql stable as $$
declare
  a accounts;
  d domains;
  t tenants;
  used record;
begin
  select * into a from accounts where account_id = account;
  if a.quota_octets is not null or a.quota_messages is not null or a.quota_mailboxes is not null then
    select a.quota_octets - sum(m.octets), a.quota_messages - sum(m.exists_), a.quota_mailboxes - count(*)
      into octets, messages, mailboxes from mailboxes m where m.account_id = account;
  end if;
  select * into d from domains where domain = a.domain;
  if d.quota_octets is not null or d.quota_messages is not null or d.quota_mailboxes is not null then
    select coalesce(sum(u.octets), 0) as octets, coalesce(sum(u.messages), 0) as messages,
           coalesce(sum(u.mailboxes), 0) as mailboxes into used from quota_use u where u.domain = d.domain;
    octets := least(octets, d.quota_octets - used.octets);
    messages := least(messages, d.quota_messages - used.messages);
    mailboxes := least(mailboxes, d.quota_mailboxes - used.mailboxes);
  end if;
  if d.tenant is null then return; end if;
  select * into t from tenants where tenant = d.tenant;
  if t.quota_octets is not null or t.quota_messages is not null or t.quota_mailboxes is not null then
    select coalesce(sum(u.octets), 0) as octets, coalesce(sum(u.messages), 0) as messages,
           coalesce(sum(u.mailboxes), 0) as mailboxes into used from quota_use u where u.tenant = t.tenant;
    octets := least(octets, t.quota_octets - used.octets);
    messages := least(messages, t.quota_messages - used.messages);
    mailboxes := least(mailboxes, t.quota_mailboxes - used.mailboxes);
  end if;
end $$;

-- What there really is beside what was counted, both as of one moment, so what is being counted meanwhile
-- is in both or in neither. The difference is counted: what came in while a limit was new, or a tenant.
create function recount_use() returns void language plpgsql as $$
begin
  delete from quota_use where part = any (array(
    select u.part from quota_use u left join domains d using (domain) left join tenants t on t.tenant = u.tenant
     where num_nonnulls(d.quota_octets, d.quota_messages, d.quota_mailboxes,
                        t.quota_octets, t.quota_messages, t.quota_mailboxes) = 0
       for update of u skip locked));
  perform add_use(in_domain, in_tenant, octets::bigint, messages::bigint, mailboxes::bigint) from (
    with real as materialized (
      select d.domain, d.tenant, coalesce(sum(m.octets), 0) as octets, coalesce(sum(m.exists_), 0) as messages,
             count(m.mailbox_id) as mailboxes,
             num_nonnulls(d.quota_octets, d.quota_messages, d.quota_mailboxes) > 0 as is_limited
        from domains d left join tenants t using (tenant)
        left join accounts a using (domain) left join mailboxes m using (account_id)
       where num_nonnulls(d.quota_octets, d.quota_messages, d.quota_mailboxes,
                          t.quota_octets, t.quota_messages, t.quota_mailboxes) > 0
       group by d.domain
    ), differences as (
      select domain as in_domain, null as in_tenant, octets, messages, mailboxes from real where is_limited
       union all
      select null, tenant, octets, messages, mailboxes from real join tenants t using (tenant)
       where num_nonnulls(t.quota_octets, t.quota_messages, t.quota_mailboxes) > 0
       union all
      select domain, tenant, -octets, -messages, -mailboxes from quota_use
    )
    select in_domain, in_tenant, sum(octets) as octets, sum(messages) as messages, sum(mailboxes) as mailboxes
      from differences group by 1, 2
    having sum(octets) <> 0 or sum(messages) <> 0 or sum(mailboxes) <> 0
  ) counted;
end $$;

alter table domains drop used_octets, drop used_messages, drop used_mailboxes;
alter table tenants drop used_octets, drop used_messages, drop used_mailboxes;
select recount_use();
