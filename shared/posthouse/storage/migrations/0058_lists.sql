-- Whose mail is welcome: lists in DNS (RFC 5782), and our own.

-- Zones that are asked.
create table list_zones (
  zone     text primary key,
  asks     text[] not null check (asks <@ array['client', 'sender', 'hello', 'reverse'] and asks <> '{}'),
  weight   double precision not null,            -- negative: it lists good senders
  codes    text not null default '',             -- which answers count: 2=3 4-7=2 &16=1.5
  title    text not null default '',             -- what people may know it by: the zone may hold a key
  text     text not null default '',
  comment  text not null default ''
);

-- Our own allow and deny lists. `key` is in the form of posthouse.mail.access_keys.
create table access (
  whose       text not null,                     -- *, a domain, or an account's address
  kind        text not null check (kind in ('sender', 'author', 'client', 'hello', 'reverse', 'header')),
  key         text not null,
  action      text not null check (action in ('allow', 'deny', 'score')),
  score       double precision not null default 0,
  forced      boolean not null default false,    -- allows what is not proved
  comment     text not null default '',
  added_by    text not null default '',
  added_at    timestamptz not null default now(),
  expires_at  timestamptz,                       -- null: never
  primary key (kind, key, whose)
);
create index access_expire on access (expires_at) where expires_at is not null;
create index access_whose on access (whose, kind, key);

-- Greylisting: who is not known has to come again.

-- One row per network, sender and recipient; its key is their hash.
create table greylist (
  key         uuid primary key,
  network     text not null,                     -- 192.0.2.0/24, 2001:db8::/64
  sender      text not null,                     -- as far as it is the same for each message
  recipient   text not null,
  first_at    timestamptz not null,
  passed_at   timestamptz,                       -- it came again, late enough
  expires_at  timestamptz not null
) with (fillfactor = 80);
create index greylist_expire on greylist (expires_at);
create index greylist_recipient on greylist (recipient, key);

-- Networks, and networks with a domain of senders, whose mail has come again or was proved to be good.
create table greylist_known (
  network     text not null,
  domain      text not null,                     -- empty: of any domain
  successes   int not null,
  counted_at  timestamptz not null,
  expires_at  timestamptz not null,
  primary key (network, domain)
);
create index greylist_known_expire on greylist_known (expires_at);

-- Where a domain has it otherwise than the setting says.
create table greylist_domains (
  domain      text primary key references domains on delete cascade,
  enabled     boolean not null
);
