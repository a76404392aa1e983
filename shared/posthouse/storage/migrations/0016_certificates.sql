-- Certificates that stand for an account by what they are, whatever they say (EXTERNAL).

create table certificates (
  fingerprint bytea primary key check (octet_length(fingerprint) = 32),  -- SHA-256 of its DER
  account_id  bigint not null references accounts on delete cascade,
  name        text not null,                     -- the device, as its owner calls it
  created_at  timestamptz not null default now(),
  unique (account_id, name)
);
