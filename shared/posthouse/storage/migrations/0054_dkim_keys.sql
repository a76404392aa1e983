-- Keys that mail of our domains is signed with (RFC 6376). Private halves are sealed.
create table dkim_keys (
  domain       text not null,                  -- d=, in A-labels
  selector     text not null,                  -- s=
  algorithm    text not null check (algorithm in ('rsa', 'ed25519')),
  sealed       bytea not null,                 -- AES-256-GCM: the nonce, then the PEM
  record       text not null,                  -- what is published
  state        text not null default 'pending'
               check (state in ('pending', 'active', 'retiring', 'retired')),
  rotates      boolean not null,               -- takes over by itself once DNS shows it
  made_at      timestamptz not null default now(),
  active_at    timestamptz,
  retiring_at  timestamptz,
  retired_at   timestamptz,
  checked_at   timestamptz,
  fault        text not null default '',       -- what DNS showed wrong then
  primary key (domain, selector)
);
create index dkim_keys_signing on dkim_keys (domain) where state = 'active';
