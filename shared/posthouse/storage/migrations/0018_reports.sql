-- How mail of a domain or an account is sent and told of, and what came of it.

-- Null leaves it to the domain, then to the setting.
create table senders (
  domain          text unique references domains on delete cascade,
  account_id      bigint unique references accounts on delete cascade,
  language        text,                          -- of reports that are sent to it
  return_path     text check (return_path in ('plain', 'signed', 'verp')),
  signed_only     boolean,                       -- bounces to an address that we never gave are refused
  suppress_after  int check (suppress_after >= 0),  -- hard bounces of a recipient; 0: never
  check (num_nonnulls(domain, account_id) = 1)
);

-- Bounces and complaints that came in: noted when they are routed, read soon after.
create table incoming_reports (
  id         uuid primary key,                   -- the message that brought it
  came_at    timestamptz not null default now(),
  size       int not null,                       -- octets of its object
  subject    uuid,                               -- the message it speaks of, as its address says
  recipient  int,                                -- of that message, likewise
  address    text not null default '',           -- of that recipient, likewise
  attempts   int not null default 0,             -- to read it
  read_at    timestamptz,
  kind       text                                -- what it was
);
create index incoming_reports_unread on incoming_reports (came_at) where read_at is null;
create index incoming_reports_read on incoming_reports (read_at) where read_at is not null;

-- Recipients that refused for good, each refusal once.
create table hard_bounces (
  whose    text not null,                        -- the domain that sent
  address  text not null,
  source   uuid not null,                        -- the message that was refused
  at       timestamptz not null default now(),
  status   text not null,
  primary key (whose, address, source)
);
create index hard_bounces_at on hard_bounces (at);

-- Who gets nothing any more, from whom.
create table suppressions (
  address     text not null,
  whose       text not null,                     -- a domain, an account's address, or * for everybody
  reason      text not null check (reason in ('bounces', 'complaint', 'manual')),
  note        text not null default '',
  source      uuid,                              -- the message, or the report, that led to it
  since       timestamptz not null default now(),
  expires_at  timestamptz,                       -- null: never
  primary key (address, whose)
);
create index suppressions_expire on suppressions (expires_at) where expires_at is not null;
