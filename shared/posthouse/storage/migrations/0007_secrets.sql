-- Secrets that all pods of a service share and nobody needs to know: made by the first who asks.
create table secrets (
  name    text primary key,
  secret  bytea not null check (length(secret) >= 32)
);
