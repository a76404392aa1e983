-- Rates that all pods share: of each client network and account, how full its buckets are.
--
-- A bucket is the moment at which it will be empty, so rows need no upkeep but to go when that is past.
-- Unlogged: a crash of PostgreSQL forgets them, and everybody begins anew. No index beside the key, and
-- room in the pages: an update stays heap-only and touches one page.
create unlogged table rates (
  who text not null,                  -- a network, as 192.0.2.1 or 2001:db8::/64, or an account's address
  what text not null,                 -- connections, messages, recipients, failures, login-failures
  most int not null,                  -- so many at once
  pace double precision not null,     -- seconds until there is room for one more
  empty_at timestamptz not null,
  primary key (who, what)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1);
