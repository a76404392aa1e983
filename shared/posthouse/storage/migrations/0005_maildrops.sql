-- The exclusive lock of a POP3 maildrop (RFC 1939 §4), across processes: a lease that its session
-- renews while it lives, so that a killed process blocks nobody for longer than the lease.
create table maildrop_leases (
  account_id  bigint primary key references accounts on delete cascade,
  holder      uuid not null,                     -- the session
  until       timestamptz not null
) with (fillfactor = 50);
