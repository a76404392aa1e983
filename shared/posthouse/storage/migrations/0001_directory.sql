-- The directory: who is here, and what an address means.
-- Addresses are kept in the form of Address.key: unquoted, lower case.

create table domains (
  domain      text primary key,
  catch_all   text,                              -- address that takes what nobody else does
  created_at  timestamptz not null default now()
);

create table accounts (
  account_id    bigint generated always as identity primary key,
  address       text not null unique,
  domain        text not null references domains,
  password_hash text not null,                   -- argon2id, PHC string
  enabled       boolean not null default true,
  quota_octets  bigint,                          -- null: unlimited
  created_at    timestamptz not null default now()
);
create index accounts_domain on accounts (domain);

-- An alias stands for its targets; with an owner it is a group, whose bounces go to the owner.
create table aliases (
  address     text primary key,
  domain      text not null references domains,
  targets     text[] not null check (cardinality(targets) > 0),
  owner       text,
  created_at  timestamptz not null default now()
);
create index aliases_domain on aliases (domain);

-- An account's own forwarding; keep_copy says whether the mailbox here gets it too.
create table forwards (
  account_id  bigint primary key references accounts on delete cascade,
  targets     text[] not null check (cardinality(targets) > 0),
  keep_copy   boolean not null default true
);

-- Where mail for a domain goes instead of its MX; '*' is the smarthost for everything else.
create table routes (
  domain      text primary key,
  host        text not null,
  port        int not null check (port between 1 and 65535),
  username    text,
  password    text
);

-- Clients that may relay without authentication.
create table networks (
  network     cidr primary key,
  note        text not null default ''
);
