-- What proves who somebody is, besides the hash of the password.

comment on column accounts.password_hash is
  'argon2id, PHC string; after an import also Unix crypt or a Dovecot scheme, until the first login';

alter table accounts
  add column scram_sha_256 text,                  -- RFC 5803; null: no login by SCRAM
  add column cram_md5      text;                  -- Dovecot's form; null unless the operator wants it

-- A password of one device, made by us: 100 random bits, so a plain digest of it tells nothing.
create table app_passwords (
  app_password_id bigint generated always as identity primary key,
  account_id      bigint not null references accounts on delete cascade,
  name            text not null,                 -- the device, as its owner calls it
  digest          bytea not null,                -- SHA-256
  created_at      timestamptz not null default now(),
  last_used_at    timestamptz,                   -- to the minute
  last_service    text,
  last_client     text,
  unique (account_id, name)
);
