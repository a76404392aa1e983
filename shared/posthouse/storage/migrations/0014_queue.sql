-- What operators decide of mail that waits for a server outside, and what they have decided.

-- recipients.state has one more value:
--   held       an operator holds it: on no road, whatever copies the broker still has
alter table recipients
  add column via text,                           -- next hop an operator chose (posthouse.mail.hops); null: the ordinary way
  add column verdict text,                       -- an operator ends it: what its sender is told; null: nobody does
  add column held_at timestamptz,                -- since when it is held; null if it is not
  add column paused interval;                    -- how long it was held before: does not count as age

-- One narrow row for each recipient that waits for the outside, in the order of acceptance: what
-- `posthouse queue` counts and filters by a million. Kept by the trigger below alone, so it is as
-- true as the ledger. Mail that leaves at its first attempt never gets a row here.
create table waiting (
  envelope  uuid not null,
  n         int not null,
  day       date not null,
  address   text not null,
  domain    text not null,                       -- next hop domain
  sender    text not null,                       -- as it is on the wire
  tenant    text not null,                       -- domain of the account that submitted it, else of its sender
  held      boolean not null,
  said      text not null,                       -- last reply: status, text and host, in lower case
  primary key (envelope, n)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
create index waiting_domain on waiting (domain, envelope, n);
create index waiting_tenant on waiting (tenant, envelope, n);
create index waiting_sender on waiting (lower(sender), envelope, n);
create index waiting_address on waiting (lower(address), envelope, n);
create index waiting_held on waiting (envelope, n) where held;

create function words_said(status text, reply text, host text) returns text
  language sql immutable parallel safe
  return lower(concat_ws(' ', status, reply, host));

create function tenant_of(auth text, branch text, sender text) returns text
  language sql immutable parallel safe
  return coalesce(
    lower(substring(coalesce(nullif(auth, ''), branch, sender) from '@([^@]*)$')), '');

create function keep_waiting() returns trigger language plpgsql as $$
declare
  words text := words_said(new.status, new.reply, new.host);
begin
  if new.road is distinct from 'remote' or new.state not in ('deferred', 'held') then
    delete from waiting where envelope = new.envelope and n = new.n;
  elsif old.state in ('deferred', 'held') then
    update waiting set held = (new.state = 'held'), said = words
     where envelope = new.envelope and n = new.n
       and (held, said) is distinct from (new.state = 'held', words);
  else
    insert into waiting (envelope, n, day, address, domain, sender, tenant, held, said)
    select new.envelope, new.n, new.day, new.address, coalesce(new.domain, ''),
           coalesce(new.sender, e.sender),
           tenant_of(e.auth, new.sender, e.sender), new.state = 'held', words
      from envelopes e where e.day = new.day and e.id = new.envelope
        on conflict (envelope, n) do update set held = excluded.held, said = excluded.said;
  end if;
  return null;
end
$$;

create trigger recipients_waiting after update of state, status, reply, host on recipients
  for each row when (old.state in ('deferred', 'held') or new.state in ('deferred', 'held'))
  execute function keep_waiting();

insert into waiting (envelope, n, day, address, domain, sender, tenant, held, said)
select r.envelope, r.n, r.day, r.address, coalesce(r.domain, ''), coalesce(r.sender, e.sender),
       tenant_of(e.auth, r.sender, e.sender), false, words_said(r.status, r.reply, r.host)
  from recipients r join envelopes e on e.day = r.day and e.id = r.envelope
 where r.next_attempt_at is not null and r.state = 'deferred' and r.road = 'remote';

-- It was there to find what waits; without it a deferral is a heap-only update.
drop index recipients_waiting;

-- Messages whose recipients were made due by somebody else than the one who delivers: written with
-- the decision, deleted after the broker's confirm; what stays for seconds, the sweeper publishes.
create table republish (
  seq    bigint generated always as identity primary key,
  id     uuid not null,
  since  timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Who decided what, when, of how many. `changed` is written with the changes themselves.
create table audit (
  id        bigint generated always as identity primary key,
  began_at  timestamptz not null default now(),
  ended_at  timestamptz,                         -- null: under way, or it was broken off
  actor     text not null,                       -- as the client said
  action    text not null,                       -- 'queue hold'
  chosen    text not null,                       -- the filter, as one would type it
  detail    text not null default '',            -- the text, the next hop
  found     bigint not null default 0,           -- how many it was to concern when it began
  changed   bigint not null default 0,
  busy      bigint not null default 0            -- left alone, because they were under way
);

-- When mail is tried again, for a class of mail; what has no class follows the settings.
create table timetables (
  class      text primary key,                   -- to:far.test, to:.far.test, from:example.test, from:<>
  delays     interval[] not null,
  warn_after interval,                           -- null: never
  give_up    interval not null
);
