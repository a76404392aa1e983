-- Who sends how much from here: what operators allow, what is counted, who is paused.

-- Other limits than the settings': of one account, one domain, one tenant.
create table outbound_limits (
  scope text not null check (scope in ('account', 'domain', 'tenant')),
  name  text not null,
  thing text not null check (thing in ('messages', 'recipients', 'octets')),
  rates text not null,                           -- 500/1h,2000/1d; 0: no limit
  primary key (scope, name, thing)
);
alter table rates alter column most type bigint; -- octets of a day are more than an int

-- What accounts have sent, by day; written once a second for all. A busy row stays on its page.
create table outbound_days (
  account    text not null,
  day        date not null,
  messages   bigint not null default 0,
  recipients bigint not null default 0,          -- outside
  strangers  bigint not null default 0,          -- different ones of them
  failures   bigint not null default 0,          -- refused for good by servers outside
  spam       bigint not null default 0,          -- messages that looked like spam
  primary key (account, day)
) with (fillfactor = 50);
create index outbound_days_day on outbound_days (day);

-- Only of today, or of the last hour; a crash of PostgreSQL may forget them.
create unlogged table outbound_strangers (
  account text not null,
  day     date not null,
  hash    bigint not null,                       -- of a recipient's address
  primary key (account, day, hash)
);
create index outbound_strangers_day on outbound_strangers (day);
create unlogged table outbound_networks (
  account text not null,
  network text not null,                         -- that it has submitted from
  at      timestamptz not null default now(),    -- when it did last
  primary key (account, network)
);
create index outbound_networks_at on outbound_networks (at);

-- Failures on their way into outbound_days: those who settle append, so they never wait for each other.
create unlogged table outbound_failures (
  id      bigint generated always as identity primary key,
  account text not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create function note_outbound_failure() returns trigger language plpgsql as $$
begin
  insert into outbound_failures (account)
  select lower(e.auth) from envelopes e where e.day = new.day and e.id = new.envelope and e.auth <> '';
  return null;
end
$$;
create trigger recipients_outbound_failure after update of state on recipients
  for each row when (new.state = 'bounced' and old.state <> 'bounced' and new.road = 'remote'
                     and new.status like '5%')
  execute function note_outbound_failure();

-- What looked wrong about an account; each rule once a day, until an operator resumes it.
create table outbound_alarms (
  id          bigint generated always as identity primary key,
  account     text not null,
  rule        text not null,
  consequence text not null check (consequence in ('alert', 'hold', 'pause')),
  detail      text not null,
  day         date not null default current_date,
  at          timestamptz not null default now(),
  told_at     timestamptz,                       -- when operators were sent a mail; null: not yet
  cleared_at  timestamptz                        -- when the account was resumed
);
create unique index outbound_alarms_open on outbound_alarms (account, rule, day) where cleared_at is null;
create index outbound_alarms_untold on outbound_alarms (id) where told_at is null;

-- Accounts whose mail does not leave. One that was resumed stays here until all its mail went.
create table outbound_paused (
  account     text primary key,
  kind        text not null check (kind in ('hold', 'pause')), -- pause: nothing is taken any more, either
  rule        text not null,                     -- 'operator', or the rule of the alarm
  detail      text not null default '',
  actor       text not null default '',
  since       timestamptz not null default now(),
  is_gathered boolean not null default false,    -- what was on its way then is held, too
  ending      text check (ending in ('release', 'discard')),
  ended_at    timestamptz
);
-- Whose mail is held for that: written before it is held.
create table outbound_held (
  account  text not null references outbound_paused on delete cascade,
  day      date not null,
  envelope uuid not null,
  primary key (account, envelope)
);

alter table tenants add column contact text;     -- who is told of trouble with its accounts
